"""The head: its layers, that the same training gives the same numbers, and that it learns what there is to learn."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples
from xlclass.model.head import _network, logits, train_head


def confidences(model, vectors):
    return expit(logits(model, vectors))


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
    assert model.loss.name == "binary_crossentropy"


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


@pytest.mark.parametrize(("class_weights", "rare"), [("none", 0.1), ("balanced", 0.5)])
def test_train_head_gives_a_rare_category_its_weight(class_weights, rare):
    """From vectors that say nothing, a head learns how frequent a category is: 1 in 10, or half once both weigh the same."""
    labels = np.eye(2, dtype=np.float32)[(np.arange(400) % 10 == 0).astype(int)]
    settings = dataclasses.replace(SMALL, class_weights=class_weights, max_epochs=40, patience=40)
    model, _ = train_head(Examples(np.zeros((400, 8), np.float32), labels), Examples(NOTHING.vectors, labels[:0]), settings)
    assert confidences(model, np.zeros((1, 8), np.float32))[0, 1] == pytest.approx(rare, abs=0.06)


def learnt_rate(rate, **changes):
    """The confidence that a head learns from vectors that say nothing, when that share of the videos has the category."""
    labels = (np.arange(400) % 20 < 20 * rate).astype(np.float32)[:, None]
    settings = dataclasses.replace(SMALL, dropout=0.0, max_epochs=150, **changes)
    model, _ = train_head(Examples(np.zeros((400, 8), np.float32), labels), Examples(NOTHING.vectors, labels[:0]), settings)
    return confidences(model, np.zeros((1, 8), np.float32))[0, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 0.4])
def test_train_head_learns_smoothed_labels(smoothing):
    """A share of p is learnt as p (1 - s) + s / 2: Szegedy and others 2016, CVPR, section 7, for two classes."""
    assert learnt_rate(0.1, label_smoothing=smoothing) == pytest.approx(0.1 * (1 - smoothing) + smoothing / 2, abs=0.02)


@pytest.mark.parametrize(("language_weights", "rate"), [("none", 0.1), ("equal", 0.5)])
def test_train_head_lets_each_language_count_the_same(language_weights, rate):
    """Only French has the category, one video in ten is French: of languages that count the same it is half."""
    french = np.arange(400) % 10 == 0
    examples = Examples(np.zeros((400, 8), np.float32), french.astype(np.float32)[:, None], np.where(french, "fr", "en"))
    settings = dataclasses.replace(SMALL, dropout=0.0, language_weights=language_weights, max_epochs=40)
    model, _ = train_head(examples, Examples(NOTHING.vectors, NOTHING.labels[:, :1]), settings)
    assert confidences(model, np.zeros((1, 8), np.float32))[0, 0] == pytest.approx(rate, abs=0.06)


def test_train_head_decays_weights_and_leaves_biases_alone():
    """What is learnt by heart needs large weights; a frequency alone needs none, and is learnt whatever the decay."""
    sizes = {}
    for decay in (0.0, 1.0):
        settings = dataclasses.replace(SMALL, weight_decay=decay, dropout=0.0, max_epochs=40)
        model, _ = train_head(noise(80, 1), NOTHING, settings)
        sizes[decay] = np.linalg.norm(model.layers[0].kernel)
    assert sizes[1.0] < 0.8 * sizes[0.0]
    assert learnt_rate(0.1, weight_decay=1.0) == pytest.approx(0.1, abs=0.02)


WAYS = [{"mixup": 0.4}, {"label_smoothing": 0.1}, {"weight_decay": 0.5}, {"averaging": 0.9}, {"class_weights": "balanced"}]


@pytest.mark.parametrize("changes", [*WAYS, {"head": "logistic"}, {"head": "neighbours"}], ids=str)
def test_train_head_gives_the_same_numbers_again_with(changes, trained):
    settings = dataclasses.replace(SMALL, **changes)
    once, again = (train_head(noise(80, 1), noise(40, 2), settings) for _ in range(2))
    assert same(once, again)
    assert not same(once, trained)


@pytest.mark.parametrize("validation", [noise(60, 2), NOTHING], ids=["stopped", "all epochs"])
def test_train_head_keeps_the_running_mean_of_its_weights(validation):
    """With all but nothing of each step taken up, what is kept is all but the first step's weights, 0.01 from where training began."""
    settings = dataclasses.replace(SMALL, averaging=0.9999, batch_size=8, max_epochs=8)
    began = _seeded(settings).get_weights()[0]
    averaged, _ = train_head(noise(60, 1), validation, settings)
    plain, _ = train_head(noise(60, 1), validation, dataclasses.replace(settings, averaging=0.0))
    moved = [np.abs(model.get_weights()[0] - began).max() for model in (averaged, plain)]
    assert moved[0] == pytest.approx(0.01, rel=0.12)  # Adam's first step is the learning rate
    assert moved[1] > 0.03


def _seeded(settings):
    import keras

    keras.utils.set_random_seed(settings.seed)
    return _network(8, 4, settings)


def test_train_head_validates_the_running_mean():
    """The curve that stops training is that of the weights that are kept."""
    validation = noise(60, 2)
    model, curves = train_head(noise(60, 1), validation, dataclasses.replace(SMALL, averaging=0.9))
    said = confidences(model, validation.vectors).astype(float)
    kept = np.mean([log_loss(validation.labels[:, i], said[:, i], labels=[0, 1]) for i in range(4)])
    assert kept == pytest.approx(min(curves["val_loss"]), rel=1e-4)


@pytest.mark.parametrize("mixup", [0.2, 1.0])
def test_train_head_learns_from_mixtures(mixup):
    model, _ = train_head(clusters(400, 1), clusters(80, 2), dataclasses.replace(SMALL, mixup=mixup))
    fresh = clusters(400, 3)
    assert (confidences(model, fresh.vectors).argmax(axis=1) == fresh.labels.argmax(axis=1)).mean() > 0.98
