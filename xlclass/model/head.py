"""The head: a small Keras network from a vector to one sigmoid per category, trained reproducibly."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

RECIPE = "head/7"  # raise it if the same sample and settings would give another model version
Curves = dict[str, list[float]]


class Head:
    """A trained Keras model whose layer `logit` is followed by a sigmoid."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """The inputs of the sigmoid, `(n, num_categories) float32`: they differ even if their confidences are rounded to 0 or 1."""
        if not len(vectors):
            return np.empty((0, self.model.output_shape[-1]), np.float32)
        return np.asarray(self._before_sigmoid(vectors, training=False))  # `predict` in a loop leaks memory

    @functools.cached_property
    def _before_sigmoid(self) -> Any:
        import keras

        return keras.Model(self.model.inputs[0], self.model.get_layer("logit").output)

    def save(self, file: Path) -> None:
        """Writes the model to `file`, which ends in .keras."""
        self.model.save(file)

    @classmethod
    def load(cls, file: Path) -> Head:
        """The head that `save` wrote to `file`."""
        with quiet_tensorflow_import():
            import keras

        return cls(keras.saving.load_model(file, compile=False))


def train_head(train: Examples, validation: Examples, settings: TrainingSettings) -> tuple[Head, Curves]:
    """A trained head, and its training curves per epoch: `loss`, `val_loss`, `top1`, `val_top1`.

    Seeded: the same examples, settings and versions give the same numbers on one machine. Training stops when the validation loss
    has not fallen for `patience` epochs, and keeps the weights of the best epoch; without validation examples it runs all epochs.
    """
    with quiet_tensorflow_import():
        import keras

    keras.utils.set_random_seed(settings.seed)
    model = _network(train.vectors.shape[1], train.labels.shape[1], settings)
    has_validation = len(validation) > 0
    history = model.fit(
        train.vectors,
        train.labels,
        batch_size=settings.batch_size,
        epochs=settings.max_epochs,
        validation_data=(validation.vectors, validation.labels) if has_validation else None,
        validation_batch_size=1_024,
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True)] if has_validation else [],
        verbose=0,
    )
    return Head(model), {name: [float(value) for value in values] for name, values in history.history.items()}


def _network(dim: int, num_categories: int, settings: TrainingSettings) -> Any:
    """Dense - BatchNormalization - Dropout - Dense ... - sigmoid, compiled with binary cross-entropy, as a video may have several categories."""
    import keras

    first, *others = settings.hidden
    layers = [keras.Input((dim,)), keras.layers.Dense(first, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(settings.dropout)]
    layers += [keras.layers.Dense(width, activation="relu") for width in others]
    layers += [keras.layers.Dense(num_categories, name="logit"), keras.layers.Activation("sigmoid", name="confidence")]
    model = keras.Sequential(layers, name="head")
    model.compile(keras.optimizers.Adam(settings.learning_rate), "binary_crossentropy", metrics=[_top1], jit_compile=False)
    return model


def _top1(labels: Any, confidences: Any) -> Any:
    """Whether each video's top category is among its labels; Keras's categorical accuracy compares with the first label only."""
    import keras

    return keras.ops.take_along_axis(labels, keras.ops.argmax(confidences, axis=1)[:, None], axis=1)[:, 0]


_top1.__name__ = "top1"  # Keras names the curves after the function
