"""The gate: whether a candidate may replace the champion, judged by the answers of both on the same labelled test videos.

Three figures are compared, over all languages, in each language that has enough test videos, and in all other languages together: top-1,
the debiased calibration error of the top category, and the coverage, which is the share of videos that get a category. A figure is worse if
it changed for the worse by more than the settings tolerate *and* the interval of the change excludes 0. On a small test split the interval
may be too wide to exclude 0 at all, so a large loss over all languages is refused without it.

The interval is the change, plus and minus a normal quantile times its standard error from a bootstrap over channels
(`runtime/resampling.py`); both versions are scored on the same resamples. The languages share the error rate of the level (Bonferroni):
otherwise chance alone would refuse every second candidate for one of thirty languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from xlclass.config import GateSettings
from xlclass.quality.calibration_error import FINE_BINS, Bin, bins_of, debiased_ece
from xlclass.runtime.resampling import resampled_sums, sums_by_channel

ALL = "all languages"
_MAX_NAMED = 4  # losses that a refusal names


@dataclass(frozen=True)
class Answers:
    """A model version's answers on n test videos.

    `right (n,) bool`: its top category is among the labels; `confidence (n,)`: of the top category, nan without a text;
    `given (n,) bool`: it gives a category.
    """

    right: np.ndarray
    confidence: np.ndarray
    given: np.ndarray

    def where(self, rows: np.ndarray) -> Answers:
        """The answers on the videos at `rows`, a mask or positions."""
        return Answers(self.right[rows], self.confidence[rows], self.given[rows])


@dataclass(frozen=True)
class Change:
    """A figure of the champion and of the challenger, and half the interval of the challenger's minus the champion's."""

    champion: float
    challenger: float
    margin: float

    @property
    def amount(self) -> float:
        """The challenger's figure minus the champion's."""
        return self.challenger - self.champion

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and the upper end of the interval."""
        return self.amount - self.margin, self.amount + self.margin

    def is_worse(self, tolerated: float, sign: int) -> bool:
        """Whether the figure fell (sign -1) or grew (+1) by more than is tolerated, and by more than chance explains."""
        return sign * self.amount > tolerated + 1e-12 and sign * self.amount > self.margin


@dataclass(frozen=True)
class Group:
    """A language, or several together: its test videos and the three changes; no calibration below 100 videos with a text."""

    name: str
    num_videos: int
    level: float  # of the intervals
    accuracy: Change
    calibration: Change | None
    coverage: Change


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict: the groups, all languages first and then by size, and a clause for each loss."""

    groups: tuple[Group, ...]
    losses: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger may replace the champion."""
        return not self.losses

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.losses:
            more = f"; and {len(self.losses) - _MAX_NAMED} more" if len(self.losses) > _MAX_NAMED else ""
            return f"refused: {'; '.join(self.losses[:_MAX_NAMED])}{more}"
        whole = self.groups[0]
        return (
            f"accepted: top-1 over {ALL} {_shown(whole.accuracy)} ({_interval(whole, whole.accuracy)}, {whole.num_videos:,} test videos); "
            f"{len(self.groups) - 1} languages and groups of languages were compared, none is worse by more than is tolerated and chance explains"
        )


def judge(languages: Sequence[str], channels: Sequence[str], champion: Answers, challenger: Answers, settings: GateSettings) -> Verdict:
    """The verdict on n test videos; `languages` and `channels` name the language and the channel of each."""
    if not len(languages):
        return Verdict((), ("there is no labelled test video to compare on",))
    by_row = np.asarray(languages, object)
    codes = np.unique(np.asarray(channels, object).astype(str), return_inverse=True)[1]
    chosen = _chosen(by_row, settings.min_videos)
    shared = 1 - (1 - settings.level) / max(1, len(chosen))
    masks = [(ALL, settings.level, np.ones(len(by_row), bool)), *((name, shared, rows) for name, rows in chosen.items())]
    groups = tuple(_compared(name, level, codes[rows], (champion.where(rows), challenger.where(rows)), settings) for name, level, rows in masks)
    return Verdict(groups, tuple(loss for group in groups for loss in _losses(group, settings)))


