"""All that training learns from a sample: the decision chain, step by step; numpy and Keras, no Spark.

Why calibration also reads the validation videos: early stopping takes one number from them, the epoch. With them twice as many videos
calibrate the head; on the real catalogue the calibration error in French fell from 0.06 to 0.03.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from scipy.special import expit

from xlclass.config import Settings, TrainingSettings
from xlclass.model.calibration import NO_CHANGE, LanguageMap, LanguageMaps, fit_language_map, fit_language_maps, fit_platt, mean_map
from xlclass.model.chain import DecisionChain
from xlclass.model.examples import Examples, Splits
from xlclass.model.head import Curves, Head, train_head
from xlclass.model.leave_one_language_out import best_choice, leave_out
from xlclass.model.neighbours import NEIGHBOURS, PROPAGATION, NeighbourWeights, Propagation, fit_prototypes
from xlclass.model.prior_shift import DAMPINGS, prior_shift
from xlclass.model.thresholds import fit_thresholds

TrainHead = Callable[[Examples, Examples, TrainingSettings], tuple[Head, Curves]]
_Choice = TypeVar("_Choice")
_NO_LABELS = ""  # no language's code: the chain treats it as a language without labels


@dataclass(frozen=True)
class Draft:
    """A chain that is being built, and the videos that it is fitted on: labelled `splits`, and `unlabelled` vectors `(n, dim)` by language."""

    chain: DecisionChain
    splits: Splits
    unlabelled: Mapping[str, np.ndarray]
    settings: Settings

    @classmethod
    def of(cls, head: Head, splits: Splits, unlabelled: Mapping[str, np.ndarray], settings: Settings) -> Draft:
        """The calibrated head; all corrections are off."""
        videos = splits.calibration
        return cls(DecisionChain(head, fit_platt(head.logits(videos.vectors), videos.labels)), splits, unlabelled, settings)._with_maps()

    def with_neighbours(self, weights: NeighbourWeights) -> Draft:
        """With log-odds pooled with the nearest training videos, and the languages' maps fitted after that."""
        train, limit, seed = self.splits.train, self.settings.calibration.prototypes, self.settings.training.seed
        prototypes = fit_prototypes(train.vectors, train.labels, limit, weights, seed)
        return self._with(neighbours=prototypes)._with_maps()

    def with_prior_shifts(self, damping: float) -> Draft:
        """With the share `damping` of the estimated prior shift of each unlabelled language."""
        priors = self.splits.calibration.labels.mean(axis=0)
        shifts = {code: damping * prior_shift(self._log_odds(code), priors) for code in self.unlabelled}
        return self._with(prior_shifts={code: tuple(map(float, shift)) for code, shift in shifts.items()})

    def with_propagation(self, weights: NeighbourWeights, after: LanguageMap = NO_CHANGE) -> Draft:
        """With label propagation in each unlabelled language, and the map `after` it."""
        limit, seed = self.settings.calibration.unlabelled_prototypes, self.settings.training.seed
        confidences = {code: expit(self._log_odds(code)).astype(np.float32) for code in self.unlabelled}
        prototypes = {code: fit_prototypes(vectors, confidences[code], limit, weights, seed) for code, vectors in self.unlabelled.items()}
        return self._with(propagation=Propagation(prototypes, after))

    def finished(self) -> DecisionChain:
        """The chain with thresholds, fitted on the confidences that it gives the calibration videos."""
        videos = self.splits.calibration
        unlabelled = np.full(len(videos), _NO_LABELS, object)
        own, common = (expit(self.chain.log_odds(videos.vectors, languages)).astype(np.float32) for languages in (videos.languages, unlabelled))
        return replace(self.chain, thresholds=fit_thresholds(own, common, videos.labels, videos.languages, self.settings.thresholds))

    def _with(self, **steps: Any) -> Draft:
        return replace(self, chain=replace(self.chain, **steps))

    def _with_maps(self) -> Draft:
        videos, unmapped = self.splits.calibration, replace(self.chain, maps=LanguageMaps())
        return self._with(maps=fit_language_maps(unmapped.log_odds(videos.vectors, videos.languages), videos.labels, videos.languages))

    def _log_odds(self, language: str) -> np.ndarray:
        """Of the unlabelled videos of a language."""
        vectors = self.unlabelled[language]
        return self.chain.log_odds(vectors, np.full(len(vectors), language, object))


