"""What a head is trained on: vectors with their labels, how much each example weighs, and mixtures of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np

from xlclass.config import TrainingSettings

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Examples:
    """`vectors (n, dim) float32` and `labels (n, num_categories) float32` of 0 and 1, row by row; `languages (n,)`, empty where unknown."""

    vectors: np.ndarray
    labels: np.ndarray
    languages: np.ndarray = field(default_factory=lambda: np.empty(0, object))

    def __len__(self) -> int:
        return len(self.vectors)

    def where(self, rows: np.ndarray) -> Examples:
        """Those of the rows, a mask or positions; their languages must be known."""
        return Examples(self.vectors[rows], self.labels[rows], self.languages[rows])

    @classmethod
    def of(cls, *parts: Examples) -> Examples:
        """The parts, one after the other."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))


def weights(examples: Examples, settings: TrainingSettings) -> np.ndarray:
    """How much each example weighs, `(n,)`, mean 1: by its categories times by its language, as the settings have it."""
    own = np.ones(len(examples.vectors))
    if settings.class_weights == "balanced":
        own = own * category_weights(examples.labels)
    if settings.language_weights == "equal" and len(examples.languages):
        own = own * language_weights(examples.languages)
    return own / own.mean() if len(own) else own


def category_weights(labels: np.ndarray) -> np.ndarray:
    """One weight per example, mean 1: the mean over its categories of num_examples / videos of the category; without any, the mean of all.

    >>> category_weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    rarity = len(labels) / np.maximum(labels.sum(axis=0), 1)
    has_label = labels.any(axis=1)
    result = np.ones(len(labels))
    if has_label.any():
        own = (labels * rarity).sum(axis=1)[has_label] / labels.sum(axis=1)[has_label]
        result[has_label] = own / own.mean()
    return result


def language_weights(languages: np.ndarray) -> np.ndarray:
    """One weight per example, mean 1, that sum to the same for every language.

    >>> language_weights(np.array(["en", "en", "en", "fr"])).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    _, index, counts = np.unique(languages, return_inverse=True, return_counts=True)
    return (len(languages) / (len(counts) * counts))[index]


def mixed_batches(examples: Examples, weight: np.ndarray, settings: TrainingSettings) -> Iterator[Batch]:
    """Batches without end, `(vectors, labels, weights)`: every example of an epoch mixed with one drawn at random, in shares of a Beta(mixup, mixup).

    Mixup: Zhang and others 2018, ICLR, equation 1; one share per example. The same settings give the same batches.
    """
    rng, num = np.random.default_rng(settings.seed), len(examples.vectors)
    while True:
        order, partner = rng.permutation(num), rng.permutation(num)
        shares = rng.beta(settings.mixup, settings.mixup, num).astype(np.float32)
        for start in range(0, num, settings.batch_size):
            batch = slice(start, start + settings.batch_size)
            one, other, share = order[batch], partner[batch], shares[batch]
            mixed = [_mixed(values[one], values[other], share) for values in (examples.vectors, examples.labels, weight.astype(np.float32))]
            yield mixed[0], mixed[1], mixed[2]


def _mixed(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    share = share.reshape(-1, *[1] * (one.ndim - 1))
    return share * one + (1 - share) * other
