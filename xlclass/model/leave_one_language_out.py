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
from typing import NamedTuple, TypeVar

import numpy as np

from xlclass.config import Settings
from xlclass.model import head
from xlclass.model.calibration import COMPETITIONS, Calibration, competing, fit_calibration, fit_pooled, fit_temperature, log_losses, mean_map
from xlclass.model.examples import Examples
from xlclass.model.neighbours import WIDTHS, Prototypes, fit_prototypes, shares_around
from xlclass.model.prior_shift import DAMPINGS, prior_shift
from xlclass.model.smoothing import WEIGHTS as SMOOTHING_WEIGHTS
from xlclass.model.smoothing import WIDTHS as SMOOTHING_WIDTHS
from xlclass.model.smoothing import Smoothing, around_language

log = logging.getLogger(__name__)
_Choice = TypeVar("_Choice")
WEIGHTS = (0.2, 0.4, 0.6, 0.8)  # of the neighbours in the log-odds, that training tries


class Say(NamedTuple):
    """How far neighbours, labelled or not, are heard: the width of their kernel and their weight in the log-odds; weight 0 is not at all.

    `map` is a temperature and a bias after it, of unlabelled ones: after labelled ones a language's own map comes anyway.
    """

    width: float = 0.0
    weight: float = 0.0
    map: tuple[float, float] = (1.0, 0.0)


NO_SAY = Say()


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

    def log_odds(self, say: Say = NO_SAY) -> np.ndarray:
        """What a calibration of the others, with the say of their neighbours, says of the language's videos, `(num_own, num_categories)`."""
        held, near = self.others.held, dataclasses.replace(self._near, width=say.width) if say.weight else None
        shares = shares_around(near, held.vectors)
        calibration = fit_calibration(self.held_logits, held.labels, held.languages, self.settings.calibration, shares, say.weight, self._pooled)
        return calibration.log_odds(self.logits, self.own.languages, shares_around(near, self.own.vectors))

    def corrected(self, say: Say, competition: float, damping: float = 0.0) -> np.ndarray:
        """The same after so much competition, and so much of the shift of the language's priors."""
        odds = self.log_odds(say)
        odds = competing(odds, competition) if competition else odds
        return odds + damping * self.prior_shift(odds) if damping else odds

    @functools.cached_property
    def _pooled(self) -> Calibration:
        return fit_pooled(self.held_logits, self.others.held.labels, self.settings.calibration)

    @functools.cached_property
    def _near(self) -> Prototypes:
        """Those of the others' training videos, of any width."""
        return _prototypes(self.others.train, self.settings, WIDTHS[0])

    def prior_shift(self, odds: np.ndarray) -> np.ndarray:
        """The estimated shift of the language's priors from the others', `(num_categories,)`; its log-odds are `odds`."""
        return prior_shift(odds, self.others.held.labels.mean(axis=0))

    def smoothed(self, odds: np.ndarray, choices: Sequence[Say]) -> list[np.ndarray]:
        """The log-odds `odds` of the language's videos, smoothed in each of the ways, by as many of them as training takes without labels."""
        rules, seed, codes = self.settings.calibration, self.settings.training.seed, self.own.languages
        some = np.random.default_rng(seed).permutation(len(self.own))[: rules.max_unlabelled]
        found = around_language(self.own.vectors[some], odds[some], rules.unlabelled_prototypes, SMOOTHING_WIDTHS[0], seed)
        ways = [Smoothing({codes[0]: dataclasses.replace(found, width=choice.width)}, choice.weight) for choice in choices]
        return [way.smoothed(odds, self.own.vectors, codes) for way in ways]

    def held_map(self, odds: np.ndarray) -> tuple[float, float]:
        """The temperature and bias that fit the held videos best; `odds` of all own videos."""
        return fit_temperature(odds[self.num_train :], self.own.labels[self.num_train :])

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


def is_worth_it(settings: Settings) -> bool:
    """Whether leaving languages out can decide anything where no language has unlabelled videos: neighbours or competition are wanted."""
    return _want_neighbours(settings) or _want_competition(settings)


def _want_neighbours(settings: Settings) -> bool:
    return settings.calibration.prototypes > 0 and settings.calibration.method != "none"


def _want_competition(settings: Settings) -> bool:
    return settings.calibration.competition != "never" and settings.calibration.method != "none"


