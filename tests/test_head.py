"""The head: its layers, that the same training gives the same numbers, and that it learns what there is to learn."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from xlclass.config import TrainingSettings
from xlclass.model.head import Examples, _network, _weights, confidences, logits, train_head

SMALL = TrainingSettings(hidden=(32, 16), learning_rate=0.01, max_epochs=12, patience=12)
NOTHING = Examples(np.empty((0, 8), np.float32), np.empty((0, 4), np.float32))


def noise(num, seed):
    """Examples that hold nothing to learn: a head can only learn them by heart."""
    rng = np.random.default_rng(seed)
    return Examples(rng.normal(size=(num, 8)).astype(np.float32), (rng.random((num, 4)) < 0.4).astype(np.float32))


def clusters(num, seed, several=False):
    """Examples of four categories that lie apart; with `several`, each also has the category after its own."""
    rng = np.random.default_rng(seed)
    category = rng.integers(0, 4, num)
    labels = np.eye(4, dtype=np.float32)[category]
    vectors = 3 * np.eye(4, 8)[category] + rng.normal(scale=0.4, size=(num, 8))
    return Examples(vectors.astype(np.float32), np.maximum(labels, np.roll(labels, 1, axis=1)) if several else labels)


def same(one, other):
    """Whether two trainings gave the same curves and the same confidences of some vectors, to the last bit."""
    vectors = noise(50, 99).vectors
    return one[1] == other[1] and np.array_equal(confidences(one[0], vectors), confidences(other[0], vectors))


def test_network_has_its_layers_in_order():
    model = _network(512, 12, TrainingSettings())
    shown = [type(layer).__name__ for layer in model.layers]
    assert shown == ["Dense", "BatchNormalization", "Dropout", "Dense", "Dense", "Activation"]
    first, _, dropout, second, logit, confidence = model.layers
    assert [layer.units for layer in (first, second, logit)] == [256, 128, 12]
    assert [layer.activation.__name__ for layer in (first, second, logit, confidence)] == ["relu", "relu", "linear", "sigmoid"]
    assert dropout.rate == 0.5
    assert model.input_shape == (None, 512)
    assert model.output_shape == (None, 12)


def test_network_has_as_many_numbers_as_its_layers():
    """By hand: 512*256 + 256, four per unit of the normalisation, 256*128 + 128, 128*12 + 12."""
    assert _network(512, 12, TrainingSettings()).count_params() == 131_328 + 1_024 + 32_896 + 1_548


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


@pytest.fixture(scope="module")
def two_each():
    """A head trained on videos of two categories each, its curves, and the validation examples, of which some have none."""
    validation = clusters(120, 2, several=True)
    validation.labels[:20] = 0
    return *train_head(clusters(400, 1, several=True), validation, SMALL), validation


def test_train_head_gives_the_same_numbers_again(trained):
    import keras

    keras.utils.set_random_seed(99)  # what others draw in between has no part in it
    assert same(trained, train_head(noise(80, 1), noise(40, 2), SMALL))


def test_train_head_gives_other_numbers_for_another_seed(trained):
    assert not same(trained, train_head(noise(80, 1), noise(40, 2), dataclasses.replace(SMALL, seed=8)))


def test_train_head_gives_four_curves_of_one_length(trained):
    _, curves = trained
    assert {name: len(values) for name, values in curves.items()} == dict.fromkeys(("loss", "val_loss", "top1", "val_top1"), 12)
    assert all(type(value) is float for values in curves.values() for value in values)


def test_train_head_learns_categories_that_lie_apart():
    model, curves = train_head(clusters(400, 1), clusters(80, 2), SMALL)
    fresh = clusters(400, 3)
    said = confidences(model, fresh.vectors)
    assert (said.argmax(axis=1) == fresh.labels.argmax(axis=1)).mean() > 0.98
    assert ((said >= 0.5) == fresh.labels).mean() > 0.98
    assert curves["loss"][-1] < curves["loss"][0]


def test_train_head_learns_several_categories_of_one_video(two_each):
    fresh = clusters(400, 3, several=True)
    assert ((confidences(two_each[0], fresh.vectors) >= 0.5) == fresh.labels).mean() > 0.98


@pytest.mark.parametrize("patience", [3, 100], ids=["stopped", "all epochs"])
def test_train_head_keeps_the_best_epochs_weights(patience):
    """Learning noise by heart, the validation loss falls, then rises: the head is that of the lowest point."""
    validation = noise(60, 2)
    settings = dataclasses.replace(SMALL, dropout=0.0, max_epochs=25, patience=patience)
    model, curves = train_head(noise(60, 1), validation, settings)
    best = int(np.argmin(curves["val_loss"]))
    said = confidences(model, validation.vectors).astype(float)
    kept = np.mean([log_loss(validation.labels[:, i], said[:, i], labels=[0, 1]) for i in range(4)])
    assert curves["val_loss"][-1] > curves["val_loss"][best] * 1.01  # else the test shows nothing
    assert kept == pytest.approx(curves["val_loss"][best], rel=1e-4)
    assert len(curves["val_loss"]) == min(best + 1 + patience, 25)


def test_train_head_runs_all_epochs_without_validation():
    """Dropout makes the training loss rise now and then: nothing may be read into that."""
    settings = dataclasses.replace(SMALL, dropout=0.9, max_epochs=20, patience=1)
    _, curves = train_head(noise(60, 1), NOTHING, settings)
    assert len(curves["loss"]) == 20
    assert curves.keys() == {"loss", "top1"}


def test_train_head_counts_a_top_category_as_right_when_it_is_among_the_labels(two_each):
    """DESIGN, "Splits": of a video with two labels either is right, of one with none nothing is."""
    model, curves, validation = two_each
    best = int(np.argmin(curves["val_loss"]))
    top = confidences(model, validation.vectors).argmax(axis=1)
    assert curves["val_top1"][best] == pytest.approx(validation.labels[np.arange(120), top].mean(), abs=1e-6)


def test_confidences_are_shares_of_float32():
    model = _network(8, 4, SMALL)
    said = confidences(model, 100 * noise(30, 1).vectors)
    assert said.shape == (30, 4)
    assert said.dtype == np.float32
    assert said.min() >= 0
    assert said.max() <= 1


def test_confidences_of_nothing_have_the_heads_width():
    said = confidences(_network(8, 4, SMALL), NOTHING.vectors)
    assert said.shape == (0, 4)
    assert said.dtype == np.float32


def test_logits_are_what_the_sigmoid_is_taken_of(trained):
    vectors = noise(50, 5).vectors
    said = logits(trained[0], vectors)
    assert said.dtype == np.float32
    np.testing.assert_allclose(1 / (1 + np.exp(-said.astype(float))), confidences(trained[0], vectors), atol=1e-6)


def test_logits_stay_apart_where_confidences_are_all_one():
    """A sigmoid of 20 and of 40 is 1.0 in float32: what calibrates needs the difference."""
    model = _network(8, 4, SMALL)
    vectors = 1e4 * noise(30, 1).vectors
    sure = confidences(model, vectors) == 1
    assert sure.sum() > 10
    assert len(np.unique(logits(model, vectors)[sure])) > 10


def test_logits_survive_the_file(trained, tmp_path):
    import keras

    trained[0].save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras", compile=False)
    np.testing.assert_array_equal(logits(loaded, noise(9, 5).vectors), logits(trained[0], noise(9, 5).vectors))


def test_logits_of_nothing_have_the_heads_width():
    said = logits(_network(8, 4, SMALL), NOTHING.vectors)
    assert said.shape == (0, 4)
    assert said.dtype == np.float32


def test_confidences_do_not_hang_on_the_batch(trained):
    """Dropout and batch statistics are for training only."""
    model, _ = trained
    vectors = noise(20, 5).vectors
    alone = np.concatenate([confidences(model, vectors[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(confidences(model, vectors), alone, atol=1e-6)


def test_weights_agree_with_scikit_learn_on_one_label_each():
    category = np.random.default_rng(1).choice(4, 500, p=[0.7, 0.2, 0.09, 0.01])
    np.testing.assert_allclose(_weights(np.eye(4)[category]), compute_sample_weight("balanced", category))


def test_weights_of_several_labels_are_their_mean():
    """Of four videos 3 have the first category, 2 the second: 4/3, 4/3, their mean with 2, 2; over the mean of the four, 19/12."""
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(_weights(labels), np.array([4 / 3, 4 / 3, 5 / 3, 2]) / (19 / 12), rtol=1e-6)


def test_weights_take_a_category_without_videos():
    np.testing.assert_allclose(_weights(np.array([[1, 0, 0], [0, 1, 0]], np.float32)), [1, 1])


def test_weights_keep_videos_of_no_category():
    """Such a video "teaches that it is none of them" (training.py), balanced or not."""
    weights = _weights(np.array([[1, 0], [0, 1], [0, 0]], np.float32))
    assert np.isfinite(weights).all()
    assert (weights > 0).all()


@pytest.mark.parametrize(("class_weights", "rare"), [("none", 0.1), ("balanced", 0.5)])
def test_train_head_gives_a_rare_category_its_weight(class_weights, rare):
    """From vectors that say nothing, a head learns how frequent a category is: 1 in 10, or half once both weigh the same."""
    labels = np.eye(2, dtype=np.float32)[(np.arange(400) % 10 == 0).astype(int)]
    settings = dataclasses.replace(SMALL, class_weights=class_weights, max_epochs=40, patience=40)
    model, _ = train_head(Examples(np.zeros((400, 8), np.float32), labels), Examples(NOTHING.vectors, labels[:0]), settings)
    assert confidences(model, np.zeros((1, 8), np.float32))[0, 1] == pytest.approx(rare, abs=0.06)