class Trial(NamedTuple):
    """A language left out: the draft of the other languages, and the left-out calibration videos that judge it."""

    draft: Draft
    judges: Examples


def fit(splits: Splits, unlabelled: Mapping[str, np.ndarray], settings: Settings, train: TrainHead = train_head) -> tuple[DecisionChain, Curves]:
    """The decision chain and the head's curves; `unlabelled` has vectors `(n, dim)` of languages without labels, and `train` trains the heads."""
    rules = settings.calibration
    head, curves = train(splits.train, splits.validation, settings.training)
    draft = Draft.of(head, splits, unlabelled, settings)
    trials = _trials(splits, settings, train) if unlabelled or rules.prototypes else []
    if rules.prototypes:
        draft, trials = _kept("neighbours", [NEIGHBOURS], Draft.with_neighbours, draft, trials)
    trials = [trial for trial in trials if unlabelled and trial.draft.unlabelled]
    if rules.prior_shift == "auto":
        draft, trials = _kept("prior shift", DAMPINGS, Draft.with_prior_shifts, draft, trials)
    if rules.unlabelled_prototypes and trials:
        draft = _propagated(draft, trials)
    return draft.finished(), curves


def _trials(splits: Splits, settings: Settings, train: TrainHead) -> list[Trial]:
    trials = []
    for others, unlabelled, judges in leave_out(splits, settings):
        head, _ = train(others.train, others.validation, settings.training)
        trials.append(Trial(Draft.of(head, others, unlabelled, settings), judges))
    return trials


def _kept(
    correction: str, choices: Sequence[_Choice], apply: Callable[[Draft, _Choice], Draft], draft: Draft, trials: list[Trial]
) -> tuple[Draft, list[Trial]]:
    """The draft and the trials with the choice that helps the languages left out most; unchanged if none helps."""
    compared = [(trial.judges, [trial.draft.chain, *(apply(trial.draft, choice).chain for choice in choices)]) for trial in trials]
    best = best_choice(correction, choices, compared, draft.settings.training.seed)
    if best is None:
        return draft, trials
    return apply(draft, best), [Trial(apply(trial.draft, best), trial.judges) for trial in trials]


def _propagated(draft: Draft, trials: Sequence[Trial]) -> Draft:
    """The draft with label propagation; unchanged if that does not help the languages left out.

    Chains with and without propagation are each recalibrated first, by the mean of the maps that the languages left out need, so gains
    measure propagation, not recalibration.
    """
    before, _ = _recalibrated(trials, PROPAGATION._replace(weight=0.0))
    after, map_after = _recalibrated(trials, PROPAGATION)
    compared = [(trial.judges, chains) for trial, *chains in zip(trials, before, after, strict=True)]
    best = best_choice("label propagation", [PROPAGATION], compared, draft.settings.training.seed)
    return draft.with_propagation(best, map_after) if best else draft


def _recalibrated(trials: Sequence[Trial], weights: NeighbourWeights) -> tuple[list[DecisionChain], LanguageMap]:
    """The trials' chains with label propagation and one map after it, and that map."""
    chains = [trial.draft.with_propagation(weights).chain for trial in trials]
    log_odds = [chain.log_odds(trial.judges.vectors, trial.judges.languages) for trial, chain in zip(trials, chains, strict=True)]
    map_after = mean_map([fit_language_map(values, trial.judges.labels) for trial, values in zip(trials, log_odds, strict=True)])
    return [trial.draft.with_propagation(weights, map_after).chain for trial in trials], map_after
