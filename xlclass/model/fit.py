"""All that training learns from a sample: the head, its calibration and its thresholds; numpy and Keras, no Spark.

Why calibration reads the validation videos too: early stopping takes one number from them, the epoch, and with them twice as many
videos say how sure the head may be; on the real catalogue the error in French fell from 0.06 to 0.03.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from xlclass.config import Settings
from xlclass.model import head
from xlclass.model.calibration import Calibration, fit_calibration
from xlclass.model.leave_one_language_out import (
    Say,
    Sides,
    best_competition,
    best_damping,
    best_neighbours,
    best_smoothing,
    is_worth_it,
    leave_out,
    prototypes_of,
)
from xlclass.model.neighbours import Prototypes, shares_around
from xlclass.model.prior_shift import prior_shift
from xlclass.model.smoothing import Smoothing, around_language, log_odds
from xlclass.model.thresholds import Thresholds, fit_thresholds


@dataclass(frozen=True)
class Fitted:
    """What training decided, and its curves per epoch.

    `prototypes` where neighbours have a say in the confidences, `smoothing` where unlabelled ones have; `damping` is the share of the
    estimated prior shift that is used.
    """

    head: Any
    calibration: Calibration
    thresholds: Thresholds
    curves: dict[str, list[float]]
    prototypes: Prototypes | None = None
    damping: float = 0.0
    smoothing: Smoothing | None = None

    def log_odds(self, vectors: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """Log-odds of the confidences, `(n, num_categories) float64`, of `vectors (n, dim)` and their languages."""
        return log_odds(head.logits(self.head, vectors), vectors, languages, self.calibration, self.prototypes, self.smoothing)


def fit(sides: Sides, unlabelled: Mapping[str, np.ndarray], settings: Settings) -> Fitted:
    """The head and how its logits become categories; `unlabelled` has vectors `(n, dim)` of languages that have no labels."""
    model, curves = head.train_head(sides.train, sides.validation, settings.training)
    held, trials = sides.held, leave_out(sides, settings) if unlabelled or is_worth_it(settings) else []
    say = best_neighbours(trials, settings)
    prototypes = prototypes_of(sides.train, settings, say)
    shares = shares_around(prototypes, held.vectors)
    calibration = fit_calibration(head.logits(model, held.vectors), held.labels, held.languages, settings.calibration, shares, say.weight)
    competition = best_competition(trials, say, settings)
    calibration = dataclasses.replace(calibration, competition=competition)
    damping = best_damping(trials, say, competition, settings) if unlabelled else 0.0
    fitted = Fitted(model, calibration, Thresholds(()), curves, prototypes, damping)
    if damping:
        fitted = dataclasses.replace(fitted, calibration=_shifted(fitted, held.labels.mean(axis=0), unlabelled))
    smooth = best_smoothing(trials, say, competition, damping, settings) if unlabelled else Say()
    if smooth.weight:
        fitted = dataclasses.replace(fitted, smoothing=_smoothing(fitted, unlabelled, smooth, settings))
    confidences = expit(fitted.log_odds(held.vectors, held.languages)).astype(np.float32)
    return dataclasses.replace(fitted, thresholds=fit_thresholds(confidences, held.labels, held.languages, settings.thresholds))


def _shifted(fitted: Fitted, priors: np.ndarray, unlabelled: Mapping[str, np.ndarray]) -> Calibration:
    """Its calibration with the prior shifts of the languages in `unlabelled`; `priors (num_categories,)` are where it was calibrated."""
    shifts = {code: fitted.damping * prior_shift(odds, priors) for code, odds in _odds_by_language(fitted, unlabelled).items()}
    return dataclasses.replace(fitted.calibration, prior_shifts={code: tuple(map(float, shift)) for code, shift in shifts.items()})


def _smoothing(fitted: Fitted, unlabelled: Mapping[str, np.ndarray], say: Say, settings: Settings) -> Smoothing:
    """The say of the videos in `unlabelled`, as `fitted` sees them."""
    most, seed = settings.calibration.unlabelled_prototypes, settings.training.seed
    odds = _odds_by_language(fitted, unlabelled)
    return Smoothing({code: around_language(rows, odds[code], most, say.width, seed) for code, rows in unlabelled.items()}, say.weight, say.map)


def _odds_by_language(fitted: Fitted, unlabelled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {code: fitted.log_odds(rows, np.full(len(rows), code, object)) for code, rows in unlabelled.items()}
