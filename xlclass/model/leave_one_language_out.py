"""Leave-one-language-out: train on the other languages, treat the left-out one as unlabelled, and let its labels judge a correction.

A correction is kept only if it lowers the log-loss of the left-out languages' calibration videos, each language counted once, by more than
twice the standard error of a bootstrap over channels (`runtime/resampling.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from xlclass.config import Settings
from xlclass.model.calibration import log_losses
from xlclass.model.chain import DecisionChain
from xlclass.model.examples import Examples, Splits
from xlclass.runtime.resampling import standard_errors

log = logging.getLogger(__name__)
_RESAMPLES = 1_000
_NUM_ERRORS = 2.0  # standard errors by which the log-loss must fall
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class LeftOut:
    """A training language that is left out.

    `others`: the videos of the other languages. `unlabelled`: the vectors of the language's own videos by its code, as many as training
    collects of a language without labels; empty if there are too few of them. `judges`: its calibration videos.
    """

    others: Splits
    unlabelled: Mapping[str, np.ndarray]
    judges: Examples


class Comparison(NamedTuple):
    """The calibration videos of a language left out, a chain of the others without a correction, and one chain with each choice of it."""

    judges: Examples
    before: DecisionChain
    after: Sequence[DecisionChain]


def leave_out(splits: Splits, settings: Settings) -> list[LeftOut]:
    """Each training language left out in turn, but for those where training or calibration videos are missing on either side."""
    rules, left_out = settings.calibration, []
    for language in sorted(set(splits.train.languages)):
        own, others = splits.of_language(language), splits.without_language(language)
        if len(others.train) and len(others.calibration) and len(own.calibration):
            vectors = np.vstack([own.train.vectors, own.calibration.vectors])
            chosen = np.random.default_rng(settings.training.seed).permutation(len(vectors))[: rules.max_unlabelled]
            left_out.append(LeftOut(others, {language: vectors[chosen]} if len(vectors) >= rules.min_unlabelled else {}, own.calibration))
    return left_out


def best_choice(correction: str, choices: Sequence[Choice], comparisons: Sequence[Comparison], seed: int) -> Choice | None:
    """The choice that lowers the log-loss most; null if it does not do so beyond chance, or there is nothing to compare."""
    if not choices or not comparisons:
        return None
    gains = [_gains(comparison) for comparison in comparisons]
    means = np.mean([gain.mean(axis=0) for gain in gains], axis=0)
    best = int(means.argmax())
    errors = [standard_errors(judges.channels, gain[:, [best]], _RESAMPLES, seed) for (judges, _, _), gain in zip(comparisons, gains, strict=True)]
    needed = _NUM_ERRORS * float(np.linalg.norm(errors)) / len(errors)
    is_kept = bool(means[best] > needed)
    change = f"log-loss lower by {means[best]:.5f} on average over {len(gains)} languages left out, {needed:.5f} needed (bootstrap by channel)"
    log.info("%s (%s): %s: %s", correction, choices[best], change, "on" if is_kept else "off")
    return choices[best] if is_kept else None


def _gains(comparison: Comparison) -> np.ndarray:
    """By how much each choice lowers the log-loss of each video, `(n, num_choices)`."""
    videos, before, after = comparison
    losses = [log_losses(chain.log_odds(videos.vectors, videos.languages), videos.labels).mean(axis=1) for chain in (before, *after)]
    return np.stack([losses[0] - loss for loss in losses[1:]], axis=1)
