"""The scores that are finished in numpy, against scikit-learn, SciPy and published values."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score

from xlclass.quality.metrics import CategoryCounts, LanguageScore, ratio, wilson


def counts_of(labels, given):
    """The counts of `(num_videos, num_categories)` indicators."""
    return CategoryCounts(labels.sum(axis=0), given.sum(axis=0), (labels & given).sum(axis=0))


@pytest.mark.parametrize(
    ("num_right", "num", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(num_right, num, low, high):
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    assert wilson(num_right, num) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("num", [1, 2, 7, 100, 12_345])
def test_wilson_agrees_with_scipy(num):
    for num_right in {0, 1, num // 3, num // 2, num - 1, num}:
        expected = binomtest(num_right, num).proportion_ci(0.95, method="wilson")
        assert wilson(num_right, num) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("num", [1, 3, 50, 1_000])
def test_wilson_stays_within_a_share(num):
    assert 0.0 <= wilson(0, num)[0] <= 1e-15
    assert 1 - 1e-15 <= wilson(num, num)[1] <= 1.0


def test_ratio_is_null_without_a_denominator():
    assert ratio(1, 4) == 0.25
    assert ratio(0, 4) == 0.0
    assert ratio(0, 0) is None


SCORES = (precision_score, recall_score, f1_score)


@pytest.mark.parametrize("seed", range(20))
def test_category_counts_agree_with_scikit_learn(seed):
    """Some categories have no label, some are never given, some neither."""
    rng = np.random.default_rng(seed)
    labels = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
    given = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
    labels[:, 0] = given[:, 0] = given[:, 1] = labels[:, 2] = False
    counts = counts_of(labels, given)
    each = [score(labels, given, average=None, zero_division=np.nan) for score in SCORES]
    np.testing.assert_allclose(counts.per_category(), each, rtol=0, atol=1e-9)
    for average, ours in (("micro", counts.micro()), ("macro", counts.macro())):
        theirs = [score(labels, given, average=average, zero_division=np.nan) for score in SCORES]
        np.testing.assert_allclose(np.array(ours, float), theirs, rtol=0, atol=1e-9)  # None is nan


def test_macro_counts_a_category_that_was_missed_but_not_one_that_is_absent():
    """F1 is 1 where all is right, 0 where nothing is, and no number where there is nothing: (1 + 0 + 0) / 3.

    Precision is over the first and the third, which are given; recall over the first and the second, which have labels.
    """
    counts = CategoryCounts(np.array([4, 5, 0, 0]), np.array([4, 0, 2, 0]), np.array([4, 0, 0, 0]))
    assert counts.macro() == pytest.approx((1 / 2, 1 / 2, 1 / 3))


def test_category_counts_are_null_where_there_is_nothing():
    nothing = CategoryCounts(*np.zeros((3, 4), np.int64))
    assert np.isnan(nothing.per_category()).all()
    assert nothing.macro() == nothing.micro() == (None, None, None)


def test_language_score_takes_the_most_frequent_category_as_baseline():
    """Ten videos with twelve labels: always saying the first category is right for six of them."""
    counts = CategoryCounts(np.array([6, 4, 2]), np.array([5, 5, 0]), np.array([4, 3, 0]))
    score = LanguageScore("en", 10, 7, 4, counts, {}, [], [], None, None)
    assert (score.majority_baseline, score.top1, score.subset_accuracy) == (0.6, 0.7, 0.4)
