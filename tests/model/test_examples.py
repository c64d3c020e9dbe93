"""What a head is trained on: weights that sum as documented, mixtures of two examples each."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from xlclass.config import TrainingSettings
from xlclass.model.examples import Examples, category_weights, language_weights, mixed_batches, weights

MIXED = TrainingSettings(mixup=0.4, batch_size=8)


def numbered(num):
    """Examples whose vector is its own indicator, so that a mixture shows what it was mixed of."""
    return Examples(np.eye(num, dtype=np.float32), np.eye(2, dtype=np.float32)[np.arange(num) % 2])


def epoch(num, settings=MIXED, weight=None):
    """The first epoch's batches, joined."""
    batches = mixed_batches(numbered(num), np.ones(num) if weight is None else weight, settings)
    return [np.concatenate(parts) for parts in zip(*itertools.islice(batches, -(-num // settings.batch_size)), strict=True)]


def test_category_weights_agree_with_scikit_learn_on_one_label_each():
    category = np.random.default_rng(1).choice(4, 500, p=[0.7, 0.2, 0.09, 0.01])
    np.testing.assert_allclose(category_weights(np.eye(4)[category]), compute_sample_weight("balanced", category))


def test_category_weights_of_several_labels_are_their_mean():
    """Of four videos 3 have the first category, 2 the second: 4/3, 4/3, their mean with 2, 2; over the mean of the four, 19/12."""
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    np.testing.assert_allclose(category_weights(labels), np.array([4 / 3, 4 / 3, 5 / 3, 2]) / (19 / 12), rtol=1e-6)


def test_category_weights_take_a_category_without_videos():
    np.testing.assert_allclose(category_weights(np.array([[1, 0, 0], [0, 1, 0]], np.float32)), [1, 1])


def test_category_weights_keep_videos_of_no_category():
    """Such a video "teaches that it is none of them" (training.py), balanced or not."""
    found = category_weights(np.array([[1, 0], [0, 1], [0, 0]], np.float32))
    assert np.isfinite(found).all()
    assert (found > 0).all()


def test_language_weights_agree_with_scikit_learn():
    languages = np.random.default_rng(1).choice(["en", "fr", "de"], 500, p=[0.8, 0.15, 0.05])
    np.testing.assert_allclose(language_weights(languages), compute_sample_weight("balanced", languages))


def test_weights_sum_to_the_same_for_each_language_and_have_mean_one():
    languages = np.array(["en"] * 90 + ["fr"] * 10)
    found = weights(Examples(np.zeros((100, 2), np.float32), np.ones((100, 1), np.float32), languages), TrainingSettings(language_weights="equal"))
    assert found.mean() == pytest.approx(1)
    assert found[languages == "en"].sum() == pytest.approx(50)
    assert found[languages == "fr"].sum() == pytest.approx(50)


def test_weights_by_category_and_by_language_multiply():
    """Three en, one fr: 2/3 and 2. Three of a, one of b (an en): 2/3 and 2. Products 4/9, 4/9, 4/3, 4/3, over their mean 8/9."""
    labels = np.array([[1, 0], [1, 0], [0, 1], [1, 0]], np.float32)
    settings = TrainingSettings(class_weights="balanced", language_weights="equal")
    found = weights(Examples(np.zeros((4, 2), np.float32), labels, np.array(["en", "en", "en", "fr"])), settings)
    np.testing.assert_allclose(found, [0.5, 0.5, 1.5, 1.5], rtol=1e-6)


def test_weights_are_one_where_nothing_is_asked_for_or_no_language_known():
    settings = TrainingSettings(class_weights="none", language_weights="none")
    np.testing.assert_array_equal(weights(numbered(5), settings), np.ones(5))
    np.testing.assert_array_equal(weights(numbered(5), dataclasses.replace(settings, language_weights="equal")), np.ones(5))


def test_mixed_batches_hold_every_example_once_as_the_first_and_once_as_the_second():
    """The shares of an example over an epoch sum to what it gave as the first and as the second; all of them sum to one a row."""
    vectors, labels, _ = epoch(30)
    assert vectors.shape == (30, 30)
    np.testing.assert_allclose(vectors.sum(axis=1), 1, atol=1e-6)
    assert ((vectors > 0).sum(axis=1) <= 2).all()
    assert ((vectors > 0).sum(axis=0) >= 1).all()
    assert ((vectors > 0).sum(axis=1) == 2).mean() > 0.5  # else nothing was mixed
    np.testing.assert_allclose(labels, vectors @ numbered(30).labels, atol=1e-6)


def test_mixed_batches_mix_the_weights_with_the_rest():
    weight = np.linspace(0.5, 1.5, 30)
    vectors, _, mixed = epoch(30, weight=weight)
    np.testing.assert_allclose(mixed, vectors @ weight, rtol=1e-5)


@pytest.mark.parametrize("mixup", [0.2, 1.0, 5.0])
def test_mixed_batches_draw_shares_of_a_beta_distribution(mixup):
    """Its variance is 1 / (4 (2 a + 1)), its mean a half."""
    vectors = np.c_[np.arange(4_000), np.arange(4_000) ** 2].astype(np.float32)
    examples = Examples(np.ones((4_000, 1), np.float32), vectors)
    settings = dataclasses.replace(MIXED, mixup=mixup, batch_size=4_000)
    _, mixed, _ = next(mixed_batches(examples, np.ones(4_000), settings))
    rng = np.random.default_rng(settings.seed)
    one, other = rng.permutation(4_000), rng.permutation(4_000)
    shares = (mixed[:, 0] - other)[one != other] / (one - other)[one != other]
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * (2 * mixup + 1)), rel=0.1)


def test_mixed_batches_are_the_same_for_the_same_seed_and_other_for_another():
    once, again, other = epoch(30), epoch(30), epoch(30, dataclasses.replace(MIXED, seed=8))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not np.array_equal(once[0], other[0])


def test_mixed_batches_differ_from_epoch_to_epoch():
    batches = mixed_batches(numbered(8), np.ones(8), MIXED)
    assert not np.array_equal(next(batches)[0], next(batches)[0])
