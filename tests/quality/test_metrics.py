"""The metrics that numpy computes from counts, against scikit-learn, SciPy and published values."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score

from xlclass.quality.metrics import CategoryCounts, LanguageScore, ratio, wilson


def counts_of(labels, predicted):
    """The counts of `(num_videos, num_categories)` indicators."""
    return CategoryCounts(labels.sum(axis=0), predicted.sum(axis=0), (labels & predicted).sum(axis=0))


def test_wilson_gives_the_published_intervals():
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    intervals = {counts: wilson(*counts) for counts in published}
    assert {counts: interval for counts, interval in intervals.items() if interval != pytest.approx(published[counts], abs=5e-5)} == {}


def test_wilson_agrees_with_scipy():
    cases = [(num_correct, num) for num in (1, 2, 7, 100, 12_345) for num_correct in {0, 1, num // 3, num // 2, num - 1, num}]
    expected = {case: binomtest(*case).proportion_ci(0.95, method="wilson") for case in cases}
    failures = [case for case in cases if wilson(*case) != pytest.approx((expected[case].low, expected[case].high), abs=1e-12)]
    assert failures == []


def test_wilson_stays_between_0_and_1():
    bounds = {num: (wilson(0, num)[0], wilson(num, num)[1]) for num in (1, 3, 50, 1_000)}
    assert {num: (low, high) for num, (low, high) in bounds.items() if not (0.0 <= low <= 1e-15 and 1 - 1e-15 <= high <= 1.0)} == {}


def test_ratio_is_null_without_a_denominator():
    assert ratio(1, 4) == 0.25
    assert ratio(0, 4) == 0.0
    assert ratio(0, 0) is None


SCORES = (precision_score, recall_score, f1_score)


def test_category_counts_agree_with_scikit_learn():
    """Some categories have no label, some no prediction, some neither."""
    failures = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
        predicted = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
        labels[:, 0] = predicted[:, 0] = predicted[:, 1] = labels[:, 2] = False
        counts = counts_of(labels, predicted)
        for average, values in ((None, counts.per_category()), ("micro", counts.micro()), ("macro", counts.macro())):
            expected = [score(labels, predicted, average=average, zero_division=np.nan) for score in SCORES]
            if not np.allclose(np.array(values, float), expected, rtol=0, atol=1e-9, equal_nan=True):  # None is nan
                failures.append((seed, average, values, expected))
    assert failures == []


def test_macro_includes_missed_categories_but_not_absent_ones():
    """F1 is 1 for the first category, 0 for the next two and undefined for the fourth: (1 + 0 + 0) / 3.

    Precision averages the first and third, which have predictions; recall the first and second, which have labels.
    """
    counts = CategoryCounts(np.array([4, 5, 0, 0]), np.array([4, 0, 2, 0]), np.array([4, 0, 0, 0]))
    assert counts.macro() == pytest.approx((1 / 2, 1 / 2, 1 / 3))


def test_category_counts_of_no_videos_give_null():
    empty = CategoryCounts(*np.zeros((3, 4), np.int64))
    assert np.isnan(empty.per_category()).all()
    assert empty.macro() == empty.micro() == (None, None, None)


def test_language_score_uses_the_most_frequent_category_as_baseline():
    """Ten videos with twelve labels: the first category is correct for six of them."""
    counts = CategoryCounts(np.array([6, 4, 2]), np.array([5, 5, 0]), np.array([4, 3, 0]))
    score = LanguageScore("en", 10, 7, 4, counts, {}, [], [], None, None)
    assert (score.majority_baseline, score.top1, score.subset_accuracy) == (0.6, 0.7, 0.4)
