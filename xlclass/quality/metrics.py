"""Accuracy metrics from counts: shares with confidence intervals, precision, recall and F1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xlclass.quality.calibration_error import Bin

_Z95 = 1.959963984540054  # the normal quantile of a 95 % interval


def wilson(num_correct: int, num: int) -> tuple[float, float]:
    """The 95 % score interval of the share num_correct / num (Wilson 1927, JASA 22:209, as in Brown, Cai, DasGupta 2001, section 3.1.1).

    >>> tuple(round(x, 4) for x in wilson(8, 10))
    (0.4902, 0.9433)
    """
    share, z2 = num_correct / num, _Z95**2
    centre = (share + z2 / (2 * num)) / (1 + z2 / num)
    half_width = _Z95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num * num))
    return max(0.0, centre - half_width), min(1.0, centre + half_width)


def ratio(numerator: float, denominator: float) -> float | None:
    """The quotient; null if the denominator is 0."""
    return numerator / denominator if denominator else None


@dataclass(frozen=True)
class CategoryCounts:
    """Counts of test videos per category, each `(num_categories,)`: labelled so, predicted so, and both."""

    support: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray

    def per_category(self) -> np.ndarray:
        """Precision, recall and F1 per category, `(3, num_categories)`; nan if the denominator is 0.

        >>> CategoryCounts(np.array([4, 0]), np.array([2, 0]), np.array([1, 0])).per_category().round(3)
        array([[0.5  ,   nan],
               [0.25 ,   nan],
               [0.333,   nan]])
        """
        numerators = np.stack([self.correct, self.correct, 2 * self.correct])
        denominators = np.stack([self.predicted, self.support, self.support + self.predicted])
        return np.where(denominators > 0, numerators / np.maximum(denominators, 1), np.nan)

    def macro(self) -> tuple[float | None, float | None, float | None]:
        """Precision, recall and F1 averaged over the categories that have a value; null if none has.

        A category without predictions has no precision, one without labels no recall, one with neither no F1.
        """
        precision, recall, f1 = (_mean(values) for values in self.per_category())
        return precision, recall, f1

    def micro(self) -> tuple[float | None, float | None, float | None]:
        """Precision, recall and F1 over the decisions of all categories."""
        support, predicted, correct = (float(x.sum()) for x in (self.support, self.predicted, self.correct))
        return ratio(correct, predicted), ratio(correct, support), ratio(2 * correct, support + predicted)


def _mean(values: np.ndarray) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


@dataclass(frozen=True)
class LanguageScore:
    """One language's scores over its labelled test videos; see `schemas.LANGUAGE_ACCURACY` and `LANGUAGE_CONFIDENCE`.

    `num_correct` counts videos whose top category is a label, `num_exact` videos whose categories equal their labels.
    `top1_at` maps percent of coverage to top-1. `uncalibrated_bins` use the sigmoid of the top logit as confidence.
    """

    language: str
    support: int
    num_correct: int
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
        return self.num_correct / self.support

    @property
    def subset_accuracy(self) -> float:
        """Share of the videos whose categories equal their labels."""
        return self.num_exact / self.support

    @property
    def majority_baseline(self) -> float:
        """Top-1 of a classifier that always predicts the most frequent category."""
        return float(self.counts.support.max()) / self.support
