"""The calibration error, against SciPy's integrals, hand-worked values and simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from xlclass.quality.calibration_error import MIN_BIN, Bin, _folded_mean, bins_of, debiased_ece, merged_bins


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


def test_bins_of_leave_out_videos_without_confidence():
    """0.0004 and 0.0006 lie in one fine bin, 1.0 in a bin of its own."""
    confidence = np.array([1.0, np.nan, 0.0006, 0.0004, 1.0])
    assert bins_of(confidence, np.array([1, 1, 1, 0, 0]), smallest=2) == [Bin(2, pytest.approx(0.0005), 0.5), Bin(2, 1.0, 0.5)]
    assert bins_of(np.array([]), np.array([])) == []


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
