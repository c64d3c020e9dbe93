"""Two plain heads to measure the network against: logistic regression and k nearest neighbours, both as Keras models.

Why Keras models: a bundle stores, checks and loads them like the network, and nothing is pickled. Logistic regression is a
network without a hidden layer; neighbours are a layer whose weights are the training vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples
from xlclass.schemas import unit

STEPS = 200  # of the descent: after them no logit of the real catalogue moves by 0.01
TEMPERATURE = 0.07  # of the neighbours' votes: Wu and others 2018, CVPR, equation 2 and section 3.4


def logistic_head(train: Examples, weight: np.ndarray, settings: TrainingSettings) -> Any:
    """One logistic regression per category, as a Keras model: the weighted log-loss plus the penalty, at its only minimum.

    The penalty is scikit-learn's: squares of the weights, without the bias, over 2 `logistic_c`, beside the sum over examples.
    """
    import keras

    model = keras.Sequential([keras.Input((train.vectors.shape[1],)), *_outputs(train.labels.shape[1])], name="head")
    kernel, bias = _minimum(train, weight, 1 / (settings.logistic_c * len(train.vectors)))
    model.get_layer("logit").set_weights([kernel, bias])
    return model


def _minimum(train: Examples, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel `(dim, num_categories)` and bias of the least mean log-loss.

    Newton steps with the bound of the second derivative that holds everywhere (Böhning and Lindsay 1988, Ann. Inst. Statist. Math. 40:641),
    accelerated (Nesterov 2004, Introductory Lectures on Convex Optimization, 2.2.19).
    """
    rows = np.hstack([train.vectors, np.ones((len(train.vectors), 1), np.float32)])
    scale = (weight / len(rows)).astype(np.float32)[:, None]
    decay = np.r_[np.full(rows.shape[1] - 1, penalty), 1e-9].astype(np.float32)[:, None]
    bound = np.linalg.inv((0.25 * rows.T @ (rows * scale)).astype(np.float64) + np.diag(decay[:, 0])).astype(np.float32)
    here = ahead = np.zeros((rows.shape[1], train.labels.shape[1]), np.float32)
    for step in range(STEPS):
        error = (1 / (1 + np.exp(-(rows @ ahead))) - train.labels) * scale
        there = ahead - bound @ (rows.T @ error + decay * ahead)
        here, ahead = there, there + np.float32(step / (step + 3)) * (there - here)
    return here[:-1], here[-1]


def neighbours_head(train: Examples, weight: np.ndarray, settings: TrainingSettings) -> Any:
    """The share of each category among the `neighbours` nearest training vectors by cosine, each voting exp(cosine / 0.07) times its weight."""
    import keras

    num, dim = train.vectors.shape
    given = keras.Input((dim,))
    cosines = keras.layers.Dense(num, use_bias=False, name="cosines")(keras.layers.UnitNormalization()(given))
    least = keras.ops.top_k(cosines, min(settings.neighbours, num))[0][:, -1:]
    near = keras.ops.where(cosines >= least, keras.ops.exp((cosines - 1) / TEMPERATURE), 0.0)
    votes = keras.layers.Dense(train.labels.shape[1] + 1, use_bias=False, name="votes")(near)
    share = keras.ops.clip(votes[:, :-1] / votes[:, -1:], 1e-3, 1 - 1e-3)  # finite logits
    logit = keras.layers.Activation("linear", name="logit")(keras.ops.log(share) - keras.ops.log(1 - share))
    model = keras.Model(given, keras.layers.Activation("sigmoid", name="confidence")(logit), name="head")
    model.get_layer("cosines").set_weights([unit(train.vectors).T])
    model.get_layer("votes").set_weights([np.hstack([train.labels, np.ones((num, 1))]) * weight[:, None]])
    return model


def _outputs(num_categories: int) -> list[Any]:
    import keras

    return [keras.layers.Dense(num_categories, name="logit"), keras.layers.Activation("sigmoid", name="confidence")]
