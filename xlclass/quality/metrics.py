"""What is right, in numbers: shares with intervals, and precision, recall and F1 from counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xlclass.quality.calibration_error import Bin

_Z95 = 1.959963984540054  # the normal quantile of a 95 % interval


def wilson(num_right: int, num: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, JASA 22:209, as in Brown, Cai, DasGupta 2001, section 3.1.1).

    >>> tuple(round(x, 4) for x in wilson(8, 10))
    (0.4902, 0.9433)
    """
    share, z2 = num_right / num, _Z95**2
    centre = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num * num))
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(numerator: float, denominator: float) -> float | None:
    """Their quotient, null where the denominator is 0."""
    return numerator / denominator if denominator else None


@dataclass(frozen=True)
class CategoryCounts:
    """Counts of test videos per category, each `(num_categories,)`: with the label, given the category, both."""

    support: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    def per_category(self) -> np.ndarray:
        """Precision, recall and F1 per category, `(3, num_categories)`; nan where there is nothing to divide by.

        >>> CategoryCounts(np.array([4, 0]), np.array([2, 0]), np.array([1, 0])).per_category().round(3)
        array([[0.5  ,   nan],
               [0.25 ,   nan],
               [0.333,   nan]])
        """
        above = np.stack([self.right, self.right, 2 * self.right])
        below = np.stack([self.predicted, self.support, self.support + self.predicted])
        return np.where(below > 0, above / np.maximum(below, 1), np.nan)

    def macro(self) -> tuple[float | None, float | None, float | None]:
        """Precision, recall and F1 as means over the categories that have one; null where none has.

        A category that is never given has no precision, one without a label no recall, one with neither no F1.
        """
        precision, recall, f1 = (_mean(values) for values in self.per_category())
        return precision, recall, f1

    def micro(self) -> tuple[float | None, float | None, float | None]:
        """Precision, recall and F1 over all decisions together."""
        support, predicted, right = (float(x.sum()) for x in (self.support, self.predicted, self.right))
        return ratio(right, predicted), ratio(right, support), ratio(2 * right, support + predicted)


def _mean(values: np.ndarray) -> float | None:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else None


@dataclass(frozen=True)
class LanguageScore:
    """One language's scores over its labelled test videos; see `schemas.LANGUAGE_ACCURACY` and `LANGUAGE_CONFIDENCE`.

    `num_right` counts by the top category, `num_exact` by all categories given; `top1_at` is top-1 by percent of coverage;
    `uncalibrated_bins` are by the sigmoid of the top logit.
    """

    language: str
    support: int
    num_right: int
    num_exact: int
    counts: CategoryCounts
    top1_at: Mapping[int, float]
    bins: list[Bin]
    uncalibrated_bins: list[Bin]
    brier: float | None
    log_loss: float | None

    @property
    def top1(self) -> float:
        """Share of the videos whose top category is among their labels."""
        return self.num_right / self.support

    @property
    def subset_accuracy(self) -> float:
        """Share of the videos given all their labels and nothing else."""
        return self.num_exact / self.support

    @property
    def majority_baseline(self) -> float:
        """Top-1 of always saying the most frequent category."""
        return float(self.counts.support.max()) / self.support
