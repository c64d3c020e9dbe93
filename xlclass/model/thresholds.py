"""From confidences to categories: a threshold per category, and per training language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xlclass.config import ThresholdSettings

NEVER = 2.0  # above every confidence: no threshold reaches the required precision
_DEFAULT = 0.5  # of a category with too few videos to choose one
_MIN_POSITIVES = 10  # videos with a category from which a threshold is chosen
_HALF_WEIGHT = 50.0  # videos with a category in a language for which the language's threshold and the pooled one count the same


@dataclass(frozen=True)
class Thresholds:
    """A threshold per category: those of each training language in `languages`, and `common` of all other languages.

    A video gets the categories that reach their threshold, at most the `limit` most confident ones. If none does, it gets its top
    category (policy `at_least_one`) or none (`abstain`).
    """

    common: tuple[float, ...]
    languages: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    policy: str = "at_least_one"
    limit: int = 3

    def passing(self, confidences: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        """Which categories each video gets, `(n, num_categories) bool`; a confidence equal to its threshold passes.

        Ties go to the lower category index.

        >>> confidences = np.array([[0.2, 0.1], [0.5, 0.5], [0.6, 0.9]], np.float32)
        >>> Thresholds((0.5, 0.5)).passing(confidences, ["de"] * 3).tolist()
        [[True, False], [True, True], [True, True]]
        >>> Thresholds((0.5, 0.5), {"fr": (0.7, 0.5)}, "abstain", 1).passing(confidences, ["de", "de", "fr"]).tolist()
        [[False, False], [True, False], [False, True]]
        """
        minima = np.array([self.languages.get(language, self.common) for language in languages], np.float32).reshape(confidences.shape)
        order = np.argsort(-confidences, axis=1, kind="stable")
        ranks = np.argsort(order, axis=1, kind="stable")
        passed = (confidences >= minima) & (ranks < self.limit)
        return passed | (ranks == 0) if self.policy == "at_least_one" else passed


def fit_thresholds(
    confidences: np.ndarray, unlabelled_confidences: np.ndarray, labels: np.ndarray, languages: np.ndarray, settings: ThresholdSettings
) -> Thresholds:
    """Thresholds chosen on held-out videos of the training languages, each on the confidences that it is applied to.

    All arrays but `languages (n,)` are `(n, num_categories)`. A training language's thresholds are fitted on its own `confidences`, and drawn by
    n / (n + 50), n its videos with the category, to those of all training languages' `confidences` together. The common thresholds are fitted
    on `unlabelled_confidences`: those that the chain gives the same videos if their language counts as one without labels.
    """
    pooled, by_language = _fit(confidences, labels, settings), {}
    for language in sorted(set(languages)):
        rows = languages == language
        by_language[str(language)] = tuple(_drawn(confidences[rows, i], labels[rows, i], target, settings) for i, target in enumerate(pooled))
    return Thresholds(_fit(unlabelled_confidences, labels, settings), by_language, settings.policy, settings.max_categories)


def _fit(confidences: np.ndarray, labels: np.ndarray, settings: ThresholdSettings) -> tuple[float, ...]:
    return tuple(_fit_category(confidences[:, i], labels[:, i], settings) for i in range(confidences.shape[1]))


def _drawn(confidences: np.ndarray, labels: np.ndarray, target: float, settings: ThresholdSettings) -> float:
    """A category's threshold in one language, drawn to `target`."""
    num_positives = float(labels.sum())
    if num_positives < _MIN_POSITIVES:
        return target
    threshold, weight = _fit_category(confidences, labels, settings), num_positives / (num_positives + _HALF_WEIGHT)
    return target if NEVER in (threshold, target) else float(np.float32(weight * threshold + (1 - weight) * target))


def _fit_category(confidences: np.ndarray, labels: np.ndarray, settings: ThresholdSettings) -> float:
    """The threshold with the highest F1, the highest of equals; or the lowest one that reaches the required precision."""
    if labels.sum() < _MIN_POSITIVES:
        return _DEFAULT
    order = np.argsort(-confidences, kind="stable")
    values, num_correct = confidences[order], np.cumsum(labels[order])
    num_passed = np.arange(1, len(values) + 1)
    is_cut = np.append(values[1:] < values[:-1], True)  # equal confidences pass together
    if settings.aim == "f1":
        scores = np.where(is_cut, 2 * num_correct / (num_passed + labels.sum()), -1.0)
        return float(values[scores.argmax()])
    reached = np.flatnonzero(is_cut & (num_correct / num_passed >= settings.precision))
    return float(values[reached[-1]]) if len(reached) else NEVER
