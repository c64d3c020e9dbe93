"""The bootstrap by channel, against closed forms."""

import numpy as np
import pytest

from xlclass.runtime.resampling import resampled_sums, standard_errors, sums_by_channel


@pytest.mark.parametrize("size", [1, 4])
def test_standard_errors_are_those_of_a_mean_over_channels(size):
    """Of channels of equal size and equal values, the variance of the mean is that of the channels over their number."""
    values = np.repeat(np.random.default_rng(3).normal(size=(500, 2)) * [1, 3], size, axis=0)
    errors = standard_errors(np.arange(len(values)) // size, values, 4_000, 7)
    np.testing.assert_allclose(errors, values.std(axis=0) / np.sqrt(500), rtol=0.05)


def test_standard_errors_count_videos_not_channels():
    """One large channel weighs by its videos: the mean of a resample is the sum of its values over the number of its videos."""
    channels = np.array(["large"] * 90 + [f"small{i}" for i in range(10)], object)
    values = np.where(channels == "large", 1.0, 0.0)[:, None]
    sums = resampled_sums(sums_by_channel(channels, np.column_stack([np.ones(100), values])), 1_000, 7)
    assert standard_errors(channels, values, 1_000, 7) == pytest.approx([(sums[:, 1] / sums[:, 0]).std()])
    assert set(np.round(sums[:, 1] % 90, 6)) == {0}


def test_resampled_sums_are_the_same_for_the_same_seed_only():
    sums = np.random.default_rng(1).normal(size=(30, 2))
    one, again, other = (resampled_sums(sums, 450, seed) for seed in (7, 7, 8))
    assert one.shape == (450, 2)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
