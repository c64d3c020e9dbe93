"""The decision chain: from vectors to categories, in training, backfill, stream and command line alike.

    vector -> head -> logit
      -> Platt scaling per category, fitted on all training languages together
      -> log-odds pooled with the nearest training videos (`neighbours`, on or off)
      -> a temperature and a bias per training language; in other languages their mean (`maps`), and the prior shift (on or off)
      -> in a language without labels: label propagation among its own videos, and a map after it (`propagation`, on or off)
      -> thresholds

What is on was decided by `leave_one_language_out.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from xlclass.model.calibration import LanguageMaps, Platt
from xlclass.model.head import Head
from xlclass.model.neighbours import Propagation, Prototypes
from xlclass.model.thresholds import Thresholds


@dataclass(frozen=True)
class Decisions:
    """What the chain decides on n videos, row by row.

    `confidences (n, num_categories) float32`, calibrated; `passed`, of the same shape: the categories that each video gets; `logits`, of the
    same shape: the head's, before calibration.
    """

    confidences: np.ndarray
    passed: np.ndarray
    logits: np.ndarray

    @property
    def top(self) -> np.ndarray:
        """Index of each video's most confident category, the lowest of equals, `(n,) int64`."""
        return self.confidences.argmax(axis=1) if self.confidences.size else np.empty(0, np.int64)

    @property
    def top_logits(self) -> np.ndarray:
        """Each video's logit of its top category, `(n,) float32`."""
        return self.logits[np.arange(len(self.logits)), self.top]


@dataclass(frozen=True)
class DecisionChain:
    """The steps of the chain, in their order; `prior_shifts` are added to the log-odds of a language, one number per category."""

    head: Head
    platt: Platt
    neighbours: Prototypes | None = None
    maps: LanguageMaps = LanguageMaps()
    prior_shifts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    propagation: Propagation | None = None
    thresholds: Thresholds = Thresholds(())

    @property
    def corrections(self) -> dict[str, float]:
        """1 for each correction that is on, 0 for each that is off."""
        return {name: float(bool(getattr(self, name))) for name in ("neighbours", "prior_shifts", "propagation")}

    def decide(self, vectors: np.ndarray, languages: Sequence[str] | np.ndarray) -> Decisions:
        """Confidences and categories of `vectors (n, dim) float32` and their languages."""
        logits = self.head.logits(vectors)
        confidences = expit(self._log_odds(logits, vectors, languages)).astype(np.float32)
        return Decisions(confidences, self.thresholds.passing(confidences, languages), logits)

    def log_odds(self, vectors: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        """Log-odds of the confidences, `(n, num_categories) float64`, of `vectors (n, dim) float32` and their languages."""
        return self._log_odds(self.head.logits(vectors), vectors, languages)

    def _log_odds(self, logits: np.ndarray, vectors: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        log_odds, codes = self.platt.apply(logits), np.asarray(languages, object)
        if self.neighbours:
            log_odds = self.neighbours.pool(log_odds, vectors)
        log_odds = self.maps.apply(log_odds, codes)
        for language, shift in self.prior_shifts.items():
            log_odds[codes == language] += np.asarray(shift)
        return self.propagation.apply(log_odds, vectors, codes) if self.propagation else log_odds
