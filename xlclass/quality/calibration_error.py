"""How far confidence and the share of right ones lie apart: bins, and the error over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_BIN = 100  # videos in a bin of the calibration error
MAX_BINS = 15  # more would leave a chance error in each that does not shrink with more videos
FINE_BINS = 1_000  # equal steps of confidence in which videos are counted before they are joined


@dataclass(frozen=True)
class Bin:
    """Test videos of neighbouring confidence."""

    num_videos: int
    mean_confidence: float
    top1: float


def merged_bins(num: Sequence[int], confidence: Sequence[float], right: Sequence[int], smallest: int = MIN_BIN) -> list[Bin]:
    """Neighbouring fine bins, lowest confidence first, joined to at most 15 of at least `smallest` videos; none where all hold fewer.

    `confidence` and `right` are sums over the fine bin's videos. What is left at the top joins the last bin.

    >>> [b.num_videos for b in merged_bins([60, 60, 100, 30], [6, 12, 50, 27], [6, 12, 50, 27])]
    [120, 130]
    """
    smallest = max(smallest, math.ceil(sum(num) / MAX_BINS))
    groups: list[list[float]] = []
    open_group = [0.0, 0.0, 0.0]
    for row in zip(num, confidence, right, strict=True):
        open_group = [a + b for a, b in zip(open_group, row, strict=True)]
        if open_group[0] >= smallest:
            groups.append(open_group)
            open_group = [0.0, 0.0, 0.0]
    if groups and open_group[0]:
        groups[-1] = [a + b for a, b in zip(groups[-1], open_group, strict=True)]
    return [Bin(int(n), c / n, r / n) for n, c, r in groups]


def bins_of(confidence: np.ndarray, right: np.ndarray, smallest: int = MIN_BIN) -> list[Bin]:
    """The bins of single videos, `(num_videos,)` each: as `scoring` counts them on the cluster; a nan confidence is left out.

    >>> bins_of(np.array([0.2, 0.3, 0.9, np.nan]), np.array([0, 1, 1, 0]), smallest=2)
    [Bin(num_videos=3, mean_confidence=0.4666666666666666, top1=0.6666666666666666)]
    """
    there = ~np.isnan(confidence)
    values = confidence[there].astype(np.float64)
    fine = np.floor(values * FINE_BINS).astype(np.int64)
    num = np.bincount(fine)
    sure, hits = (np.bincount(fine, weights)[num > 0].tolist() for weights in (values, right[there]))
    return merged_bins(num[num > 0].tolist(), sure, hits, smallest)


def debiased_ece(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error of the bins, less the bias that chance adds at the gaps seen; 0 at least, null without bins.

    Within a bin of n videos the share of right ones scatters with variance top1 (1 - top1) / n around its truth, so the
    mean |share - confidence| is too large by E|N(gap, s)| - |gap|; that is taken off (Kumar, Liang, Ma 2019, "Verified
    uncertainty calibration", section 5, in closed form by the folded normal distribution).
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
