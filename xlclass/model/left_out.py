"""What leaving a training language out decides: each is taken in turn as one without labels, met by a head of the others.

Its labels then say whether a correction for languages without labels helps. A correction is kept only where it lowers the
log-loss beyond chance: by more than twice the standard error over videos, languages counted alike.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xlclass.config import Settings
from xlclass.model import head
from xlclass.model.calibration import Calibration, fit_calibration, fit_pooled, log_losses
from xlclass.model.examples import Examples
from xlclass.model.prior_shift import DAMPINGS, prior_shift
from xlclass.model.prototypes import WIDTHS, Prototypes, fit_prototypes, shares_around
from xlclass.model.smoothing import WEIGHTS as SMOOTHING_WEIGHTS
from xlclass.model.smoothing import WIDTHS as SMOOTHING_WIDTHS
from xlclass.model.smoothing import Smoothing, around_language

log = logging.getLogger(__name__)
WEIGHTS = (0.2, 0.4, 0.6, 0.8)  # of the neighbours in the log-odds, that training tries


class Say(NamedTuple):
    """How far neighbours, labelled or not, are heard: the width of their kernel and their weight in the log-odds; weight 0 is not at all."""

    width: float = 0.0
    weight: float = 0.0


NO_SAY = Say()
_SMOOTHINGS = [Say(width, weight) for width in SMOOTHING_WIDTHS for weight in SMOOTHING_WEIGHTS]
_SHOWN = {"neighbours": "neighbours", "damping": "prior shift", "smoothing": "unlabelled neighbours"}


class Corrections(NamedTuple):
    """What is decided so far, nothing at first: the say of labelled neighbours, the share of the prior shift that is used, the say of unlabelled ones."""

    neighbours: Say = NO_SAY
    damping: float = 0.0
    smoothing: Say = NO_SAY


@dataclass(frozen=True)
class Sides:
    """The sample by what it is for: `held` is what confidences are calibrated on, the validation and the calibration split."""

    train: Examples
    validation: Examples
    held: Examples

    def where(self, language: str, is_it: bool) -> Sides:
        """The videos of one language only, or of all others."""
        return Sides(*(side.where((side.languages == language) == is_it) for side in (self.train, self.validation, self.held)))


@dataclass(frozen=True)
class LeftOut:
    """A training language that a head of the `others` meets as one without labels.

    `own` are the language's training and held videos, in this order; `logits` and `held_logits` are the head's of them and of the
    others' held videos.
    """

    settings: Settings
    others: Sides
    own: Examples
    num_train: int
    logits: np.ndarray
    held_logits: np.ndarray

    def log_odds(self, decided: Corrections) -> np.ndarray:
        """What a calibration of the others, so corrected, says of the language's videos, `(num_own, num_categories)`."""
        (width, weight), damping, smoothing = decided
        held, near = self.others.held, dataclasses.replace(self._near, width=width) if weight else None
        given = (self.held_logits, held.labels, held.languages, self.settings.calibration, shares_around(near, held.vectors))
        calibration = fit_calibration(*given, weight, self._pooled)
        odds = calibration.log_odds(self.logits, self.own.languages, shares_around(near, self.own.vectors))
        odds = odds + damping * self._prior_shift(odds) if damping and self.is_enough else odds
        return self._smoothed(odds, smoothing) if smoothing.weight and self.is_enough else odds

    @property
    def is_enough(self) -> bool:
        """Whether the language would be asked for priors and neighbours if it had no labels."""
        return len(self.own) >= self.settings.calibration.min_unlabelled

    @functools.cached_property
    def _pooled(self) -> Calibration:
        return fit_pooled(self.held_logits, self.others.held.labels, self.settings.calibration)

    @functools.cached_property
    def _near(self) -> Prototypes:
        """Those of the others' training videos, of any width."""
        return _prototypes(self.others.train, self.settings, WIDTHS[0])

    def _prior_shift(self, odds: np.ndarray) -> np.ndarray:
        """The estimated shift of the language's priors from the others', `(num_categories,)`; its log-odds are `odds`."""
        return prior_shift(odds, self.others.held.labels.mean(axis=0))

    def _smoothed(self, odds: np.ndarray, say: Say) -> np.ndarray:
        """`odds` with the say of as many of the language's videos as training takes of one without labels."""
        rules, seed, codes = self.settings.calibration, self.settings.training.seed, self.own.languages
        some = np.random.default_rng(seed).permutation(len(self.own))[: rules.max_unlabelled]
        around = around_language(self.own.vectors[some], odds[some], rules.unlabelled_prototypes, say.width, seed)
        return Smoothing({codes[0]: around}, say.weight).smoothed(odds, self.own.vectors, codes)

    def gains(self, before: np.ndarray, choices: Sequence[np.ndarray]) -> np.ndarray:
        """What each of `choices` takes off the log-loss of each held video, `(num_held, len(choices))`; log-odds of all own videos."""
        labels = self.own.labels[self.num_train :]
        losses = [log_losses(odds[self.num_train :], labels).mean(axis=1) for odds in (before, *choices)]
        return np.stack([losses[0] - loss for loss in losses[1:]], axis=1)


