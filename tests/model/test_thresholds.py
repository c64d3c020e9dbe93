"""Thresholds: equal passes, ties, at most k, abstaining; and which ones are chosen."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score

from xlclass.config import ThresholdSettings
from xlclass.model.thresholds import NEVER, Thresholds, fit_thresholds

F1, PRECISE = ThresholdSettings(), ThresholdSettings(aim="precision", precision=0.9)


def drawn(num=600, seed=3):
    """Confidences of two categories, calibrated, and labels."""
    rng = np.random.default_rng(seed)
    confidences = rng.beta(0.6, 1.2, (num, 2)).astype(np.float32)
    return confidences, (rng.random(confidences.shape) < confidences).astype(np.float32)


@pytest.mark.parametrize("threshold", [i / 100 for i in range(101)])
def test_passing_lets_every_threshold_pass_its_equal(threshold):
    """0.7 as float32 is below 0.7 as a Python float: both sides must be cut alike."""
    given = np.array([[1.0, threshold, threshold]], np.float32)
    assert Thresholds((threshold,) * 3).passing(given, ["de"]).all()
    below = np.nextafter(given, np.float32(-1))
    assert not Thresholds((threshold,) * 3, policy="abstain").passing(below, ["de"])[:, 1:].any()


def test_passing_gives_the_most_confident_and_ties_to_the_lower_index():
    given = np.array([[0.6, 0.9, 0.9, 0.6], [0.9, 0.9, 0.9, 0.9]], np.float32)
    limits = Thresholds((0.5,) * 4, policy="abstain", most=3)
    assert limits.passing(given, ["de"] * 2).tolist() == [[True, True, True, False], [True, True, True, False]]


def test_passing_abstains_or_gives_one_by_policy():
    given = np.array([[0.2, 0.3]], np.float32)
    assert Thresholds((0.5, 0.5), policy="abstain").passing(given, ["de"]).tolist() == [[False, False]]
    assert Thresholds((0.5, 0.5)).passing(given, ["de"]).tolist() == [[False, True]]


def test_passing_takes_a_languages_own_thresholds():
    given = np.array([[0.6, 0.1]] * 2, np.float32)
    limits = Thresholds((0.5, 0.5), {"fr": (0.7, 0.05)}, "abstain")
    assert limits.passing(given, ["de", "fr"]).tolist() == [[True, False], [False, True]]


def test_passing_takes_no_videos_and_leaves_its_input():
    assert Thresholds((0.5, 0.5)).passing(np.empty((0, 2), np.float32), []).shape == (0, 2)
    given = np.array([[0.2, 0.8]], np.float32)
    before = given.copy()
    Thresholds((0.5, 0.5)).passing(given, ["en"])
    np.testing.assert_array_equal(given, before)


def test_fit_thresholds_takes_the_best_f1_of_all():
    confidences, labels = drawn()
    chosen = fit_thresholds(confidences, labels, ["en"] * len(labels), F1).categories
    for i in range(2):
        best = max(f1_score(labels[:, i], confidences[:, i] >= value) for value in confidences[:, i])
        assert f1_score(labels[:, i], confidences[:, i] >= np.float32(chosen[i])) == pytest.approx(best, abs=1e-12)


def test_fit_thresholds_reaches_the_precision_and_gives_as_much_as_it_may():
    confidences, labels = drawn()
    chosen = fit_thresholds(confidences, labels, ["en"] * len(labels), PRECISE).categories
    for i in range(2):
        reached = [value for value in confidences[:, i] if precision_score(labels[:, i], confidences[:, i] >= value) >= 0.9]
        assert np.float32(chosen[i]) == min(reached)


def test_fit_thresholds_never_gives_a_category_that_cannot_be_precise():
    confidences = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    labels = (np.arange(100) < 50).astype(np.float32)[:, None]  # the more confident, the more wrong
    chosen = fit_thresholds(confidences, labels, ["en"] * 100, PRECISE)
    assert chosen.categories == (NEVER,)
    assert not dataclasses.replace(chosen, policy="abstain").passing(np.ones((1, 1), np.float32), ["en"]).any()


def test_fit_thresholds_keeps_equal_confidences_together():
    """Three of five equal ones are right: cutting between them would look better than it is."""
    confidences = np.array([[0.9]] * 5 + [[0.1]] * 20, np.float32)
    labels = np.array([[1.0]] * 3 + [[0.0]] * 2 + [[1.0]] * 7 + [[0.0]] * 13, np.float32)
    assert fit_thresholds(confidences, labels, ["en"] * 25, ThresholdSettings(aim="precision", precision=0.9)).categories == (NEVER,)


def test_fit_thresholds_leaves_a_rare_category_at_one_half():
    confidences, labels = drawn()
    labels[:, 1] = 0
    labels[:9, 1] = 1
    assert fit_thresholds(confidences, labels, ["en"] * len(labels), F1).categories[1] == 0.5


def test_fit_thresholds_draws_a_language_to_the_category_where_its_labels_are_few():
    confidences, labels = drawn(4_000)
    languages = np.array(["en"] * 3_900 + ["fr"] * 92 + ["de"] * 8, object)
    found = fit_thresholds(confidences, labels, languages, F1)
    alone = fit_thresholds(confidences[3_900:3_992], labels[3_900:3_992], ["fr"] * 92, F1).categories
    num = labels[3_900:3_992].sum(axis=0)
    for i in range(2):
        expected = (num[i] * alone[i] + 50 * found.categories[i]) / (num[i] + 50)
        assert found.languages["fr"][i] == pytest.approx(expected, abs=1e-6)
    assert found.languages["de"] == found.categories


def test_thresholds_come_back_from_json():
    found = fit_thresholds(*drawn(), ["en"] * 600, ThresholdSettings(policy="abstain", most_categories=2))
    assert (found.policy, found.most) == ("abstain", 2)
    again = Thresholds.of_manifest(json.loads(json.dumps(dataclasses.asdict(found))))
    given, _ = drawn(seed=8)
    np.testing.assert_array_equal(again.passing(given, ["en"] * 600), found.passing(given, ["en"] * 600))
