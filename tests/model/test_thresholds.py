"""Thresholds: equal passes, ties, the limit, abstaining; and which thresholds are chosen."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score

from xlclass.config import ThresholdSettings
from xlclass.model.thresholds import NEVER, Thresholds, fit_thresholds

F1, PRECISE = ThresholdSettings(), ThresholdSettings(aim="precision", precision=0.9)


def drawn(num=600, seed=3):
    """Calibrated confidences of two categories, and labels."""
    rng = np.random.default_rng(seed)
    confidences = rng.beta(0.6, 1.2, (num, 2)).astype(np.float32)
    return confidences, (rng.random(confidences.shape) < confidences).astype(np.float32)


def fitted(confidences, labels, settings=F1, languages=None, common=None):
    """Thresholds of videos in English, or in `languages`; `common`: their confidences as videos of a language without labels."""
    languages = np.full(len(labels), "en", object) if languages is None else languages
    return fit_thresholds(confidences, confidences if common is None else common, labels, languages, settings)


def test_passing_lets_every_threshold_pass_its_equal():
    """0.7 as float32 is below 0.7 as a Python float: both sides of the comparison must be rounded alike."""
    wrong = []
    for threshold in (i / 100 for i in range(101)):
        equal = np.array([[1.0, threshold, threshold]], np.float32)
        below = np.nextafter(equal, np.float32(-1))
        passed = Thresholds((threshold,) * 3).passing(equal, ["de"]).all()
        if not passed or Thresholds((threshold,) * 3, policy="abstain").passing(below, ["de"])[:, 1:].any():
            wrong.append(threshold)
    assert not wrong


def test_passing_gives_the_most_confident_and_ties_to_the_lower_index():
    confidences = np.array([[0.6, 0.9, 0.9, 0.6], [0.9, 0.9, 0.9, 0.9]], np.float32)
    thresholds = Thresholds((0.5,) * 4, policy="abstain", limit=3)
    assert thresholds.passing(confidences, ["de"] * 2).tolist() == [[True, True, True, False], [True, True, True, False]]


def test_passing_takes_no_videos_and_leaves_its_input():
    assert Thresholds((0.5, 0.5)).passing(np.empty((0, 2), np.float32), []).shape == (0, 2)
    confidences = np.array([[0.2, 0.8]], np.float32)
    before = confidences.copy()
    Thresholds((0.5, 0.5)).passing(confidences, ["en"])
    np.testing.assert_array_equal(confidences, before)


def test_fit_thresholds_reaches_the_best_f1():
    confidences, labels = drawn()
    for i, threshold in enumerate(fitted(confidences, labels).common):
        best = max(f1_score(labels[:, i], confidences[:, i] >= value) for value in confidences[:, i])
        assert f1_score(labels[:, i], confidences[:, i] >= np.float32(threshold)) == pytest.approx(best, abs=1e-12)


def test_fit_thresholds_takes_the_lowest_that_reaches_the_precision():
    confidences, labels = drawn()
    for i, threshold in enumerate(fitted(confidences, labels, PRECISE).common):
        reached = [value for value in confidences[:, i] if precision_score(labels[:, i], confidences[:, i] >= value) >= 0.9]
        assert np.float32(threshold) == min(reached)


def test_fit_thresholds_never_gives_a_category_that_cannot_be_precise():
    confidences = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    labels = (np.arange(100) < 50).astype(np.float32)[:, None]  # the more confident, the more often wrong
    thresholds = fitted(confidences, labels, PRECISE)
    assert thresholds.common == (NEVER,)
    assert not dataclasses.replace(thresholds, policy="abstain").passing(np.ones((1, 1), np.float32), ["en"]).any()


def test_fit_thresholds_keeps_equal_confidences_together():
    """Three of five equal ones are right: a cut between them would overstate the precision."""
    confidences = np.array([[0.9]] * 5 + [[0.1]] * 20, np.float32)
    labels = np.array([[1.0]] * 3 + [[0.0]] * 2 + [[1.0]] * 7 + [[0.0]] * 13, np.float32)
    assert fitted(confidences, labels, PRECISE).common == (NEVER,)


def test_fit_thresholds_leaves_a_rare_category_at_one_half():
    confidences, labels = drawn()
    labels[:, 1] = 0
    labels[:9, 1] = 1
    assert fitted(confidences, labels).common[1] == 0.5


def test_fit_thresholds_draws_a_language_to_the_category_if_its_labels_are_few():
    confidences, labels = drawn(4_000)
    thresholds = fitted(confidences, labels, languages=np.repeat(np.array(["en", "fr", "de"], object), [3_900, 92, 8]))
    alone = fitted(confidences[3_900:3_992], labels[3_900:3_992]).common
    num = labels[3_900:3_992].sum(axis=0)
    np.testing.assert_allclose(thresholds.languages["fr"], (num * alone + 50 * np.array(thresholds.common)) / (num + 50), atol=1e-6)
    assert thresholds.languages["de"] == thresholds.common


def test_fit_thresholds_are_of_the_confidences_that_they_are_applied_to():
    """A language without labels gets half the confidences: its thresholds are halved, those of the training languages are not."""
    confidences, labels = drawn(4_000)
    languages = np.repeat(np.array(["en", "fr"], object), [3_995, 5])
    thresholds = fitted(confidences, labels, languages=languages, common=confidences / 2)
    own = fitted(confidences, labels, languages=languages)
    np.testing.assert_allclose(thresholds.common, np.array(own.common) / 2)
    assert thresholds.languages == own.languages
    assert thresholds.languages["fr"] == own.common  # of too few videos: those of all training languages, not those without labels
