"""The plain heads: scikit-learn's own logistic regression and neighbours are the oracles."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples
from xlclass.model.head import logits, train_head


def confidences(model, vectors):
    return expit(logits(model, vectors))


LOGISTIC = TrainingSettings(head="logistic")
NEIGHBOURS = TrainingSettings(head="neighbours", neighbours=5)
NOTHING = Examples(np.empty((0, 8), np.float32), np.empty((0, 3), np.float32))


def blobs(num, seed):
    """Examples of three categories that overlap, 6, 3 and 1 in ten; one video in eight has two."""
    rng = np.random.default_rng(seed)
    category = rng.choice(3, num, p=[0.6, 0.3, 0.1])
    vectors = 1.5 * np.eye(3, 8)[category] + rng.normal(size=(num, 8))
    labels = np.eye(3, dtype=np.float32)[category]
    labels[::8, 0] = 1
    return Examples(vectors.astype(np.float32), labels)


@pytest.mark.parametrize("logistic_c", [0.01, 1.0, 100.0])
def test_logistic_head_is_scikit_learns(logistic_c):
    train, fresh = blobs(500, 1), blobs(200, 2)
    model, _ = train_head(train, NOTHING, dataclasses.replace(LOGISTIC, logistic_c=logistic_c))
    for category in range(3):
        oracle = LogisticRegression(C=logistic_c, tol=1e-8, max_iter=1_000).fit(train.vectors, train.labels[:, category])
        np.testing.assert_allclose(logits(model, fresh.vectors)[:, category], oracle.decision_function(fresh.vectors), atol=0.01)


def test_logistic_head_weighs_examples_as_scikit_learn_does():
    train = blobs(500, 1)
    one_each = Examples(train.vectors, np.eye(3, dtype=np.float32)[train.labels.argmax(axis=1)])
    model, _ = train_head(one_each, NOTHING, dataclasses.replace(LOGISTIC, class_weights="balanced"))
    rarity = 1 / one_each.labels.sum(axis=0)[one_each.labels.argmax(axis=1)]
    oracle = LogisticRegression(tol=1e-8, max_iter=1_000).fit(train.vectors, one_each.labels[:, 2], sample_weight=500 * rarity / rarity.sum())
    np.testing.assert_allclose(logits(model, train.vectors)[:, 2], oracle.decision_function(train.vectors), atol=0.01)


def test_neighbours_head_looks_at_scikit_learns_neighbours():
    """Votes by exp((cosine - 1) / 0.07) over the five nearest by cosine."""
    train, fresh = blobs(500, 1), blobs(200, 2)
    train.labels[:] = np.eye(3)[train.labels.argmax(axis=1)]
    model, _ = train_head(train, NOTHING, NEIGHBOURS)
    oracle = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights=lambda distances: np.exp(-distances / 0.07))
    shares = oracle.fit(train.vectors, train.labels.argmax(axis=1)).predict_proba(fresh.vectors)
    np.testing.assert_allclose(confidences(model, fresh.vectors), shares.clip(1e-3, 1 - 1e-3), atol=1e-3)


def test_neighbours_head_takes_fewer_videos_than_neighbours():
    train = blobs(3, 1)
    model, _ = train_head(train, NOTHING, NEIGHBOURS)
    assert np.isfinite(logits(model, blobs(20, 2).vectors)).all()


@pytest.mark.parametrize("settings", [LOGISTIC, NEIGHBOURS], ids=lambda settings: settings.head)
def test_train_head_gives_plain_heads_under_the_networks_interface(settings, tmp_path):
    """Curves of one point, logits and confidences that belong together, the same numbers from the file."""
    import keras

    train, validation = blobs(300, 1), blobs(100, 2)
    model, curves = train_head(train, validation, settings)
    assert {name: len(values) for name, values in curves.items()} == dict.fromkeys(("loss", "val_loss", "top1", "val_top1"), 1)
    said = confidences(model, validation.vectors)
    assert said.dtype == np.float32
    assert curves["val_top1"][0] == pytest.approx(validation.labels[np.arange(100), said.argmax(axis=1)].mean())
    assert curves["val_top1"][0] > 0.6
    np.testing.assert_allclose(1 / (1 + np.exp(-logits(model, validation.vectors))), said, atol=1e-6)
    assert confidences(model, NOTHING.vectors).shape == (0, 3)
    model.save(tmp_path / "head.keras")
    loaded = keras.saving.load_model(tmp_path / "head.keras", compile=False)
    np.testing.assert_array_equal(logits(loaded, validation.vectors), logits(model, validation.vectors))
