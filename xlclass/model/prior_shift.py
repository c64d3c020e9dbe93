"""The prior shift: how often each category occurs in a language without labels, estimated from the confidences themselves.

Why damped: on the real catalogue the estimate had the right sign and was two to three times too large, because a head is less sure in a new
language than calibration assumes. Training chooses the damping by leave-one-language-out, and uses no shift if none lowers the log-loss.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

MAX_RATIO = 4.0  # of an estimated prior to that of the training languages, and of that to an estimated one
DAMPINGS = (0.25, 0.5, 1.0)  # shares of the estimated shift that training tries
_ROUNDS, _TOLERANCE = 200, 1e-7
_FINITE = 1e-6  # distance of a prior from 0 and 1, so that its logit is finite


def prior_shift(log_odds: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """What to add to the calibrated `log_odds (n, num_categories)` of one language's videos, `(num_categories,)`."""
    return logit(estimated_priors(expit(log_odds), priors)) - logit(np.clip(priors, _FINITE, 1 - _FINITE))


def estimated_priors(confidences: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The share of the videos that have each category, `(num_categories,)`, from calibrated `confidences (n, num_categories)`.

    `priors (num_categories,)` are the shares in the videos that fitted the calibration. Expectation-maximisation of Saerens, Latinne,
    Decaestecker 2002 ("Adjusting the outputs of a classifier to new a priori probabilities", eq. 2.9), each category against its
    absence, within [1/4, 4] times `priors`.

    >>> certain = np.array([[1.0], [1.0], [1.0], [0.0]])
    >>> estimated_priors(certain, np.array([0.5])).round(3).tolist()
    [0.75]
    """
    priors = np.clip(np.asarray(priors, np.float64), _FINITE, 1 - _FINITE)
    low, high = priors / MAX_RATIO, np.minimum(priors * MAX_RATIO, 1 - _FINITE)
    estimate = priors
    for _ in range(_ROUNDS):
        before, estimate = estimate, np.clip(_posterior(confidences, priors, estimate).mean(axis=0), low, high)
        if np.abs(estimate - before).max() < _TOLERANCE:
            break
    return estimate


def _posterior(confidences: np.ndarray, priors: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    present, absent = confidences * (estimate / priors), (1 - confidences) * ((1 - estimate) / (1 - priors))
    return present / (present + absent)
