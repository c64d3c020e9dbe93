"""The head: a small Keras network from a vector to one sigmoid per category, trained the same way every time."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from xlclass.config import TrainingSettings
from xlclass.model.baselines import logistic_head, neighbours_head
from xlclass.model.examples import Examples, mixed_batches, weights
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

RECIPE = "head/5"  # raise when the same sample and settings would give another model version


def train_head(train: Examples, validation: Examples, settings: TrainingSettings) -> tuple[Any, dict[str, list[float]]]:
    """A trained Keras model, and its training curves per epoch: `loss`, `val_loss`, `top1`, `val_top1`.

    Seeded end to end: the same examples, settings and versions give the same numbers on one machine. Stops when the
    validation loss has not fallen for `patience` epochs, and keeps the best epoch's weights; without validation examples
    it runs all epochs. Logistic regression and neighbours have one point each instead of curves.
    """
    with quiet_tensorflow_import():
        import keras

    keras.utils.set_random_seed(settings.seed)
    if settings.head == "keras":
        return _fitted(_network(train.vectors.shape[1], train.labels.shape[1], settings), train, validation, settings)
    plain = {"logistic": logistic_head, "neighbours": neighbours_head}[settings.head]
    model = plain(train, weights(train, settings), settings)
    sides = {"": train, "val_": validation} if len(validation.vectors) else {"": train}
    return model, {f"{side}{name}": [value] for side, rows in sides.items() for name, value in _measured(model, rows).items()}


def _fitted(model: Any, train: Examples, validation: Examples, settings: TrainingSettings) -> tuple[Any, dict[str, list[float]]]:
    import keras

    has_validation, weight = len(validation.vectors) > 0, weights(train, settings)
    fed: dict[str, Any] = {"x": train.vectors, "y": train.labels, "sample_weight": weight, "batch_size": settings.batch_size}
    if settings.mixup:
        fed = {"x": mixed_batches(train, weight, settings), "shuffle": False, "steps_per_epoch": -(-len(train.vectors) // settings.batch_size)}
    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if settings.averaging else []
    if has_validation:
        callbacks.append(keras.callbacks.EarlyStopping("val_loss", patience=settings.patience, restore_best_weights=True))
    history = model.fit(
        **fed,
        validation_data=(validation.vectors, validation.labels) if has_validation else None,
        validation_batch_size=1_024,
        epochs=settings.max_epochs,
        callbacks=callbacks,
        verbose=0,
    )
    return model, {name: [float(value) for value in values] for name, values in history.history.items()}


def _measured(model: Any, examples: Examples) -> dict[str, float]:
    """`loss` and `top1` of a head on the examples, as training has them in its curves."""
    said = logits(model, examples.vectors).astype(np.float64)
    top = np.take_along_axis(examples.labels, said.argmax(axis=1)[:, None], axis=1)
    return {"loss": float((np.logaddexp(0, said) - examples.labels * said).mean()), "top1": float(top.mean())}


def logits(model: Any, vectors: np.ndarray) -> np.ndarray:
    """What the head says before the sigmoid, `(n, num_categories) float32`: exact where a confidence is rounded to 0 or 1."""
    if not len(vectors):
        return np.empty((0, model.output_shape[-1]), np.float32)
    return np.asarray(_before_sigmoid(model)(vectors, training=False))  # `predict` in a loop leaks


@functools.lru_cache(maxsize=2)  # it takes some milliseconds, more than a text does
def _before_sigmoid(model: Any) -> Any:
    """The part of the head that ends in its logits; the layers are shared, so that what the head learns, it knows."""
    import keras

    return keras.Model(model.inputs[0], model.get_layer("logit").output)


def _network(dim: int, num_categories: int, settings: TrainingSettings) -> Any:
    """Dense - BatchNormalization - Dropout - Dense ... - sigmoid, compiled with binary cross-entropy: a video may have several categories."""
    import keras

    first, *others = settings.hidden
    layers = [keras.Input((dim,)), keras.layers.Dense(first, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(settings.dropout)]
    layers += [keras.layers.Dense(width, activation="relu") for width in others]
    layers += [keras.layers.Dense(num_categories, name="logit"), keras.layers.Activation("sigmoid", name="confidence")]
    model = keras.Sequential(layers, name="head")
    loss = keras.losses.BinaryCrossentropy(label_smoothing=settings.label_smoothing)
    model.compile(_optimizer(settings), loss, metrics=[_top1], jit_compile=False)
    return model


def _optimizer(settings: TrainingSettings) -> Any:
    """Adam; its weight decay (Loshchilov and Hutter 2019, ICLR) leaves biases and normalisation alone."""
    import keras

    averaged = {"use_ema": True, "ema_momentum": settings.averaging} if settings.averaging else {}
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay, **averaged)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _top1(labels: Any, confidences: Any) -> Any:
    """Whether each video's top category is among its labels: keras's categorical accuracy would look at the first label only."""
    import keras

    return keras.ops.take_along_axis(labels, keras.ops.argmax(confidences, axis=1)[:, None], axis=1)[:, 0]


_top1.__name__ = "top1"  # keras names the curves by it
