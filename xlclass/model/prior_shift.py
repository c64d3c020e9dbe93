"""How often each category occurs in a language without labels, told from the confidences themselves.

Why damped: on the real catalogue the estimate had the right sign and was two to three times too large, since a head that sees a
new language is less sure than calibration assumes; so training chooses how much of it to believe by leaving a training
language out, and nothing of it where that does not lower the log-loss.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

MOST = 4.0  # an estimated prior is at most so many times the training languages', and at least that part of it
DAMPINGS = (0.25, 0.5, 1.0)  # shares of the estimated shift that training tries
_ROUNDS, _STILL = 200, 1e-7
_FINITE = 1e-6


def estimated_priors(confidences: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """The share of the videos that have each category, `(num_categories,)`, from calibrated `confidences (n, num_categories)`.

    `priors (num_categories,)` are the shares where the confidences were calibrated. Expectation-maximisation of Saerens, Latinne,
    Decaestecker 2002 ("Adjusting the outputs of a classifier to new a priori probabilities", eq. 2.9), each category against its
    absence, within [1/4, 4] times `priors`.

    >>> certain = np.array([[1.0], [1.0], [1.0], [0.0]])
    >>> estimated_priors(certain, np.array([0.5])).round(3).tolist()
    [0.75]
    """
    priors = np.clip(np.asarray(priors, np.float64), _FINITE, 1 - _FINITE)
    low, high = priors / MOST, np.minimum(priors * MOST, 1 - _FINITE)
    found = priors
    for _ in range(_ROUNDS):
        before, found = found, np.clip(_posterior(confidences, priors, found).mean(axis=0), low, high)
        if np.abs(found - before).max() < _STILL:
            break
    return found


def _posterior(confidences: np.ndarray, priors: np.ndarray, found: np.ndarray) -> np.ndarray:
    yes, no = confidences * (found / priors), (1 - confidences) * ((1 - found) / (1 - priors))
    return yes / (yes + no)


def prior_shift(log_odds: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """What to add to calibrated log-odds, `(n, num_categories)`, of a language whose videos these are: `(num_categories,)`."""
    found = estimated_priors(expit(log_odds), priors)
    return logit(found) - logit(np.clip(priors, _FINITE, 1 - _FINITE))
