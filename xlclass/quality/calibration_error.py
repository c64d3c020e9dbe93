"""Expected calibration error: the gap between confidence and accuracy, over bins of neighbouring confidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_BIN = 100  # videos in a bin
MAX_BINS = 15  # with more bins, sampling noise per bin does not shrink as videos are added
FINE_BINS = 1_000  # equal steps of confidence; videos are counted in them before the steps are merged


@dataclass(frozen=True)
class Bin:
    """Test videos of neighbouring confidence: their number, mean confidence and top-1 accuracy."""

    num_videos: int
    mean_confidence: float
    top1: float


def merged_bins(num: Sequence[int], confidence: Sequence[float], correct: Sequence[int], smallest: int = MIN_BIN) -> list[Bin]:
    """At most 15 bins of at least `smallest` videos, merged from neighbouring fine bins; empty if there are fewer videos.

    Fine bins come lowest confidence first; `confidence` and `correct` are sums over each fine bin's videos. An incomplete bin
    at the top joins the last complete one.

    >>> [b.num_videos for b in merged_bins([60, 60, 100, 30], [6, 12, 50, 27], [6, 12, 50, 27])]
    [120, 130]
    """
    smallest = max(smallest, math.ceil(sum(num) / MAX_BINS))
    sums: list[list[float]] = []
    incomplete = [0.0, 0.0, 0.0]
    for row in zip(num, confidence, correct, strict=True):
        incomplete = [a + b for a, b in zip(incomplete, row, strict=True)]
        if incomplete[0] >= smallest:
            sums.append(incomplete)
            incomplete = [0.0, 0.0, 0.0]
    if sums and incomplete[0]:
        sums[-1] = [a + b for a, b in zip(sums[-1], incomplete, strict=True)]
    return [Bin(int(n), confidence_sum / n, num_correct / n) for n, confidence_sum, num_correct in sums]


def bins_of(confidence: np.ndarray, correct: np.ndarray, smallest: int = MIN_BIN) -> list[Bin]:
    """The bins of single videos, both arrays `(num_videos,)`; equal to those that `scoring` counts on the cluster.

    A video whose confidence is nan is not counted.

    >>> bins_of(np.array([0.2, 0.3, 0.9, np.nan]), np.array([0, 1, 1, 0]), smallest=2)
    [Bin(num_videos=3, mean_confidence=0.4666666666666666, top1=0.6666666666666666)]
    """
    has_confidence = ~np.isnan(confidence)
    values = confidence[has_confidence].astype(np.float64)
    fine = np.floor(values * FINE_BINS).astype(np.int64)
    num = np.bincount(fine)
    confidence_sums, num_correct = (np.bincount(fine, weights)[num > 0].tolist() for weights in (values, correct[has_confidence]))
    return merged_bins(num[num > 0].tolist(), confidence_sums, num_correct, smallest)


def debiased_ece(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error of the bins, corrected for sampling noise; at least 0, null without bins.

    In a bin of n videos the observed accuracy has variance top1 (1 - top1) / n. This inflates the mean |accuracy - confidence|
    by E|N(gap, s)| - |gap|, which is subtracted (Kumar, Liang, Ma 2019, "Verified uncertainty calibration", section 5, in
    closed form by the folded normal distribution).
    """
    total = sum(b.num_videos for b in bins)
    if not total:
        return None
    error = 0.0
    for b in bins:
        gap = abs(b.top1 - b.mean_confidence)
        error += b.num_videos / total * (2 * gap - _folded_mean(gap, math.sqrt(b.top1 * (1 - b.top1) / b.num_videos)))
    return max(0.0, error)


def _folded_mean(mean: float, deviation: float) -> float:
    """E|N(mean, deviation)|, the mean of the folded normal distribution (Leone, Nelson, Nottingham 1961, eq. 5)."""
    if deviation == 0:
        return abs(mean)
    z = mean / deviation
    return deviation * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + mean * math.erf(z / math.sqrt(2))
