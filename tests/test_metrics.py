"""The scores that are finished in numpy, against scikit-learn, SciPy, published values and simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score, precision_score, recall_score

from xlclass.quality.metrics import MIN_BIN, Bin, CategoryCounts, LanguageScore, _folded_mean, debiased_ece, merged_bins, ratio, wilson


def counts_of(labels, given):
    """The counts of `(num_videos, num_categories)` indicators."""
    return CategoryCounts(labels.sum(axis=0), given.sum(axis=0), (labels & given).sum(axis=0))


def bins_of(confidence, right):
    """The bins of videos, from fine bins of a thousandth as `score_languages` counts them."""
    fine = np.floor(confidence * 1000).astype(int)
    num = np.bincount(fine)
    sums = [np.bincount(fine, values)[num > 0].tolist() for values in (confidence, right)]
    return merged_bins(num[num > 0].tolist(), *sums)


def plug_in_ece(bins):
    """Guo et al. 2017, eq. 3: the mean distance between confidence and share, by videos."""
    return sum(b.num_videos * abs(b.top1 - b.mean_confidence) for b in bins) / sum(b.num_videos for b in bins)


def simulated_eces(num_videos, times, shift=0.0, seed=1):
    """Debiased and plug-in errors of `times` samples whose videos are right with probability confidence - shift, `(times, 2)`."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(times):
        truth = rng.uniform(max(0, -shift), min(1, 1 - shift), num_videos)
        bins = bins_of(truth + shift, rng.random(num_videos) < truth)
        found.append((debiased_ece(bins), plug_in_ece(bins)))
    return np.array(found)


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


@pytest.mark.parametrize("seed", range(20))
def test_category_counts_agree_with_scikit_learn(seed):
    """Some categories have no label, some are never given, some neither."""
    rng = np.random.default_rng(seed)
    labels = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
    given = rng.random((60, 7)) < rng.choice([0.0, 0.02, 0.3], 7)
    labels[:, 0] = given[:, 0] = given[:, 1] = labels[:, 2] = False
    counts = counts_of(labels, given)
    scores = [score(labels, given, average="micro", zero_division=np.nan) for score in (precision_score, recall_score, f1_score)]
    macro = f1_score(labels, given, average="macro", zero_division=np.nan)
    np.testing.assert_allclose(counts.f1(), f1_score(labels, given, average=None, zero_division=np.nan), rtol=0, atol=1e-9)
    for ours, theirs in zip((*counts.micro(), counts.macro_f1()), (*scores, macro), strict=True):
        assert (ours is None) == bool(np.isnan(theirs))
        assert ours is None or ours == pytest.approx(theirs, abs=1e-9)


def test_macro_f1_counts_a_category_that_was_missed_but_not_one_that_is_absent():
    """F1 is 1 where all is right, 0 where nothing is, and no number where there is nothing: (1 + 0 + 0) / 3."""
    counts = CategoryCounts(np.array([4, 5, 0, 0]), np.array([4, 0, 2, 0]), np.array([4, 0, 0, 0]))
    assert counts.macro_f1() == pytest.approx(1 / 3)


def test_category_counts_are_null_where_there_is_nothing():
    nothing = CategoryCounts(*np.zeros((3, 4), np.int64))
    assert np.isnan(nothing.f1()).all()
    assert nothing.macro_f1() is None
    assert nothing.micro() == (None, None, None)


def test_language_score_takes_the_most_frequent_category_as_baseline():
    """Ten videos with twelve labels: always saying the first category is right for six of them."""
    counts = CategoryCounts(np.array([6, 4, 2]), np.array([5, 5, 0]), np.array([4, 3, 0]))
    score = LanguageScore("en", 7, 10, counts, [], None, None)
    assert score.majority_baseline == 0.6
    assert score.top1 == 0.7


@pytest.mark.parametrize("seed", range(10))
def test_merged_bins_keep_every_video(seed):
    rng = np.random.default_rng(seed)
    num = rng.integers(1, 80, 40)
    confidence = num * np.linspace(0.01, 0.99, 40)
    right = rng.binomial(num, 0.5)
    bins = merged_bins(num.tolist(), confidence.tolist(), right.tolist())
    assert sum(b.num_videos for b in bins) == num.sum()
    assert sum(b.num_videos * b.mean_confidence for b in bins) == pytest.approx(confidence.sum())
    assert sum(b.num_videos * b.top1 for b in bins) == pytest.approx(right.sum())
    assert min(b.num_videos for b in bins) >= MIN_BIN
    assert [b.mean_confidence for b in bins] == sorted(b.mean_confidence for b in bins)