def _chosen(languages: np.ndarray, min_videos: int) -> dict[str, np.ndarray]:
    """Masks of the languages with enough videos, the largest first, and of all others together."""
    names, sizes = np.unique(languages, return_counts=True)
    single = [str(name) for size, name in sorted(zip(-sizes, names, strict=True)) if -size >= min_videos]
    chosen = {name: languages == name for name in single}
    num_others = len(names) - len(single)
    if single and num_others:
        chosen[f"{num_others} other languages together"] = ~np.isin(languages, single)
    return chosen


def _compared(name: str, level: float, channels: np.ndarray, both: tuple[Answers, Answers], settings: GateSettings) -> Group:
    """A group's changes, with margins from resamples of its channels."""
    num = len(channels)
    bins = [bins_of(answers.confidence, answers.right) for answers in both]
    parts = [np.column_stack([answers.right, answers.given, _gaps(answers, its_bins)]) for answers, its_bins in zip(both, bins, strict=True)]
    sums = sums_by_channel(channels, np.column_stack([np.ones(num), *parts]))
    resampled = resampled_sums(sums, settings.resamples, settings.seed)
    width = parts[0].shape[1]
    old, new = resampled[:, 1 : 1 + width] / resampled[:, :1], resampled[:, 1 + width :] / resampled[:, :1]
    quantile = NormalDist().inv_cdf((1 + level) / 2)

    def change(values: Sequence[float], before: np.ndarray, after: np.ndarray) -> Change:
        return Change(float(values[0]), float(values[1]), quantile * float(np.std(after - before)))

    errors = [debiased_ece(its_bins) for its_bins in bins]
    calibration = None
    if errors[0] is not None and errors[1] is not None:
        calibration = change((errors[0], errors[1]), np.abs(old[:, 2:]).sum(axis=1), np.abs(new[:, 2:]).sum(axis=1))
    accuracy = change([answers.right.mean() for answers in both], old[:, 0], new[:, 0])
    coverage = change([answers.given.mean() for answers in both], old[:, 1], new[:, 1])
    return Group(name, num, level, accuracy, calibration, coverage)


def _gaps(answers: Answers, bins: Sequence[Bin]) -> np.ndarray:
    """Right (1) or wrong (0) minus the confidence, in the column of the video's bin, `(n, number of bins)`; 0 elsewhere."""
    gaps = np.zeros((len(answers.right), len(bins)))
    rows = np.flatnonzero(~np.isnan(answers.confidence))
    order = rows[np.argsort(np.floor(answers.confidence[rows] * FINE_BINS), kind="stable")]
    if bins:
        column = np.repeat(np.arange(len(bins)), [each.num_videos for each in bins])
        gaps[order, column] = answers.right[order] - answers.confidence[order]
    return gaps


def _losses(group: Group, settings: GateSettings) -> list[str]:
    """A clause for each figure of the group that is worse."""
    losses = []
    if group.accuracy.is_worse(settings.lost_accuracy, -1) or (group.name == ALL and -group.accuracy.amount > settings.max_lost_accuracy):
        losses.append(_clause(group, group.accuracy, "lost", "of its top-1"))
    if group.calibration and group.calibration.is_worse(settings.lost_calibration, +1):
        losses.append(_clause(group, group.calibration, "grew by", "in calibration error"))
    if group.coverage.is_worse(settings.lost_coverage, -1):
        losses.append(_clause(group, group.coverage, "lost", "of its coverage"))
    return losses


def _clause(group: Group, change: Change, verb: str, figure: str) -> str:
    return f"{group.name} {verb} {abs(change.amount):.3f} {figure} ({_shown(change)}, {_interval(group, change)}, {group.num_videos:,} test videos)"


def _shown(change: Change) -> str:
    return f"{change.champion:.3f} to {change.challenger:.3f}"


def _interval(group: Group, change: Change) -> str:
    low, high = change.interval
    return f"{100 * group.level:.4g} % interval of the change {low:+.3f} to {high:+.3f}"
