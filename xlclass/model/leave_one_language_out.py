"""Leave-one-language-out: train on the other languages, treat the left-out one as unlabelled, and let its labels judge a correction.

A correction is kept only if it lowers the log-loss of the left-out languages' calibration videos, each language counted once, by more than
twice the standard error of a bootstrap over channels (`runtime/resampling.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TypeVar

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


def leave_out(splits: Splits, settings: Settings) -> Iterator[tuple[Splits, dict[str, np.ndarray], Examples]]:
    """Each training language in turn, except where training or calibration videos are missing on either side.

    Yields the videos of the other languages; the vectors of the language's own videos by its code, as many as training collects of a language
    without labels, or nothing if there are too few; and its calibration videos.
    """
    rules = settings.calibration
    for language in sorted(set(splits.train.languages)):
        own, others = splits.parted(language)
        if len(others.train) and len(others.calibration) and len(own.calibration):
            vectors = np.vstack([own.train.vectors, own.calibration.vectors])
            chosen = np.random.default_rng(settings.training.seed).permutation(len(vectors))[: rules.max_unlabelled]
            yield others, {language: vectors[chosen]} if len(vectors) >= rules.min_unlabelled else {}, own.calibration


def best_choice(correction: str, choices: Sequence[Choice], trials: Sequence[tuple[Examples, Sequence[DecisionChain]]], seed: int) -> Choice | None:
    """The choice that lowers the log-loss most; null if it does not do so beyond chance, or there is no trial.

    `trials` has an entry per language left out: its calibration videos, and the chains without the correction and with each of the choices.
    """
    if not trials:
        return None
    gains = [_gains(*trial) for trial in trials]
    means = np.mean([gain.mean(axis=0) for gain in gains], axis=0)
    best = int(means.argmax())
    errors = [standard_errors(judges.channels, gain[:, [best]], _RESAMPLES, seed) for (judges, _), gain in zip(trials, gains, strict=True)]
    needed = _NUM_ERRORS * float(np.linalg.norm(errors)) / len(errors)
    is_kept = bool(means[best] > needed)
    change = f"log-loss lower by {means[best]:.5f} on average over {len(gains)} languages left out, {needed:.5f} needed (bootstrap by channel)"
    log.info("%s (%s): %s: %s", correction, choices[best], change, "on" if is_kept else "off")
    return choices[best] if is_kept else None


def _gains(judges: Examples, chains: Sequence[DecisionChain]) -> np.ndarray:
    """By how much each chain after the first lowers the log-loss of each video, `(n, len(chains) - 1)`."""
    first, *others = (log_losses(chain.log_odds(judges.vectors, judges.languages), judges.labels).mean(axis=1) for chain in chains)
    return np.stack([first - losses for losses in others], axis=1)