def best_neighbours(trials: Sequence[LeftOut], settings: Settings) -> Say:
    """The say of neighbours that helps languages left out most; none where none helps beyond chance, or none is wanted."""
    if not _want_neighbours(settings):
        return NO_SAY
    choices = [Say(width, weight) for width in WIDTHS for weight in WEIGHTS]
    gains = [trial.gains(trial.log_odds(), [trial.log_odds(say) for say in choices]) for trial in trials]
    return _best("neighbours", choices, gains) or NO_SAY


def prototypes_of(train: Examples, settings: Settings, say: Say) -> Prototypes | None:
    """The prototypes of training videos, as many as the settings say; null where neighbours have no say."""
    return _prototypes(train, settings, say.width) if say.weight else None


def _prototypes(train: Examples, settings: Settings, width: float) -> Prototypes:
    return fit_prototypes(train.vectors, train.labels, settings.calibration.prototypes, width, settings.training.seed)


def best_competition(trials: Sequence[LeftOut], say: Say, settings: Settings) -> float:
    """How far categories are to compete, after the neighbours' `say`, for languages left out to be helped most; 0 where it does not beyond chance."""
    if not _want_competition(settings):
        return 0.0
    before = [trial.log_odds(say) for trial in trials]
    gains = [trial.gains(odds, [competing(odds, power) for power in COMPETITIONS]) for trial, odds in zip(trials, before, strict=True)]
    return _best("competition", COMPETITIONS, gains) or 0.0


def best_damping(trials: Sequence[LeftOut], say: Say, competition: float, settings: Settings) -> float:
    """The share of the estimated prior shift that helps languages left out most, after all before it; 0 where none does beyond chance."""

    def gains(trial: LeftOut) -> np.ndarray:
        odds = trial.corrected(say, competition)
        shift = trial.prior_shift(odds)
        return trial.gains(odds, [odds + share * shift for share in DAMPINGS])

    if settings.calibration.prior_shift == "never":
        return 0.0
    return _best("prior shift", DAMPINGS, [gains(trial) for trial in _of_enough(trials, settings)]) or 0.0


def best_smoothing(trials: Sequence[LeftOut], say: Say, competition: float, damping: float, settings: Settings) -> Say:
    """The say of a language's own unlabelled videos that helps languages left out most, after all else; none where none helps beyond chance.

    With each the mean of the maps that those languages need after it; so has the yardstick, or a map would pass for a neighbour's help.
    """
    trials = _of_enough(trials, settings)
    if not settings.calibration.unlabelled_prototypes or settings.calibration.method == "none" or not trials:
        return NO_SAY
    choices = [Say(width, weight) for width in SMOOTHING_WIDTHS for weight in SMOOTHING_WEIGHTS]
    plain = [trial.corrected(say, competition, damping) for trial in trials]
    after = [[odds, *trial.smoothed(odds, choices)] for trial, odds in zip(trials, plain, strict=True)]
    maps = [mean_map([trial.held_map(odds) for trial, odds in zip(trials, each, strict=True)]) for each in zip(*after, strict=True)]
    mapped = [[odds / temperature + bias for odds, (temperature, bias) in zip(each, maps, strict=True)] for each in after]
    gains = [trial.gains(unsmoothed, each) for trial, (unsmoothed, *each) in zip(trials, mapped, strict=True)]
    return _best("unlabelled neighbours", [choice._replace(map=own) for choice, own in zip(choices, maps[1:], strict=True)], gains) or NO_SAY


def _of_enough(trials: Sequence[LeftOut], settings: Settings) -> list[LeftOut]:
    return [trial for trial in trials if len(trial.own) >= settings.calibration.min_unlabelled]


def _best(what: str, choices: Sequence[_Choice], gains: Sequence[np.ndarray]) -> _Choice | None:
    """The choice with the highest mean gain, if that is beyond chance; `gains (num_held, len(choices))` of each language left out."""
    if not gains:
        return None
    means = np.mean([each.mean(axis=0) for each in gains], axis=0)
    errors = np.sqrt(np.sum([each.var(axis=0) / len(each) for each in gains], axis=0)) / len(gains)
    best = int(means.argmax())
    is_kept = bool(means[best] > 2 * errors[best])
    told = f"{means[best]:+.5f} (standard error {errors[best]:.5f}): {'kept' if is_kept else 'not used'}"
    log.info("%s, log-loss taken off %d languages left out, at best with %s: %s", what, len(gains), choices[best], told)
    return choices[best] if is_kept else None
