"""Out-of-fold confidences for training videos: one logistic regression per category on the vectors, fitted without the video's fold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NUM_FOLDS = 5
PENALTY = 1.0  # half the weight of the squared norm in the summed loss; on the real catalogue 0.1 and 3 gave a higher out-of-fold log-loss
_MAX_STEPS = 100
_TOLERANCE = 3e-3  # the fit ends when a step is below this share of the largest weight


def out_of_fold(vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray, texts: Sequence[str]) -> np.ndarray:
    """Confidences from models trained without the video's fold and text, `(n, num_categories) float32`; nan if no training video is left.

    `vectors (n, dim) float32`, `labels (n, num_categories)` of 0 and 1, `folds (n,)`, `texts` the text_hash of each video. A copy
    of the text in another channel would leak the label under test, so copies are left out of training.
    """
    confidences = np.full(labels.shape, np.nan, np.float32)
    for fold in np.unique(folds):
        held_out = folds == fold
        training = ~held_out & ~np.isin(texts, np.asarray(texts)[held_out])
        if training.any():
            weights = fit_logistic(vectors[training], labels[training])
            confidences[held_out] = logistic(vectors[held_out], weights)
    return confidences


def logistic(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Confidences of `vectors`, `(n, num_categories) float32`, for weights from `fit_logistic`.

    >>> logistic(np.array([[1.0, 0.0]]), np.array([[2.0], [0.0], [-2.0]])).tolist()
    [[0.5]]
    """
    return (1 / (1 + np.exp(-(vectors @ weights[:-1] + weights[-1])))).astype(np.float32)


def fit_logistic(vectors: np.ndarray, labels: np.ndarray, penalty: float = PENALTY) -> np.ndarray:
    """Weights of a logistic regression per category, `(dim + 1, num_categories)`; the last row holds the intercepts, which have no penalty.

    All categories are fitted at once by Newton steps with one fixed bound of their Hessians, X'X / 4, inverted once (Böhning and
    Lindsay 1988, Annals of the Institute of Statistical Mathematics 40:641, section 3). Every step lowers the loss.
    """
    inputs = np.hstack([vectors, np.ones((len(vectors), 1))]).astype(np.float32)
    targets = labels.astype(np.float32)
    penalties = np.full((inputs.shape[1], 1), penalty, np.float32)
    penalties[-1] = 0
    hessian_bound = (inputs.T @ inputs).astype(np.float64) / 4 + np.diag(np.maximum(penalties[:, 0], 1e-6))
    inverse = np.linalg.inv(hessian_bound).astype(np.float32)
    frequencies = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
    weights = np.zeros((inputs.shape[1], targets.shape[1]), np.float32)
    weights[-1] = np.log(frequencies / (1 - frequencies))
    for _ in range(_MAX_STEPS):
        step = inverse @ (inputs.T @ (targets - logistic(vectors, weights)) - penalties * weights)
        weights += step
        if np.abs(step).max() < _TOLERANCE * np.abs(weights).max():
            break
    return weights
