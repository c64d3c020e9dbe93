"""The calibration error, against SciPy's integrals, hand-worked values and simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from xlclass.quality.calibration_error import MIN_BIN, Bin, _folded_mean, bins_of, debiased_ece, merged_bins


def plug_in_ece(bins):
    """Guo et al. 2017, eq. 3: mean |accuracy - confidence|, weighted by videos."""
    return sum(b.num_videos * abs(b.top1 - b.mean_confidence) for b in bins) / sum(b.num_videos for b in bins)


def simulated_eces(num_videos, times, shift=0.0, seed=1):
    """Debiased and plug-in errors of `times` samples whose videos are correct with probability confidence - shift, `(times, 2)`."""
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(times):
        probability = rng.uniform(max(0, -shift), min(1, 1 - shift), num_videos)
        bins = bins_of(probability + shift, rng.random(num_videos) < probability)
        errors.append((debiased_ece(bins), plug_in_ece(bins)))
    return np.array(errors)


def test_merged_bins_keep_every_video():
    failures = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        num = rng.integers(1, 80, 40)
        confidence = num * np.linspace(0.01, 0.99, 40)
        correct = rng.binomial(num, 0.5)
        bins = merged_bins(num.tolist(), confidence.tolist(), correct.tolist())
        totals = [sum(values) for values in zip(*((b.num_videos, b.num_videos * b.mean_confidence, b.num_videos * b.top1) for b in bins), strict=True)]
        means = [b.mean_confidence for b in bins]
        keeps_all = totals == pytest.approx([num.sum(), confidence.sum(), correct.sum()])
        if not keeps_all or min(b.num_videos for b in bins) < MIN_BIN or means != sorted(means):
            failures.append((seed, bins))
    assert failures == []


def test_merged_bins_close_at_the_smallest_size():
    sizes = {
        (): [],
        (99,): [],
        (100,): [100],
        (50, 49): [],
        (50, 50): [100],
        (99, 1, 99): [199],
        (100, 100): [100, 100],
        (250, 1): [251],
        (1, 250): [251],
    }
    merged = {num: [b.num_videos for b in merged_bins(num, [0.5 * n for n in num], [0] * len(num))] for num in sizes}
    assert merged == sizes


def test_merged_bins_give_means_over_videos():
    """80 videos of confidence 0.1 with 8 correct, 120 of 0.6 with 72 correct: (8 + 72) / 200 for both means."""
    assert merged_bins([80, 120], [8.0, 72.0], [8, 72], smallest=200) == [Bin(200, 0.4, 0.4)]


def test_merged_bins_refuse_columns_of_different_lengths():
    with pytest.raises(ValueError, match="zip"):
        merged_bins([100, 100], [50.0], [50, 50])


def test_bins_of_leave_out_videos_without_confidence():
    """0.0004 and 0.0006 share a fine bin, 1.0 has a bin of its own."""
    confidence = np.array([1.0, np.nan, 0.0006, 0.0004, 1.0])
    assert bins_of(confidence, np.array([1, 1, 1, 0, 0]), smallest=2) == [Bin(2, pytest.approx(0.0005), 0.5), Bin(2, 1.0, 0.5)]
    assert bins_of(np.array([]), np.array([])) == []


def test_folded_mean_is_the_integral():
    cases = [(mean, deviation) for mean in (0.0, 1e-4, 0.05, 0.3, 1.0) for deviation in (1e-3, 0.02, 0.05, 0.5)]
    integrals = {}
    for mean, deviation in cases:
        span = (mean - 12 * deviation, mean + 12 * deviation)
        integrals[mean, deviation] = quad(lambda x, m=mean, d=deviation: abs(x) * norm.pdf(x, m, d), *span, points=[0.0, mean], epsabs=1e-12, limit=200)[0]
    assert {case: _folded_mean(*case) for case in cases} == pytest.approx(integrals, abs=1e-9)


def test_folded_mean_without_deviation_is_the_mean():
    assert _folded_mean(0.3, 0.0) == 0.3
    assert _folded_mean(0.3, 1e-9) == pytest.approx(0.3)


def test_debiased_ece_is_null_without_bins():
    assert debiased_ece([]) is None


def test_debiased_ece_is_never_negative():
    assert debiased_ece([Bin(100, 0.5, 0.5)]) == 0.0


def test_debiased_ece_equals_the_plug_in_error_without_noise():
    """Gaps far above the noise, or accuracies without variance, need no correction: 0.25 * 0.5 + 0.75 * 0.2."""
    assert debiased_ece([Bin(100, 0.5, 1.0), Bin(300, 0.2, 0.0)]) == pytest.approx(0.25 * 0.5 + 0.75 * 0.2)
    assert debiased_ece([Bin(10_000, 0.9, 0.4)]) == pytest.approx(0.5)


def test_debiased_ece_subtracts_the_bias_of_the_formula():
    """A gap of one deviation, 0.05 at top1 0.5 and n 100: E|N(s, s)| = s (2 phi(1) + 2 Phi(1) - 1) = 1.16663 s."""
    assert debiased_ece([Bin(100, 0.45, 0.5)]) == pytest.approx(0.05 * (2 - 1.166630), abs=1e-6)


def test_debiased_ece_of_calibrated_data_is_well_below_the_plug_in_error():
    """If a bin's gap is only noise, |Z| s, the estimate 2 |Z| s - E|N(|Z| s, s)| is on average 2 - sqrt(2) = 0.586 of E|Z| s."""
    errors = {num_videos: simulated_eces(num_videos, times=300).mean(axis=0).tolist() for num_videos in (300, 1_000, 3_000)}
    # 0.66 instead of 2 - sqrt(2), because the estimate is cut at 0 if there are few bins
    assert {n: (debiased, plug_in) for n, (debiased, plug_in) in errors.items() if debiased >= 0.66 * plug_in or debiased >= 0.025} == {}


def test_debiased_ece_of_calibrated_data_vanishes_with_more_videos():
    """With 10,000 videos the noise adds almost nothing, in any bins."""
    assert simulated_eces(10_000, times=30).mean(axis=0)[0] < 0.01


def test_debiased_ece_measures_a_given_miscalibration():
    """Confidence is too high, or too low, by 0.2 everywhere."""
    cases = [(shift, num_videos, tolerance) for shift in (0.2, -0.2) for num_videos, tolerance in ((500, 0.01), (5_000, 0.005))]
    errors = {case: simulated_eces(case[1], times=100, shift=case[0]).mean(axis=0)[0] for case in cases}
    assert {case: error for case, error in errors.items() if error != pytest.approx(0.2, abs=case[2])} == {}
