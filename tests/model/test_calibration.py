"""Calibration: what is fitted is what was planted, and scikit-learn agrees where it fits the same thing."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from xlclass.config import CalibrationSettings
from xlclass.model.calibration import ISOTONIC_ROWS, Calibration, competing, fit_calibration, log_losses
from xlclass.model.prior_shift import MOST, estimated_priors, prior_shift

PLATT, ISOTONIC, NONE = (CalibrationSettings(method=method) for method in ("platt", "isotonic", "none"))


def drawn(num, scales, shifts, seed=1, extra=0.0):
    """Logits, and labels drawn with the probabilities that scales and shifts (and `extra` log-odds) make of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num, len(scales)))
    return logits, (rng.random(logits.shape) < expit(logits * scales + shifts + extra)).astype(np.float32)


def test_fit_calibration_finds_the_planted_map():
    logits, labels = drawn(40_000, [0.5, 1.0, 2.0], [-1.0, 0.0, 0.5])
    found = fit_calibration(logits, labels, ["en"] * len(logits), PLATT)
    np.testing.assert_allclose(found.scales, [0.5, 1.0, 2.0], rtol=0.06)
    np.testing.assert_allclose(found.shifts, [-1.0, 0.0, 0.5], atol=0.06)
    assert found.languages["en"] == pytest.approx((1.0, 0.0), abs=0.02)


def test_fit_calibration_agrees_with_scikit_learn():
    """Its logistic regression without a penalty: with 40,000 videos the pull to the identity is nothing."""
    logits, labels = drawn(40_000, [0.7], [-0.5])
    oracle = LogisticRegression(C=1e9).fit(logits, labels[:, 0])
    found = fit_calibration(logits, labels, ["en"] * len(logits), PLATT)
    assert found.scales[0] == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert found.shifts[0] == pytest.approx(oracle.intercept_[0], abs=1e-3)


def test_fit_calibration_gives_each_language_its_own_bias_where_it_has_videos():
    logits, labels = drawn(20_000, [1.0, 1.0], [0.0, 0.0])
    more, those = drawn(20_000, [1.0, 1.0], [0.0, 0.0], seed=2, extra=1.0)
    few, labelled = drawn(3, [1.0, 1.0], [0.0, 0.0], seed=3, extra=5.0)
    languages = ["en"] * 20_000 + ["fr"] * 20_000 + ["de"] * 3
    found = fit_calibration(np.concatenate([logits, more, few]), np.concatenate([labels, those, labelled]), languages, PLATT)
    assert found.languages["fr"][1] - found.languages["en"][1] == pytest.approx(1.0, abs=0.1)
    assert abs(found.languages["de"][1]) < 0.3  # drawn to no change: three videos say little


def test_fit_calibration_gives_another_language_the_mean_of_the_languages_maps_however_many_videos_each_has():
    rare, frequent = drawn(1_000, [1.0], [2.0]), drawn(9_000, [1.0], [-1.0])
    logits, labels = (np.concatenate(both) for both in zip(rare, frequent, strict=True))
    found = fit_calibration(logits, labels, ["fr"] * 1_000 + ["en"] * 9_000, PLATT)
    asked = np.linspace(-3, 3, 7)[:, None]
    own = [found.log_odds(asked, [language] * 7) for language in ("fr", "en")]
    other = found.log_odds(asked, ["th"] * 7)
    assert found.common[0] == pytest.approx(np.sqrt(found.languages["fr"][0] * found.languages["en"][0]))
    assert found.common[1] == pytest.approx((found.languages["fr"][1] + found.languages["en"][1]) / 2)
    assert (np.minimum(*own) < other).all()
    assert (other < np.maximum(*own)).all()


def test_fit_calibration_of_blended_log_odds_is_calibrated_whatever_the_neighbours_say():
    """Neighbours that know nothing make all less sure; the languages' maps take that back."""
    logits, labels = drawn(8_000, [1.0, 1.0], [0.0, 0.5])
    vague, languages = np.full_like(logits, 0.5), np.full(8_000, "en", object)
    found = fit_calibration(logits, labels, languages, PLATT, vague, 0.6)
    told = [
        log_losses(each, labels).mean()
        for each in (found.log_odds(logits, languages, vague), fit_calibration(logits, labels, languages, PLATT).log_odds(logits, languages))
    ]
    assert found.weight == 0.6
    assert found.languages["en"][0] == pytest.approx(0.4, abs=0.05)
    assert told[0] == pytest.approx(told[1], abs=0.01)


def test_fit_calibration_lowers_the_log_loss_of_new_videos():
    logits, labels = drawn(4_000, [0.4] * 3, [-1.0] * 3)
    new, truth = drawn(4_000, [0.4] * 3, [-1.0] * 3, seed=9)
    found = fit_calibration(logits, labels, ["en"] * 4_000, PLATT)
    assert log_losses(found.log_odds(new, ["en"] * 4_000), truth).mean() < log_losses(new, truth).mean() - 0.05


@pytest.mark.parametrize("settings", [PLATT, ISOTONIC])
def test_fit_calibration_survives_a_category_that_never_or_always_occurs(settings):
    logits, _ = drawn(2_000, [1.0, 1.0], [0.0, 0.0])
    labels = np.stack([np.zeros(2_000), np.ones(2_000)], axis=1)
    given = expit(fit_calibration(logits, labels, ["en"] * 2_000, settings).log_odds(logits, ["en"] * 2_000))
    assert np.isfinite(given).all()
    assert given[:, 0].max() < 0.1
    assert given[:, 1].min() > 0.9


