"""Out-of-fold confidences: a logistic regression per category on the vectors, for videos that a head was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NUM_FOLDS = 5
PENALTY = 1.0  # half the weight of the squared norm in the summed loss; on the real catalogue 0.1 and 3 gave a higher log-loss out of fold
_STEPS = 100
_CLOSE = 3e-3  # a step below this share of the largest weight ends the fit


def out_of_fold(vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """What a model that saw neither a video's fold nor its text says of it, `(n, num_categories) float32`; nan where no other fold has a video.

    `vectors (n, dim) float32`, `labels (n, num_categories)` of 0 and 1, `folds (n,)`, `texts` the text_hash of each: a copy
    of a text in another channel would tell the model the label that is to be judged.
    """
    confidences = np.full(labels.shape, np.nan, np.float32)
    for fold in np.unique(folds):
        held_out = folds == fold
        taught = ~held_out & ~np.isin(texts, np.asarray(texts)[held_out])
        if taught.any():
            weights = fit_logistic(vectors[taught], labels[taught])
            confidences[held_out] = logistic(vectors[held_out], weights)
    return confidences


def logistic(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Confidences of `vectors`, `(n, num_categories) float32`, by weights of `fit_logistic`.

    >>> logistic(np.array([[1.0, 0.0]]), np.array([[2.0], [0.0], [-2.0]])).tolist()
    [[0.5]]
    """
    return (1 / (1 + np.exp(-(vectors @ weights[:-1] + weights[-1])))).astype(np.float32)


def fit_logistic(vectors: np.ndarray, labels: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Weights of a logistic regression per category, `(dim + 1, num_categories)`, the intercepts, not penalised, last.

    All categories at once by Newton steps with one fixed bound of their Hessians, X'X / 4, which is inverted once (Böhning and
    Lindsay 1988, Annals of the Institute of Statistical Mathematics 40:641, section 3): every step lowers the loss.
    """
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))]).astype(np.float32)
    targets = labels.astype(np.float32)
    pull = np.full((inputs.shape[1], 1), penalty, np.float32)
    pull[-1] = 0
    bound = (inputs.T @ inputs).astype(np.float64) / 4 + np.diag(np.maximum(pull[:, 0], 1e-6))
    inverse = np.linalg.inv(bound).astype(np.float32)
    share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
    weights = np.zeros((inputs.shape[1], targets.shape[1]), np.float32)
    weights[-1] = np.log(share / (1 - share))
    for _ in range(_STEPS):
        step = inverse @ (inputs.T @ (targets - logistic(vectors, weights)) - pull * weights)
        weights += step
        if np.abs(step).max() < _CLOSE * np.abs(weights).max():
            break
    return weights
