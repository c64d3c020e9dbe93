"""The gate: whether a challenger may replace the champion, judged by both on the same labelled test videos.

Three figures are compared, over all languages, in each language that has enough test videos, and in the other languages
together: top-1, the debiased calibration error of the top category, and the coverage, which is the share of videos that get a
category. One is worse where it changed for the worse by more than the settings tolerate *and* the interval of the change leaves
out 0. On a small test split the interval may be so wide that it never does: a large loss over all languages is refused without it.

The interval is the change, plus and minus a normal quantile times its bootstrap standard error (Efron, Tibshirani 1993, An
Introduction to the Bootstrap, chapters 6 and 12). Both versions are scored on the same resamples, and whole channels are
resampled: videos of one channel resemble each other, and so do the mistakes in them. The languages share what the level leaves
to chance (Bonferroni): of thirty languages one would else be refused every other time by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from xlclass.config import GateSettings
from xlclass.quality.calibration_error import FINE_BINS, Bin, bins_of, debiased_ece

ALL = "all languages"
_BLOCK = 200  # resamples drawn at once
_MOST_NAMED = 4  # losses that a refusal names


@dataclass(frozen=True)
class Answers:
    """What a model version says of n test videos.

    `right (n,) bool`: its top category is among the labels; `confidence (n,)`: of the top category, nan without a text;
    `given (n,) bool`: it gives a category.
    """

    right: np.ndarray
    confidence: np.ndarray
    given: np.ndarray

    def where(self, chosen: np.ndarray) -> Answers:
        """Those of the videos that `chosen (n,) bool` marks."""
        return Answers(self.right[chosen], self.confidence[chosen], self.given[chosen])


@dataclass(frozen=True)
class Change:
    """A figure of the champion and of the challenger, and the interval of the challenger's minus the champion's."""

    champion: float
    challenger: float
    margin: float  # half the interval

    @property
    def amount(self) -> float:
        """The challenger's minus the champion's."""
        return self.challenger - self.champion

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.amount - self.margin, self.amount + self.margin

    def is_worse(self, tolerated: float, sign: int) -> bool:
        """Whether it fell (sign -1) or grew (+1) by more than is tolerated, and more than chance explains."""
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
    """What the gate says: the groups, all languages first and then by size, and a clause for each loss."""

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
            more = f"; and {len(self.losses) - _MOST_NAMED} more" if len(self.losses) > _MOST_NAMED else ""
            return f"refused: {'; '.join(self.losses[:_MOST_NAMED])}{more}"
        whole = self.groups[0]
        return (
            f"accepted: top-1 over {ALL} {_shown(whole.accuracy)} ({_interval(whole, whole.accuracy)}, {whole.num_videos:,} test videos); "
            f"{len(self.groups) - 1} languages and groups of them were looked at, none is worse by more than is tolerated and chance explains"
        )


def judge(languages: Sequence[str], channels: Sequence[str], champion: Answers, challenger: Answers, settings: GateSettings) -> Verdict:
    """The verdict on n test videos, of which `languages` and `channels` are named row by row."""
    if not len(languages):
        return Verdict((), ("there is no labelled test video to compare on",))
    by_row = np.asarray(languages, object)
    names, sizes = np.unique(by_row, return_counts=True)
    single = sorted(
        (name for name, size in zip(names, sizes, strict=True) if size >= settings.min_videos), key=lambda name: (-int(sizes[names == name][0]), name)
    )
    chosen = {str(name): by_row == name for name in single}
    num_others = len(names) - len(single)
    if single and num_others:
        chosen[f"{num_others} other languages together"] = ~np.isin(by_row, single)
    shared = 1 - (1 - settings.level) / max(1, len(chosen))
    codes = np.unique(np.asarray(channels, object).astype(str), return_inverse=True)[1]
    masks = [(ALL, settings.level, np.ones(len(by_row), bool)), *((name, shared, rows) for name, rows in chosen.items())]
    groups = tuple(_compared(name, level, codes[rows], (champion.where(rows), challenger.where(rows)), settings) for name, level, rows in masks)
    return Verdict(groups, tuple(loss for group in groups for loss in _losses(group, settings)))


def _compared(name: str, level: float, channels: np.ndarray, both: tuple[Answers, Answers], settings: GateSettings) -> Group:
    """A group's changes, their margins from the resamples of its channels."""
    num = len(channels)
    bins = [bins_of(answers.confidence, answers.right) for answers in both]
    parts = [np.column_stack([answers.right, answers.given, _gaps(answers, held)]) for answers, held in zip(both, bins, strict=True)]
    sums = _per_channel(channels, np.column_stack([np.ones(num), *parts]))
    drawn = _resampled(sums, settings)
    width = parts[0].shape[1]
    old, new = drawn[:, 1 : 1 + width] / drawn[:, :1], drawn[:, 1 + width :] / drawn[:, :1]
    quantile = NormalDist().inv_cdf((1 + level) / 2)

    def change(values: Sequence[float], before: np.ndarray, after: np.ndarray) -> Change:
        return Change(float(values[0]), float(values[1]), quantile * float(np.std(after - before)))

    errors = [debiased_ece(held) for held in bins]
    calibration = None
    if errors[0] is not None and errors[1] is not None:
        calibration = change((errors[0], errors[1]), np.abs(old[:, 2:]).sum(axis=1), np.abs(new[:, 2:]).sum(axis=1))
    accuracy = change([answers.right.mean() for answers in both], old[:, 0], new[:, 0])
    coverage = change([answers.given.mean() for answers in both], old[:, 1], new[:, 1])
    return Group(name, num, level, accuracy, calibration, coverage)