def leave_out(sides: Sides, settings: Settings) -> list[LeftOut]:
    """Each training language in turn; without those that leave too little on either side."""
    return [found for language in sorted(set(sides.train.languages)) if (found := _left_out(sides, language, settings))]


def _left_out(sides: Sides, language: str, settings: Settings) -> LeftOut | None:
    rest, out = sides.where(language, False), sides.where(language, True)
    if not len(rest.train) or not len(rest.held) or not len(out.held):
        return None
    model, _ = head.train_head(rest.train, rest.validation, settings.training)
    own = Examples.of(out.train, out.held)
    return LeftOut(settings, rest, own, len(out.train), head.logits(model, own.vectors), head.logits(model, rest.held.vectors))


def may_be_heard(settings: Settings) -> bool:
    """Whether the settings let labelled neighbours have a say at all."""
    return settings.calibration.prototypes > 0 and settings.calibration.method != "none"


def best_corrections(trials: Sequence[LeftOut], settings: Settings, has_unlabelled: bool) -> Corrections:
    """All that helps languages left out beyond chance and is wanted, each after what was decided before it.

    What is for languages without labels alone is asked only where there are unlabelled videos.
    """
    rules, found = settings.calibration, Corrections()
    enough = [trial for trial in trials if has_unlabelled and trial.is_enough]
    for name, choices, asked in (
        ("neighbours", [Say(width, weight) for width in WIDTHS for weight in WEIGHTS], trials if may_be_heard(settings) else []),
        ("damping", DAMPINGS, enough if rules.prior_shift == "auto" else []),
        ("smoothing", _SMOOTHINGS, enough if rules.unlabelled_prototypes and rules.method != "none" else []),
    ):
        found = _best(found, name, choices, asked)
    return found


def prototypes_of(train: Examples, settings: Settings, say: Say) -> Prototypes | None:
    """The prototypes of training videos, as many as the settings say; null where neighbours have no say."""
    return _prototypes(train, settings, say.width) if say.weight else None


def _prototypes(train: Examples, settings: Settings, width: float) -> Prototypes:
    return fit_prototypes(train.vectors, train.labels, settings.calibration.prototypes, width, settings.training.seed)


def _best(decided: Corrections, name: str, choices: Sequence[Any], trials: Sequence[LeftOut]) -> Corrections:
    """`decided` with the choice for `name` that has the highest mean gain, if that is beyond chance."""
    if not trials:
        return decided
    gains = [trial.gains(trial.log_odds(decided), [trial.log_odds(decided._replace(**{name: choice})) for choice in choices]) for trial in trials]
    means = np.mean([each.mean(axis=0) for each in gains], axis=0)
    errors = np.sqrt(np.sum([each.var(axis=0) / len(each) for each in gains], axis=0)) / len(gains)
    best = int(means.argmax())
    is_kept = bool(means[best] > 2 * errors[best])
    told = f"{means[best]:+.5f} (standard error {errors[best]:.5f}): {'kept' if is_kept else 'not used'}"
    log.info("%s, log-loss taken off %d languages left out, at best with %s: %s", _SHOWN[name], len(gains), choices[best], told)
    return decided._replace(**{name: choices[best]}) if is_kept else decided
