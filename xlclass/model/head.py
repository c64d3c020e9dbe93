"""The head: a small Keras network from a vector to one sigmoid per category, trained the same way every time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xlclass.config import TrainingSettings
from xlclass.quiet import tensorflow_starting

RECIPE = "head/1"  # raise when the same sample and settings would give another head


@dataclass(frozen=True)
class Examples:
    """`vectors (n, dim) float32` and `labels (n, num_categories) float32` of 0 and 1, row by row."""

    vectors: np.ndarray
    labels: np.ndarray


def train_head(train: Examples, validation: Examples, settings: TrainingSettings) -> tuple[Any, dict[str, list[float]]]:
    """A trained Keras model, and its training curves per epoch: `loss`, `val_loss`, `top1`, `val_top1`.

    Seeded end to end: the same examples, settings and versions give the same numbers on one machine. Stops when the
    validation loss has not fallen for `patience` epochs, and keeps the best epoch's weights; without validation examples
    it runs all epochs.
    """
    with tensorflow_starting():
        import keras

    keras.utils.set_random_seed(settings.seed)
    model = _network(train.vectors.shape[1], train.labels.shape[1], settings)
    has_validation = len(validation.vectors) > 0
    stop = keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True)
    history = model.fit(
        train.vectors,
        train.labels,
        sample_weight=_weights(train.labels) if settings.class_weights == "balanced" else None,
        validation_data=(validation.vectors, validation.labels) if has_validation else None,
        batch_size=settings.batch_size,
        epochs=settings.max_epochs,
        callbacks=[stop] if has_validation else [],
        verbose=0,
    )
    return model, {name: [float(value) for value in values] for name, values in history.history.items()}


def confidences(model: Any, vectors: np.ndarray) -> np.ndarray:
    """What the head says of each vector, `(n, num_categories) float32`, 0 to 1."""
    if not len(vectors):
        return np.empty((0, model.output_shape[-1]), np.float32)
    return np.asarray(model(vectors, training=False))  # `predict` in a loop leaks


def logits(model: Any, vectors: np.ndarray) -> np.ndarray:
    """What the head says before the sigmoid, `(n, num_categories) float32`: exact where a confidence is rounded to 0 or 1."""
    if not len(vectors):
        return np.empty((0, model.output_shape[-1]), np.float32)
    values = vectors
    for layer in model.layers[: 1 + [layer.name for layer in model.layers].index("logit")]:
        values = layer(values, training=False)
    return np.asarray(values)


def _network(dim: int, num_categories: int, settings: TrainingSettings) -> Any:
    """Dense - BatchNormalization - Dropout - Dense ... - sigmoid, compiled with binary cross-entropy: a video may have several categories."""
    import keras

    first, *others = settings.hidden
    layers = [keras.Input((dim,)), keras.layers.Dense(first, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(settings.dropout)]
    layers += [keras.layers.Dense(width, activation="relu") for width in others]
    layers += [keras.layers.Dense(num_categories, name="logit"), keras.layers.Activation("sigmoid", name="confidence")]
    model = keras.Sequential(layers, name="head")
    model.compile(keras.optimizers.Adam(settings.learning_rate), "binary_crossentropy", metrics=[_top1], jit_compile=False)
    return model


def _top1(labels: Any, confidences: Any) -> Any:
    """Whether each video's top category is among its labels: keras's categorical accuracy would look at the first label only."""
    import keras

    return keras.ops.take_along_axis(labels, keras.ops.argmax(confidences, axis=1)[:, None], axis=1)[:, 0]


_top1.__name__ = "top1"  # keras names the curves by it


def _weights(labels: np.ndarray) -> np.ndarray:
    """One weight per example, mean 1: the mean over its categories of num_examples / videos of the category; without any, the mean of all.

    >>> _weights(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)).round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    rarity = len(labels) / np.maximum(labels.sum(axis=0), 1)
    has_label = labels.any(axis=1)
    weights = np.ones(len(labels))
    if has_label.any():
        own = (labels * rarity).sum(axis=1)[has_label] / labels.sum(axis=1)[has_label]
        weights[has_label] = own / own.mean()
    return weights