def _gaps(answers: Answers, bins: Sequence[Bin]) -> np.ndarray:
    """Right or not, less the confidence, in the column of the video's bin, `(n, number of bins)`; 0 elsewhere."""
    gaps = np.zeros((len(answers.right), len(bins)))
    told = np.flatnonzero(~np.isnan(answers.confidence))
    order = told[np.argsort(np.floor(answers.confidence[told] * FINE_BINS), kind="stable")]
    if bins:
        column = np.repeat(np.arange(len(bins)), [held.num_videos for held in bins])
        gaps[order, column] = answers.right[order] - answers.confidence[order]
    return gaps


def _per_channel(channels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of the rows of each channel, `(number of channels, columns)`."""
    codes = np.unique(channels, return_inverse=True)[1]
    sums = np.zeros((codes.max() + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def _resampled(sums: np.ndarray, settings: GateSettings) -> np.ndarray:
    """Sums over resamples of the channels, `(resamples, columns)`; as many channels are drawn as there are, with replacement."""
    rng, num = np.random.default_rng(settings.seed), len(sums)
    blocks = []
    for start in range(0, settings.resamples, _BLOCK):
        size = min(_BLOCK, settings.resamples - start)
        drawn = rng.integers(num, size=(size, num)) + num * np.arange(size)[:, None]
        blocks.append(np.bincount(drawn.ravel(), minlength=size * num).reshape(size, num) @ sums)
    return np.vstack(blocks)


def _losses(group: Group, settings: GateSettings) -> list[str]:
    """A clause for each figure of the group that is worse."""
    losses = []
    if group.accuracy.is_worse(settings.lost_accuracy, -1) or (group.name == ALL and -group.accuracy.amount > settings.never_lost):
        losses.append(_clause(group, group.accuracy, "lost", "of its top-1"))
    if group.calibration and group.calibration.is_worse(settings.lost_calibration, +1):
        losses.append(_clause(group, group.calibration, "grew by", "in calibration error"))
    if group.coverage.is_worse(settings.lost_coverage, -1):
        losses.append(_clause(group, group.coverage, "lost", "of its coverage"))
    return losses


def _clause(group: Group, change: Change, verb: str, what: str) -> str:
    return f"{group.name} {verb} {abs(change.amount):.3f} {what} ({_shown(change)}, {_interval(group, change)}, {group.num_videos:,} test videos)"


def _shown(change: Change) -> str:
    return f"{change.champion:.3f} to {change.challenger:.3f}"


def _interval(group: Group, change: Change) -> str:
    low, high = change.interval
    return f"{100 * group.level:.4g} % interval of the change {low:+.3f} to {high:+.3f}"
