"""All that training learns from a sample: the head, its calibration and its thresholds; numpy and Keras, no Spark.

Why calibration reads the validation videos too: early stopping takes one number from them, the epoch, and with them twice as many
videos say how sure the head may be; on the real catalogue the error in French fell from 0.06 to 0.03.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlclass.config import Settings
from xlclass.model import head
from xlclass.model.calibration import Calibration, fit_calibration, log_losses
from xlclass.model.examples import Examples
from xlclass.model.prior_shift import DAMPINGS, prior_shift
from xlclass.model.thresholds import Thresholds, fit_thresholds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What training decided, and its curves per epoch; `damping` is the share of the estimated prior shift that is used."""

    head: Any
    calibration: Calibration
    thresholds: Thresholds
    curves: dict[str, list[float]]
    damping: float = 0.0


@dataclass(frozen=True)
class Sides:
    """The sample by what it is for: `held` is what confidences are calibrated on, the validation and the calibration split."""

    train: Examples
    validation: Examples
    held: Examples

    def where(self, language: str, is_it: bool) -> Sides:
        """The videos of one language only, or of all others."""
        return Sides(*(side.where((side.languages == language) == is_it) for side in (self.train, self.validation, self.held)))


def fit(sides: Sides, unlabelled: Mapping[str, np.ndarray], settings: Settings) -> Fitted:
    """The head and how its logits become categories; `unlabelled` has vectors `(n, dim)` of languages that have no labels."""
    model, curves = _trained(sides, settings)
    calibration = _calibrated(model, sides.held, settings)
    damping = best_damping(sides, settings) if unlabelled else 0.0
    if damping:
        priors = sides.held.labels.mean(axis=0)
        shifts = {code: damping * prior_shift(calibration.log_odds(head.logits(model, rows), [code] * len(rows)), priors) for code, rows in unlabelled.items()}
        calibration = dataclasses.replace(calibration, prior_shifts={code: tuple(map(float, shift)) for code, shift in shifts.items()})
    confidences = calibration.confidences(head.logits(model, sides.held.vectors), sides.held.languages)
    return Fitted(model, calibration, fit_thresholds(confidences, sides.held.labels, sides.held.languages, settings.thresholds), curves, damping)


def best_damping(sides: Sides, settings: Settings) -> float:
    """The share of the estimated prior shift that lowers the log-loss of training languages left out most; 0 where none does beyond chance.

    Each training language is treated in turn as one without labels: a head and a calibration of the others meet it. Languages
    count alike; beyond chance is by more than twice the standard error over videos.
    """
    gains = [gains for language in sorted(set(sides.train.languages)) if len(gains := _gains_left_out(sides, language, settings))]
    if not gains:
        return 0.0
    means = np.mean([each.mean(axis=0) for each in gains], axis=0)
    errors = np.sqrt(np.sum([each.var(axis=0) / len(each) for each in gains], axis=0)) / len(gains)
    shown = ", ".join(f"{share:g}: {mean:+.5f} (standard error {error:.5f})" for share, mean, error in zip(DAMPINGS, means, errors, strict=True))
    log.info("prior shift, log-loss that it takes off %d languages left out: %s", len(gains), shown)
    best = int(means.argmax())
    return DAMPINGS[best] if means[best] > 2 * errors[best] else 0.0


def _gains_left_out(sides: Sides, language: str, settings: Settings) -> np.ndarray:
    """What each damping takes off the log-loss of each video `(n, len(DAMPINGS))` of a language that is left out; empty where there is too little."""
    rest, out = sides.where(language, False), sides.where(language, True)
    everything = Examples.of(out.train, out.held)
    if not len(rest.train) or not len(rest.held) or not len(out.held) or len(everything) < settings.calibration.min_unlabelled:
        return np.empty((0, len(DAMPINGS)))
    model, _ = _trained(rest, settings)
    calibration = _calibrated(model, rest.held, settings)
    odds = calibration.log_odds(head.logits(model, everything.vectors), everything.languages)
    shift, own = prior_shift(odds, rest.held.labels.mean(axis=0)), odds[len(out.train) :]
    losses = [log_losses(own + share * shift, out.held.labels).mean(axis=1) for share in (0.0, *DAMPINGS)]
    return np.stack([losses[0] - shifted for shifted in losses[1:]], axis=1)


def _trained(sides: Sides, settings: Settings) -> tuple[Any, dict[str, list[float]]]:
    return head.train_head(sides.train, sides.validation, settings.training)


def _calibrated(model: Any, held: Examples, settings: Settings) -> Calibration:
    return fit_calibration(head.logits(model, held.vectors), held.labels, held.languages, settings.calibration)
