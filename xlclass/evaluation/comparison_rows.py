"""The accuracy of every contender per language and group of languages, and whether it differs beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from xlclass.quality.selective import selective_accuracy
from xlclass.runtime.resampling import resampled_sums, sums_by_channel

ALL, TRAINING, KNOWN, OTHER = GROUPS = ("all", "training", "known", "other")
MIN_CHANNELS = 10  # with fewer, resampling channels tells nothing
_RESAMPLES = 2_000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Answers:
    """What a contender answers on the test videos: whether its top category is a label `(n,)`, and its confidence `(n,)`."""

    correct: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, log_odds: np.ndarray, labels: np.ndarray) -> Answers:
        """From log-odds and labels, both `(n, num_categories)`; of equal categories the first is the top one."""
        top = log_odds.argmax(axis=1)
        rows = np.arange(len(top))
        return cls(labels[rows, top].astype(np.float64), expit(log_odds[rows, top]))


def accuracy_rows(
    answers: Mapping[str, Answers],
    labels: np.ndarray,
    languages: np.ndarray,
    channels: np.ndarray,
    groups: tuple[Sequence[str], Sequence[str]],
    seed: int,
) -> list[dict[str, Any]]:
    """One row per language or group and contender, in the names of the table `encoder_comparison`; the first contender is the reference.

    `labels (n, num_categories)`, `languages (n,)` and `channels (n,)` are those of the test videos; `groups` are the training languages, and
    the languages that the reference was trained on. Groups without a test video have no row.
    """
    training, known = groups
    is_training = np.isin(languages, training)
    is_known = np.isin(languages, known) & ~is_training
    masks = {ALL: np.ones(len(languages), bool), TRAINING: is_training, KNOWN: is_known, OTHER: ~is_training & ~is_known}
    masks |= {code: languages == code for code in sorted(set(languages.tolist()))}
    training_top1 = [float(each.correct[is_training].mean()) if is_training.any() else None for each in answers.values()]
    rows = []
    for language, mask in masks.items():
        if mask.any():
            baseline = float(labels[mask].sum(axis=0).max() / mask.sum())
            shared = {"language": language, "level": "group" if language in GROUPS else "language", "support": int(mask.sum()), "majority_baseline": baseline}
            rows += [shared | row for row in _compared(answers, mask, channels, training_top1, seed)]
    return rows


def _compared(answers: Mapping[str, Answers], mask: np.ndarray, channels: np.ndarray, training_top1: Sequence[float | None], seed: int) -> list[dict[str, Any]]:
    """The contenders' rows over the videos of `mask`.

    The interval of a difference is that of the percentiles over resamples of whole channels, the same resamples for all contenders (paired
    bootstrap).
    """
    correct = np.column_stack([each.correct[mask] for each in answers.values()])
    top1 = correct.mean(axis=0)
    best = int(top1.argmax())
    sums = sums_by_channel(channels[mask], np.column_stack([np.ones(len(correct)), correct]))
    gain_ends, lag_ends = np.full((2, len(top1)), np.nan), np.full((2, len(top1)), np.nan)
    if len(sums) >= MIN_CHANNELS:
        resampled = resampled_sums(sums, _RESAMPLES, seed)
        shares = resampled[:, 1:] / resampled[:, :1]
        gain_ends = np.percentile(shares - shares[:, :1], _INTERVAL, axis=0)
        lag_ends = np.percentile(shares[:, best : best + 1] - shares, _INTERVAL, axis=0)
    return [
        {
            "contender": name,
            "top1": float(top1[i]),
            "top1_at_50": selective_accuracy(each.confidence[mask], each.correct[mask], 50),
            "gap_to_training": None if (trained := training_top1[i]) is None else trained - float(top1[i]),
            "gain": float(top1[i] - top1[0]),
            "gain_low": _number(gain_ends[0, i]),
            "gain_high": _number(gain_ends[1, i]),
            "lag": float(top1[best] - top1[i]),
            "lag_low": _number(lag_ends[0, i]),
        }
        for i, (name, each) in enumerate(answers.items())
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
