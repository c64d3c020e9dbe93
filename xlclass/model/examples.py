"""The labelled videos that training uses, and their splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np


@dataclass(frozen=True)
class Examples:
    """Labelled videos, row by row: `vectors (n, dim) float32`, `labels (n, num_categories) float32` of 0 and 1, `languages (n,)`, `channels (n,)`.

    A head needs vectors and labels only; languages and channels may then be empty.
    """

    vectors: np.ndarray
    labels: np.ndarray
    languages: np.ndarray = field(default_factory=lambda: np.empty(0, object))
    channels: np.ndarray = field(default_factory=lambda: np.empty(0, object))

    def __len__(self) -> int:
        return len(self.vectors)

    def where(self, rows: np.ndarray) -> Examples:
        """The examples at `rows`, a mask or positions; languages and channels must be known."""
        return Examples(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def of(cls, *parts: Examples) -> Examples:
        """The parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))


@dataclass(frozen=True)
class Splits:
    """The sample by its use: `validation` stops the training of the head, `calibration` (the validation videos among them) fits all that follows it."""

    train: Examples
    validation: Examples
    calibration: Examples

    def parted(self, language: str) -> tuple[Splits, Splits]:
        """The videos of one language, and those of all others."""
        splits = (self.train, self.validation, self.calibration)
        own, others = (Splits(*(split.where((split.languages == language) == is_it) for split in splits)) for is_it in (True, False))
        return own, others


def label_matrix(labels: Iterable[Iterable[str]], categories: Sequence[str]) -> np.ndarray:
    """The labels of each video as a row of 0 and 1, `(n, num_categories) float32`; labels that are not among the categories are ignored.

    >>> label_matrix([["music"], ["gaming", "other"]], ["gaming", "music"]).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    rows = [[float(name in names) for name in categories] for names in map(set, labels)]
    return np.array(rows, np.float32).reshape(len(rows), len(categories))
