"""From logits to confidences that mean what they say: per category on all training languages, then a little per language.

Why this order: a category has few positives in one language, so its map is fitted on the languages pooled; what the nearest training
videos say (`prototypes.py`) is a second opinion on that; a language's own temperature and bias are two numbers that all its videos
decide, pulled towards no change where these are few. A language without labels gets the first two, the mean of the languages' maps,
since languages count alike as guesses at one more, the competition of its categories, and the shift of their priors
(`prior_shift.py`); neighbours, competition and shift as far as leaving a training language out shows that they help (`left_out.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit, logsumexp

from xlclass.config import CalibrationSettings

ISOTONIC_ROWS = 1_000  # below, isotonic regression follows the noise (Niculescu-Mizil, Caruana 2005, section 5)
_SCALE_PRIOR, _SHIFT_PRIOR, _LEAST_SCALE = 1.0, 0.1, 0.05  # of a category's map: one video's worth of pull to the identity; never falling
_LANGUAGE_PRIOR = 5.0  # of a language's map: as much pull as a handful of videos
_FINITE = 1e-6  # from 0 and 1, before a logit is taken
COMPETITIONS = (0.5, 1.0)  # that training tries
_LEAST_SHARE = 1e-3  # likewise of a share among neighbours: some hundred videos cannot say that a category never occurs


@dataclass(frozen=True)
class Calibration:
    """A map from logits to confidences; categories are in the order of the head's outputs.

    `scales` and `shifts` are Platt's, one a category; `knots` in their place, for a category that has them, are logits and the
    confidences there. `weight`, 0 to 1, is that of the neighbours' log-odds. `languages`: temperature and bias, and `common` those of
    all other languages; `competition`, 0 to 1, is how far their categories compete; `prior_shifts`: what is added to each category's log-odds.
    """

    scales: tuple[float, ...]
    shifts: tuple[float, ...]
    languages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    prior_shifts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    knots: tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, ...] = ()
    weight: float = 0.0
    common: tuple[float, float] = (1.0, 0.0)
    competition: float = 0.0

    @classmethod
    def identity(cls, num_categories: int) -> Calibration:
        """The map that takes the sigmoid as it is."""
        return cls((1.0,) * num_categories, (0.0,) * num_categories)

    @classmethod
    def of_manifest(cls, entry: Mapping[str, Any]) -> Calibration:
        """The map that a manifest holds as `dataclasses.asdict` gives it."""
        return cls(**entry)

    def log_odds(self, logits: np.ndarray, languages: Sequence[str] | np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
        """Log-odds of the confidences, `(n, num_categories) float64`, of logits of the same shape, their languages and the neighbours' shares.

        >>> pooled = Calibration((2.0,), (1.0,), {"fr": (2.0, 0.5)}, {"th": (-1.0,)})
        >>> pooled.log_odds(np.array([[1.0]] * 3), ["de", "fr", "th"]).ravel().tolist()
        [3.0, 2.0, 2.0]
        """
        pooled = self._pooled(np.asarray(logits, np.float64))
        if shares is not None:
            pooled = blended(pooled, shares, self.weight)
        maps = np.array([self.languages.get(language, self.common) for language in languages]).reshape(-1, 2)
        shifted = pooled / maps[:, :1] + maps[:, 1:]
        codes = np.asarray(languages, object)
        if self.competition:
            is_other = np.array([language not in self.languages for language in languages], bool)
            shifted[is_other] = competing(shifted[is_other], self.competition)
        for language, shift in self.prior_shifts.items():
            shifted[codes == language] += np.asarray(shift)
        return shifted

    def _pooled(self, logits: np.ndarray) -> np.ndarray:
        mapped = logits * np.asarray(self.scales) + np.asarray(self.shifts)
        for category, knots in enumerate(self.knots):
            if knots:
                mapped[:, category] = logit(np.interp(logits[:, category], *knots))
        return mapped


def fit_calibration(
    logits: np.ndarray,
    labels: np.ndarray,
    languages: Sequence[str] | np.ndarray,
    settings: CalibrationSettings,
    shares: np.ndarray | None = None,
    weight: float = 0.0,
    pooled: Calibration | None = None,
) -> Calibration:
    """The map fitted on videos that the head did not learn from; the identity without any, or where the settings want none.

    `logits`, `labels` and the neighbours' `shares (n, num_categories)`, labels 0 or 1; `pooled` is what `fit_pooled` gives for these logits,
    where that is known. The languages' maps are temperature scaling (Guo et al. 2017, section 4.2) with a bias, at the maximum of a
    posterior centred on no change.
    """
    num_videos, num_categories = logits.shape
    if not num_videos or settings.method == "none":
        return Calibration.identity(num_categories)
    heard = dataclasses.replace(pooled or fit_pooled(logits, labels, settings), weight=weight)
    codes, odds, truth = np.asarray(languages, object), heard.log_odds(logits, languages, shares), np.asarray(labels, np.float64)
    own = {language: fit_temperature(odds[codes == language], truth[codes == language]) for language in sorted(set(languages))}
    return dataclasses.replace(heard, languages=own, common=mean_map(list(own.values())))


def fit_pooled(logits: np.ndarray, labels: np.ndarray, settings: CalibrationSettings) -> Calibration:
    """The categories' maps, on all languages together; of one video at least.

    Platt 1999, "Probabilistic outputs for support vector machines", with a ridge to the identity in place of his smoothed targets;
    isotonic after Zadrozny, Elkan 2002.
    """
    num_videos, num_categories = logits.shape
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)
    pairs = [_platt(logits[:, i], labels[:, i]) for i in range(num_categories)]
    steps = settings.method == "isotonic" and num_videos >= ISOTONIC_ROWS
    knots = tuple(_knots(logits[:, i], labels[:, i]) if steps else None for i in range(num_categories))
    return Calibration(tuple(a for a, _ in pairs), tuple(b for _, b in pairs), knots=knots)


def blended(log_odds: np.ndarray, shares: np.ndarray, weight: float) -> np.ndarray:
    """Log-odds of the head and of the neighbours' shares, both `(n, num_categories)`, averaged with `weight` on the neighbours'.

    The logarithmic pool of Genest, Zidek 1986, Statistical Science 1:114, section 3.

    >>> blended(np.array([[2.0, 2.0]]), np.array([[0.5, 0.0]]), 0.5).round(2).tolist()
    [[1.0, -2.45]]
    """
    return (1 - weight) * log_odds + weight * logit(np.clip(np.asarray(shares, np.float64), _LEAST_SHARE, 1 - _LEAST_SHARE))


def competing(log_odds: np.ndarray, power: float) -> np.ndarray:
    """Log-odds `(n, num_categories)` of confidences that are divided by the `power`, 0 to 1, of their sum over the categories.

    With 1 it is the normalisation of Zadrozny, Elkan 2002 ("Transforming classifier scores into accurate multiclass probability
    estimates", KDD, section 4). Why: a video with three likely categories has seldom all three, and one with none likely has one.

    >>> expit(competing(logit(np.array([[0.6, 0.6], [0.2, 0.2]])), 1.0)).round(3).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    >>> expit(competing(logit(np.array([[0.5, 0.5], [0.2, 0.05]])), 0.5)).round(3).tolist()
    [[0.5, 0.5], [0.4, 0.1]]
    """
    logs = -np.logaddexp(0, -log_odds)
    logs = np.minimum(logs - power * logsumexp(logs, axis=1, keepdims=True), np.log1p(-_FINITE))
    return logs - np.log(-np.expm1(logs))


def fit_temperature(log_odds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Temperature and bias of one language from its `log_odds` and `labels (n, num_categories)`; 1 and 0 without any."""
    per_video = 1 / log_odds.shape[1]  # a video counts once, however many categories there are

    def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
        log_temperature, bias = given
        cooled = log_odds * np.exp(-log_temperature)
        error = expit(cooled + bias) - labels
        value = log_losses(cooled + bias, labels).sum() * per_video + _LANGUAGE_PRIOR * (given**2).sum()
        slope = per_video * np.array([-(error * cooled).sum(), error.sum()]) + 2 * _LANGUAGE_PRIOR * given
        return float(value), slope

    log_temperature, bias = minimize(loss, [0.0, 0.0], jac=True, method="L-BFGS-B").x
    return float(np.exp(log_temperature)), float(bias)


def mean_map(maps: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The temperature and bias between those of several languages, which count alike; of one map at least.

    >>> mean_map([(0.5, 1.0), (2.0, 0.0)])
    (1.0, 0.5)
    """
    temperatures, biases = zip(*maps, strict=True)
    return float(np.exp(np.mean(np.log(temperatures)))), float(np.mean(biases))


def log_losses(log_odds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log-likelihood per video and category, in nats, of the shape of both.

    >>> log_losses(np.array([[0.0, 0.0]]), np.array([[1.0, 0.0]])).round(4).tolist()
    [[0.6931, 0.6931]]
    """
    return np.logaddexp(0, log_odds) - labels * log_odds


def _platt(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Scale and shift of one category."""

    def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
        scale, shift = given
        odds = scale * logits + shift
        error = expit(odds) - labels
        value = log_losses(odds, labels).sum() + _SCALE_PRIOR * (scale - 1) ** 2 + _SHIFT_PRIOR * shift**2
        slope = [(error * logits).sum() + 2 * _SCALE_PRIOR * (scale - 1), error.sum() + 2 * _SHIFT_PRIOR * shift]
        return float(value), np.array(slope)

    scale, shift = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(_LEAST_SCALE, None), (None, None)]).x
    return float(scale), float(shift)


def _knots(logits: np.ndarray, labels: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The steps of isotonic regression, each at the mean logit of its videos: between them a line, so that few videos tie."""
    order = np.argsort(logits, kind="stable")
    fitted = isotonic_regression(labels[order])
    bounds = list(zip(fitted.blocks[:-1], fitted.blocks[1:], strict=True))
    places = tuple(float(logits[order[a:b]].mean()) for a, b in bounds)
    return places, tuple(float(np.clip(fitted.x[a], _FINITE, 1 - _FINITE)) for a, _ in bounds)
