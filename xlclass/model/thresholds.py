"""From confidences to categories: one threshold per category, a little its own in a language that has labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlclass.config import ThresholdSettings

NEVER = 2.0  # above every confidence: no threshold reaches the precision that is asked for
_USUAL = 0.5  # of a category too rare to choose one
_FEWEST = 10  # videos with a category, from which a threshold is chosen
_OWN = 50.0  # videos with a category in a language at which its own threshold counts half


@dataclass(frozen=True)
class Thresholds:
    """Thresholds `categories` of the categories in their order, and of languages that have some of their own.

    A video gets those of its categories that reach their threshold, the `most` most confident of them; with the policy
    `at_least_one` the top category even where none does, with `abstain` none.
    """

    categories: tuple[float, ...]
    languages: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    policy: str = "at_least_one"
    most: int = 3

    @classmethod
    def of_manifest(cls, entry: Mapping[str, Any]) -> Thresholds:
        """The thresholds that a manifest holds as `dataclasses.asdict` gives them."""
        return cls(**entry)

    def passing(self, confidences: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        """Which categories each video gets, `(n, num_categories) bool`; a confidence equal to its threshold passes.

        Ties go to the lower category index.

        >>> given = np.array([[0.2, 0.1], [0.5, 0.5], [0.6, 0.9]], np.float32)
        >>> Thresholds((0.5, 0.5)).passing(given, ["de"] * 3).tolist()
        [[True, False], [True, True], [True, True]]
        >>> Thresholds((0.5, 0.5), {"fr": (0.7, 0.5)}, "abstain", 1).passing(given, ["de", "de", "fr"]).tolist()
        [[False, False], [True, False], [False, True]]
        """
        limits = np.array([self.languages.get(language, self.categories) for language in languages], np.float32).reshape(confidences.shape)
        order = np.argsort(-confidences, axis=1, kind="stable")
        ranks = np.argsort(order, axis=1, kind="stable")
        passed = (confidences >= limits) & (ranks < self.most)
        return passed | (ranks == 0) if self.policy == "at_least_one" else passed


def fit_thresholds(confidences: np.ndarray, labels: np.ndarray, languages: Sequence[str] | np.ndarray, settings: ThresholdSettings) -> Thresholds:
    """Thresholds chosen on videos that the head did not learn from; `confidences` and `labels` are `(n, num_categories)`.

    A language's own is drawn to the category's by n / (n + 50), n its videos with the category.
    """
    categories = tuple(_chosen(confidences[:, i], labels[:, i], settings) for i in range(confidences.shape[1]))
    codes, own = np.asarray(languages, object), {}
    for language in sorted(set(languages)):
        rows = codes == language
        own[language] = tuple(_shrunk(confidences[rows, i], labels[rows, i], common, settings) for i, common in enumerate(categories))
    return Thresholds(categories, own, settings.policy, settings.most_categories)


def _shrunk(confidences: np.ndarray, labels: np.ndarray, common: float, settings: ThresholdSettings) -> float:
    num = float(labels.sum())
    if num < _FEWEST:
        return common
    own, weight = _chosen(confidences, labels, settings), num / (num + _OWN)
    return common if NEVER in (own, common) else float(np.float32(weight * own + (1 - weight) * common))


def _chosen(confidences: np.ndarray, labels: np.ndarray, settings: ThresholdSettings) -> float:
    """The threshold of the highest F1, the highest of equals; or the lowest from which on the precision asked for is reached."""
    if labels.sum() < _FEWEST:
        return _USUAL
    order = np.argsort(-confidences, kind="stable")
    values, right = confidences[order], np.cumsum(labels[order])
    num = np.arange(1, len(values) + 1)
    is_cut = np.append(values[1:] < values[:-1], True)  # equal confidences pass together
    if settings.aim == "f1":
        scores = np.where(is_cut, 2 * right / (num + labels.sum()), -1.0)
        return float(values[scores.argmax()])
    reached = np.flatnonzero(is_cut & (right / num >= settings.precision))
    return float(values[reached[-1]]) if len(reached) else NEVER