@pytest.mark.parametrize(
    ("num", "expected"),
    [
        ([], []),
        ([99], []),
        ([100], [100]),
        ([50, 49], []),
        ([50, 50], [100]),
        ([99, 1, 99], [199]),
        ([100, 100], [100, 100]),
        ([250, 1], [251]),
        ([1, 250], [251]),
    ],
)
def test_merged_bins_close_at_the_smallest_size(num, expected):
    assert [b.num_videos for b in merged_bins(num, [0.5 * n for n in num], [0] * len(num))] == expected


def test_merged_bins_give_means_over_videos():
    """80 videos of confidence 0.1 with 8 right, 120 of 0.6 with 72 right: (8 + 72) / 200 on both sides."""
    assert merged_bins([80, 120], [8.0, 72.0], [8, 72], smallest=200) == [Bin(200, 0.4, 0.4)]


def test_merged_bins_refuse_columns_of_unlike_lengths():
    with pytest.raises(ValueError, match="zip"):
        merged_bins([100, 100], [50.0], [50, 50])


@pytest.mark.parametrize("mean", [0.0, 1e-4, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("deviation", [1e-3, 0.02, 0.05, 0.5])
def test_folded_mean_is_the_integral(mean, deviation):
    span = (mean - 12 * deviation, mean + 12 * deviation)
    integral, _ = quad(lambda x: abs(x) * norm.pdf(x, mean, deviation), *span, points=[0.0, mean], epsabs=1e-12, limit=200)
    assert _folded_mean(mean, deviation) == pytest.approx(integral, abs=1e-9)


def test_folded_mean_without_deviation_is_the_mean():
    assert _folded_mean(0.3, 0.0) == 0.3
    assert _folded_mean(0.3, 1e-9) == pytest.approx(0.3)


def test_debiased_ece_is_null_without_bins():
    assert debiased_ece([]) is None


def test_debiased_ece_is_never_below_nought():
    assert debiased_ece([Bin(100, 0.5, 0.5)]) == 0.0


def test_debiased_ece_is_the_plain_one_where_chance_adds_nothing():
    """Bins so far off, or without scatter, that |share - confidence| has no fold: 0.25 * 0.5 + 0.75 * 0.2."""
    assert debiased_ece([Bin(100, 0.5, 1.0), Bin(300, 0.2, 0.0)]) == pytest.approx(0.25 * 0.5 + 0.75 * 0.2)
    assert debiased_ece([Bin(10_000, 0.9, 0.4)]) == pytest.approx(0.5)


def test_debiased_ece_takes_off_what_the_formula_says():
    """A gap of one deviation, 0.05 at top1 0.5 and n 100: E|N(s, s)| = s (2 phi(1) + 2 Phi(1) - 1) = 1.16663 s."""
    assert debiased_ece([Bin(100, 0.45, 0.5)]) == pytest.approx(0.05 * (2 - 1.166630), abs=1e-6)


@pytest.mark.parametrize("num_videos", [300, 1_000, 3_000])
def test_debiased_ece_of_calibrated_data_is_well_below_the_plug_in_one(num_videos):
    """Where a bin's gap is chance alone, |Z| s, the estimate 2 |Z| s - E|N(|Z| s, s)| is on average 2 - sqrt(2) = 0.586 of E|Z| s."""
    debiased, plug_in = simulated_eces(num_videos, times=300).mean(axis=0)
    assert debiased < 0.66 * plug_in  # the 2 - sqrt(2), and the cut at 0 where bins are few
    assert debiased < 0.025


def test_debiased_ece_of_calibrated_data_vanishes_with_more_videos():
    """ "Less what chance alone adds": with 10,000 videos chance adds next to nothing, whatever the bins."""
    assert simulated_eces(10_000, times=30).mean(axis=0)[0] < 0.01


@pytest.mark.parametrize("shift", [0.2, -0.2])
def test_debiased_ece_finds_a_known_miscalibration(shift):
    """Confidence is too high, or too low, by 0.2 everywhere."""
    for num_videos, tolerance in ((500, 0.01), (5_000, 0.005)):
        assert simulated_eces(num_videos, times=100, shift=shift).mean(axis=0)[0] == pytest.approx(0.2, abs=tolerance)
