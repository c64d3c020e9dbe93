"""The head: its layers, that the same training gives the same numbers, and that it learns."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples
from xlclass.model.head import Head, _network, train_head

SMALL = TrainingSettings(hidden=(32, 16), learning_rate=0.01, max_epochs=12, patience=12)
NOTHING = Examples(np.empty((0, 8), np.float32), np.empty((0, 4), np.float32))


def confidences(head, vectors):
    return expit(head.logits(vectors).astype(float))


def noise(num, seed):
    """Examples without a pattern: a head can only memorise them."""
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(num, 8)).astype(np.float32), (rng.random((num, 4)) < 0.4).astype(np.float32))


def clusters(num, seed, several=False):
    """Examples of four categories that lie apart; with `several`, each video also has the next category."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 4, num)
    labels = np.eye(4, dtype=np.float32)[category]
    vectors = 3 * np.eye(4, 8)[category] + rng.normal(scale=0.4, size=(num, 8))
    return Examples(vectors.astype(np.float32), np.maximum(labels, np.roll(labels, 1, axis=1)) if several else labels)


def test_network_has_its_layers_in_order():
    """Parameters by hand: 512*256 + 256, four per unit of the normalisation, 256*128 + 128, 128*12 + 12."""
    model = _network(512, 12, TrainingSettings())
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "BatchNormalization", "Dropout", "Dense", "Dense", "Activation"]
    first, _, dropout, second, logit, confidence = model.layers
    assert [layer.units for layer in (first, second, logit)] == [256, 128, 12]
    assert [layer.activation.__name__ for layer in (first, second, logit, confidence)] == ["relu", "relu", "linear", "sigmoid"]
    assert dropout.rate == 0.5
    assert (model.input_shape, model.output_shape) == ((None, 512), (None, 12))
    assert model.count_params() == 131_328 + 1_024 + 32_896 + 1_548


def test_network_follows_the_settings():
    model = _network(8, 3, TrainingSettings(hidden=(64, 32, 16), dropout=0.25, learning_rate=0.125))
    assert [layer.units for layer in model.layers if hasattr(layer, "units")] == [64, 32, 16, 3]
    assert model.layers[2].rate == 0.25
    assert float(model.optimizer.learning_rate) == 0.125
    assert model.loss == "binary_crossentropy"


@pytest.fixture(scope="module")
def trained():
    """A head trained on noise, and its curves."""
    return train_head(noise(80, 1), noise(40, 2), SMALL)


def test_train_head_gives_the_same_numbers_for_the_same_seed_only(trained):
    import keras

    keras.utils.set_random_seed(99)  # random numbers drawn by other code must not change the training
    again, other = (train_head(noise(80, 1), noise(40, 2), settings) for settings in (SMALL, dataclasses.replace(SMALL, seed=8)))
    logits = [head.logits(noise(50, 99).vectors) for head, _ in (trained, again, other)]
    assert trained[1] == again[1] != other[1]
    assert np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_train_head_learns_categories_that_lie_apart():
    head, curves = train_head(clusters(400, 1), clusters(80, 2), SMALL)
    fresh = clusters(400, 3)
    assert (head.logits(fresh.vectors).argmax(axis=1) == fresh.labels.argmax(axis=1)).mean() > 0.98
    assert ((confidences(head, fresh.vectors) >= 0.5) == fresh.labels).mean() > 0.98
    assert curves["loss"][-1] < curves["loss"][0]
    assert {name: len(values) for name, values in curves.items()} == dict.fromkeys(("loss", "val_loss", "top1", "val_top1"), 12)
    assert all(type(value) is float for values in curves.values() for value in values)


def test_train_head_learns_several_categories_of_one_video():
    """DESIGN, "Splits": a top category is right if it is among the labels; of a video without labels none is."""
    validation, fresh = clusters(120, 2, several=True), clusters(400, 3, several=True)
    validation.labels[:20] = 0
    head, curves = train_head(clusters(400, 1, several=True), validation, SMALL)
    assert ((confidences(head, fresh.vectors) >= 0.5) == fresh.labels).mean() > 0.98
    top = head.logits(validation.vectors).argmax(axis=1)
    assert curves["val_top1"][int(np.argmin(curves["val_loss"]))] == pytest.approx(validation.labels[np.arange(120), top].mean(), abs=1e-6)


@pytest.mark.parametrize("patience", [3, 100], ids=["stopped", "all epochs"])
def test_train_head_keeps_the_best_epochs_weights(patience):
    """A head that memorises noise: the validation loss falls, then rises, and the weights are those of the lowest point."""
    validation = noise(60, 2)
    settings = dataclasses.replace(SMALL, dropout=0.0, max_epochs=25, patience=patience)
    head, curves = train_head(noise(60, 1), validation, settings)
    best = int(np.argmin(curves["val_loss"]))
    predicted = confidences(head, validation.vectors)
    kept = np.mean([log_loss(validation.labels[:, i], predicted[:, i], labels=[0, 1]) for i in range(4)])
    assert curves["val_loss"][-1] > curves["val_loss"][best] * 1.01  # else the test shows nothing
    assert kept == pytest.approx(curves["val_loss"][best], rel=1e-4)
    assert len(curves["val_loss"]) == min(best + 1 + patience, 25)


def test_train_head_runs_all_epochs_without_validation():
    """Dropout makes the training loss rise now and then; that must not stop the training."""
    _, curves = train_head(noise(60, 1), NOTHING, dataclasses.replace(SMALL, dropout=0.9, max_epochs=20, patience=1))
    assert len(curves["loss"]) == 20
    assert curves.keys() == {"loss", "top1"}


def test_logits_are_the_inputs_of_the_sigmoid_also_after_load(trained, tmp_path):
    head, vectors = trained[0], noise(50, 5).vectors
    logits = head.logits(vectors)
    assert (logits.shape, logits.dtype) == ((50, 4), np.float32)
    np.testing.assert_allclose(expit(logits), np.asarray(head.model(vectors, training=False)), atol=1e-6)
    head.save(tmp_path / "head.keras")
    np.testing.assert_array_equal(Head.load(tmp_path / "head.keras").logits(vectors), logits)


def test_logits_differ_where_confidences_are_all_one():
    """A sigmoid of 20 and of 40 is 1.0 in float32; calibration needs the difference."""
    logits = Head(_network(8, 4, SMALL)).logits(1e4 * noise(30, 1).vectors)
    saturated = expit(logits) == 1
    assert saturated.sum() > 10
    assert len(np.unique(logits[saturated])) > 10


def test_logits_do_not_depend_on_the_batch(trained):
    """Dropout and batch statistics are for training only."""
    vectors = noise(20, 5).vectors
    alone = np.concatenate([trained[0].logits(vectors[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(trained[0].logits(vectors), alone, atol=1e-5)
    nothing = trained[0].logits(NOTHING.vectors)
    assert (nothing.shape, nothing.dtype) == ((0, 4), np.float32)
