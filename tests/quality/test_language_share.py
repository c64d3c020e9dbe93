"""The share of the variance that tells the language, against scikit-learn's analysis of variance."""

import numpy as np
import pytest
from sklearn.feature_selection import f_classif

from xlclass.quality.language_share import MIN_VIDEOS, language_variance_share

NUM = 50


def test_share_is_that_of_an_analysis_of_variance():
    """For one number and groups of equal size: between / total = F (k - 1) / (F (k - 1) + n - k)."""
    rng = np.random.default_rng(3)
    languages = np.repeat(["en", "fr", "de", "cs"], NUM)
    values = rng.normal(size=(4 * NUM, 1)) + np.repeat([0.0, 0.3, 1.0, -0.5], NUM)[:, None]
    (f,), _ = f_classif(values, languages)
    assert language_variance_share(values, languages) == pytest.approx(f * 3 / (f * 3 + 4 * NUM - 4))


def test_share_counts_each_language_once_and_leaves_out_small_ones():
    rng = np.random.default_rng(4)
    values, languages = rng.normal(size=(2 * NUM, 5)) + np.repeat([0.0, 1.0], NUM)[:, None], np.repeat(["en", "fr"], NUM)
    share = language_variance_share(values, languages)
    twice = language_variance_share(np.vstack([values, values[:NUM]]), np.concatenate([languages, languages[:NUM]]))
    assert twice == pytest.approx(share)
    far_away = np.full((MIN_VIDEOS - 1, 5), 100.0)
    assert language_variance_share(np.vstack([values, far_away]), np.concatenate([languages, np.full(MIN_VIDEOS - 1, "de")])) == pytest.approx(share)
    assert language_variance_share(values[:NUM], languages[:NUM]) is None
    assert language_variance_share(np.ones((2 * NUM, 5)), languages) is None  # no variance at all
