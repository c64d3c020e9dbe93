"""Calibration: maps from logits to log-odds of confidences, per category on all training languages together, then per language.

Why this order: a category has few positive videos in one language, so its map is fitted on all training languages together. All videos
of a language fit the two numbers of its own map, which are drawn towards no change if these are few. A language without labels gets
the mean of the languages' maps, each counted once: each language is one guess at a further one, however many videos it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

_SCALE_PRIOR, _SHIFT_PRIOR = 1.0, 0.1  # of a category's map: draws to the identity with the weight of about one video
_MIN_SCALE = 0.05  # a map never falls
_LANGUAGE_PRIOR = 5.0  # of a language's map: the weight of a handful of videos


@dataclass(frozen=True)
class Platt:
    """Scale and shift per category, in the order of the head's outputs (Platt 1999, "Probabilistic outputs for support vector machines")."""

    scales: tuple[float, ...]
    shifts: tuple[float, ...]

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Log-odds, `(n, num_categories) float64`, of `logits` of the same shape.

        >>> Platt((2.0, 1.0), (1.0, 0.0)).apply(np.array([[1.0, 1.0]])).tolist()
        [[3.0, 1.0]]
        """
        return np.asarray(logits, np.float64) * np.asarray(self.scales) + np.asarray(self.shifts)


class LanguageMap(NamedTuple):
    """Temperature and bias of a language's log-odds; the default changes nothing."""

    temperature: float = 1.0
    bias: float = 0.0

    def apply(self, log_odds: np.ndarray) -> np.ndarray:
        """The mapped log-odds, of the same shape."""
        return log_odds / self.temperature + self.bias


NO_CHANGE = LanguageMap()


@dataclass(frozen=True)
class LanguageMaps:
    """The maps of the training languages, and `mean`, which all other languages get."""

    languages: Mapping[str, LanguageMap] = field(default_factory=dict)
    mean: LanguageMap = NO_CHANGE

    def apply(self, log_odds: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        """The log-odds `(n, num_categories)`, each row mapped by its language.

        >>> LanguageMaps({"fr": LanguageMap(2.0, 0.5)}).apply(np.array([[3.0], [3.0]]), ["de", "fr"]).tolist()
        [[3.0], [2.0]]
        """
        maps = np.array([self.languages.get(language, self.mean) for language in languages]).reshape(-1, 2)
        return log_odds / maps[:, :1] + maps[:, 1:]


def fit_platt(logits: np.ndarray, labels: np.ndarray) -> Platt:
    """The categories' maps from `logits` and `labels (n, num_categories)` of held-out videos; the identity without any.

    A ridge that draws to the identity takes the place of Platt's smoothed targets.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    pairs = [_fit_category(logits[:, i], labels[:, i]) for i in range(logits.shape[1])]
    return Platt(tuple(scale for scale, _ in pairs), tuple(shift for _, shift in pairs))


def fit_language_maps(log_odds: np.ndarray, labels: np.ndarray, languages: np.ndarray) -> LanguageMaps:
    """The maps of the `languages (n,)` of held-out videos, and their mean; without videos no map changes anything."""
    maps = {str(code): fit_language_map(log_odds[languages == code], labels[languages == code]) for code in sorted(set(languages))}
    return LanguageMaps(maps, mean_map(list(maps.values())) if maps else NO_CHANGE)


def fit_language_map(log_odds: np.ndarray, labels: np.ndarray) -> LanguageMap:
    """The map of one language from the `log_odds` and `labels (n, num_categories)` of its videos; no change without any.

    Temperature scaling (Guo et al. 2017, section 4.2) with a bias, at the maximum of a posterior that is centred on no change.
    """
    per_video = 1 / log_odds.shape[1]  # a video counts once, however many categories there are

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        log_temperature, bias = parameters
        cooled = log_odds * np.exp(-log_temperature)
        error = expit(cooled + bias) - labels
        value = log_losses(cooled + bias, labels).sum() * per_video + _LANGUAGE_PRIOR * (parameters**2).sum()
        slope = per_video * np.array([-(error * cooled).sum(), error.sum()]) + 2 * _LANGUAGE_PRIOR * parameters
        return float(value), slope

    log_temperature, bias = minimize(loss, [0.0, 0.0], jac=True, method="L-BFGS-B").x
    return LanguageMap(float(np.exp(log_temperature)), float(bias))


def mean_map(maps: Sequence[LanguageMap]) -> LanguageMap:
    """The mean of at least one map: the geometric mean of the temperatures, and the mean of the biases.

    >>> mean_map([LanguageMap(0.5, 1.0), LanguageMap(2.0, 0.0)])
    LanguageMap(temperature=1.0, bias=0.5)
    """
    temperatures, biases = zip(*maps, strict=True)
    return LanguageMap(float(np.exp(np.mean(np.log(temperatures)))), float(np.mean(biases)))


def log_losses(log_odds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood per video and category, in nats, of the shape of both arguments.

    >>> log_losses(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).round(4).tolist()
    [[0.6931, 0.6931]]
    """
    return np.logaddexp(0, log_odds) - labels * log_odds


def _fit_category(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and shift of one category."""

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shift = parameters
        log_odds = scale * logits + shift
        error = expit(log_odds) - labels
        value = log_losses(log_odds, labels).sum() + _SCALE_PRIOR * (scale - 1) ** 2 + _SHIFT_PRIOR * shift**2
        slope = [(error * logits).sum() + 2 * _SCALE_PRIOR * (scale - 1), error.sum() + 2 * _SHIFT_PRIOR * shift]
        return float(value), np.array(slope)

    scale, shift = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(_MIN_SCALE, None), (None, None)]).x
    return float(scale), float(shift)