def test_fit_calibration_never_turns_a_category_round():
    """A category whose logits mislead keeps its order: a negative scale would call the least likely videos the likeliest."""
    logits, labels = drawn(2_000, [-1.0], [0.0])
    assert fit_calibration(logits, labels, ["en"] * 2_000, PLATT).scales[0] > 0


@pytest.mark.parametrize(("num", "settings"), [(0, PLATT), (500, NONE)])
def test_fit_calibration_is_the_identity_without_videos_or_wish(num, settings):
    logits, labels = drawn(num, [0.5, 3.0], [1.0, 1.0])
    found = fit_calibration(logits, labels, ["en"] * num, settings)
    np.testing.assert_array_equal(found.log_odds(np.array([[0.0, 2.0]]), ["fr"]), np.array([[0.0, 2.0]]))


def test_fit_calibration_isotonic_agrees_with_scikit_learn_at_its_steps():
    logits, labels = drawn(3_000, [0.5], [0.0])
    found = fit_calibration(logits, labels, ["en"] * 3_000, ISOTONIC)
    places, values = found.knots[0]
    oracle = IsotonicRegression().fit(logits[:, 0], labels[:, 0])
    np.testing.assert_allclose(values, np.clip(oracle.predict(places), 1e-6, 1 - 1e-6), atol=1e-9)
    given = found.log_odds(np.sort(logits, axis=0), ["de"] * 3_000)[:, 0]
    assert (np.diff(given) >= 0).all()


def test_fit_calibration_isotonic_waits_for_enough_videos():
    logits, labels = drawn(ISOTONIC_ROWS - 1, [0.5], [0.0])
    languages = ["en"] * len(logits)
    assert fit_calibration(logits, labels, languages, ISOTONIC) == dataclasses.replace(fit_calibration(logits, labels, languages, PLATT), knots=(None,))


def test_calibration_comes_back_from_json():
    logits, labels = drawn(3_000, [0.5, 1.0], [0.0, -1.0])
    found = dataclasses.replace(fit_calibration(logits, labels, ["en"] * 3_000, ISOTONIC), prior_shifts={"th": (0.5, -0.5)}, competition=0.5)
    again = Calibration.of_manifest(json.loads(json.dumps(dataclasses.asdict(found))))
    languages = ["en", "de", "th"] * 1_000
    np.testing.assert_array_equal(again.log_odds(logits, languages), found.log_odds(logits, languages))


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0])
def test_competing_divides_by_a_power_of_the_sum(power):
    confidences = np.random.default_rng(4).beta(0.5, 3, (300, 5)) + 1e-4
    confidences = confidences / confidences.max() * 0.99
    expected = confidences / confidences.sum(axis=1, keepdims=True) ** power
    np.testing.assert_allclose(expit(competing(logit(confidences), power)), expected, rtol=1e-6)


def test_competing_is_finite_whatever_the_log_odds():
    far = np.array([[800.0, -800.0, 0.0], [-800.0, -800.0, -800.0], [800.0, 800.0, 800.0]])
    given = competing(far, 1.0)
    assert np.isfinite(given).all()
    np.testing.assert_allclose(expit(given[1:]), 1 / 3)


def test_categories_compete_in_languages_without_labels_only():
    plain = Calibration((1.0, 1.0), (0.0, 0.0), {"fr": (1.0, 0.0)}, {"th": (0.5, 0.0)})
    logits, languages = np.array([[2.0, 1.0]] * 3), ["fr", "th", "de"]
    given, before = (each.log_odds(logits, languages) for each in (dataclasses.replace(plain, competition=1.0), plain))
    np.testing.assert_array_equal(given[0], before[0])
    np.testing.assert_allclose(expit(given[2]).sum(), 1.0)
    np.testing.assert_allclose(given[1], given[2] + [0.5, 0.0])


def test_log_losses_agree_with_scikit_learn():
    logits, labels = drawn(500, [1.0], [0.0])
    assert log_losses(logits, labels).mean() == pytest.approx(sklearn_log_loss(labels[:, 0], expit(logits[:, 0])), abs=1e-9)


def test_estimated_priors_finds_the_share_of_a_shifted_language():
    """Two categories told apart by a normal variable (as in Saerens 2002, section 3): the posteriors are exact, so are the shares."""
    rng = np.random.default_rng(5)
    has = rng.random(20_000) < 0.6
    value = rng.normal(np.where(has, 1.0, -1.0), 1.0)
    confidences = expit(2 * value + logit(0.3))[:, None]  # calibrated where three in ten have it
    assert estimated_priors(confidences, np.array([0.3])) == pytest.approx([0.6], abs=0.02)
    assert prior_shift(logit(confidences), np.array([0.3])) == pytest.approx([logit(0.6) - logit(0.3)], abs=0.1)


@pytest.mark.parametrize(("confidence", "found"), [(0.999999, 0.1 * MOST), (0.000001, 0.1 / MOST)])
def test_estimated_priors_stay_within_their_bounds(confidence, found):
    assert estimated_priors(np.full((600, 1), confidence), np.array([0.1])) == pytest.approx([found])


def test_estimated_priors_of_calibrated_confidences_are_the_priors():
    rng = np.random.default_rng(6)
    confidences = rng.beta(2, 5, (20_000, 3))
    np.testing.assert_allclose(estimated_priors(confidences, confidences.mean(axis=0)), confidences.mean(axis=0), rtol=0.02)
