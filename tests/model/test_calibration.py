"""Calibration: the fit finds planted maps, and agrees with scikit-learn where both fit the same thing."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from xlclass.model.calibration import LanguageMap, LanguageMaps, Platt, fit_language_maps, fit_platt, log_losses
from xlclass.model.prior_shift import MAX_RATIO, estimated_priors, prior_shift


def drawn(num, scales, shifts, seed=1, extra=0.0):
    """Logits, and labels drawn with the probabilities that scales and shifts (and `extra` log-odds) give them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (num, len(scales)))
    return logits, (rng.random(logits.shape) < expit(logits * scales + shifts + extra)).astype(np.float32)


def codes(**numbers):
    return np.repeat(np.array(list(numbers), object), list(numbers.values()))


def test_fit_platt_finds_the_planted_maps_as_scikit_learn_does():
    """Its logistic regression without a penalty: for 40,000 videos the ridge to the identity is negligible."""
    planted = [0.5, 1.0, 2.0], [-1.0, 0.0, 0.5]
    logits, labels = drawn(40_000, *planted)
    platt = fit_platt(logits, labels)
    np.testing.assert_allclose(platt.scales, planted[0], rtol=0.06)
    np.testing.assert_allclose(platt.shifts, planted[1], atol=0.06)
    oracles = [LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, [i]], labels[:, i]) for i in range(3)]
    np.testing.assert_allclose(platt.scales, [oracle.coef_[0, 0] for oracle in oracles], rtol=1e-3)
    np.testing.assert_allclose(platt.shifts, [oracle.intercept_[0] for oracle in oracles], atol=1e-3)


def test_fit_platt_lowers_the_log_loss_of_new_videos():
    new, labels = drawn(4_000, [0.4] * 3, [-1.0] * 3, seed=9)
    platt = fit_platt(*drawn(4_000, [0.4] * 3, [-1.0] * 3))
    assert log_losses(platt.apply(new), labels).mean() < log_losses(new, labels).mean() - 0.05


def test_fit_platt_handles_a_category_that_never_or_always_occurs():
    logits, _ = drawn(2_000, [1.0, 1.0], [0.0, 0.0])
    confidences = expit(fit_platt(logits, np.stack([np.zeros(2_000), np.ones(2_000)], axis=1)).apply(logits))
    assert np.isfinite(confidences).all()
    assert confidences[:, 0].max() < 0.1
    assert confidences[:, 1].min() > 0.9


def test_fit_platt_never_reverses_a_category():
    """The logits of the category mislead: a negative scale would give the least likely videos the highest confidence."""
    assert fit_platt(*drawn(2_000, [-1.0], [0.0])).scales[0] > 0


def test_fit_without_videos_changes_nothing():
    nothing = drawn(0, [0.5, 3.0], [1.0, 1.0])
    assert fit_platt(*nothing) == Platt((1.0, 1.0), (0.0, 0.0))
    assert fit_language_maps(*nothing, codes()) == LanguageMaps()
    np.testing.assert_array_equal(LanguageMaps().apply(np.array([[0.0, 2.0]]), ["fr"]), [[0.0, 2.0]])


def test_fit_language_maps_gives_each_language_its_own_bias_if_it_has_videos():
    logits, labels = drawn(20_000, [1.0, 1.0], [0.0, 0.0])
    more, more_labels = drawn(20_000, [1.0, 1.0], [0.0, 0.0], seed=2, extra=1.0)
    few, few_labels = drawn(3, [1.0, 1.0], [0.0, 0.0], seed=3, extra=5.0)
    maps = fit_language_maps(np.concatenate([logits, more, few]), np.concatenate([labels, more_labels, few_labels]), codes(en=20_000, fr=20_000, de=3))
    assert maps.languages["en"] == pytest.approx((1.0, 0.0), abs=0.05)
    assert maps.languages["fr"].bias - maps.languages["en"].bias == pytest.approx(1.0, abs=0.1)
    assert abs(maps.languages["de"].bias) < 0.3  # three videos: drawn to no change


def test_fit_language_maps_gives_other_languages_the_mean_however_many_videos_each_has():
    rare, frequent = drawn(1_000, [1.0], [2.0]), drawn(9_000, [1.0], [-1.0])
    logits, labels = (np.concatenate(both) for both in zip(rare, frequent, strict=True))
    maps = fit_language_maps(logits, labels, codes(fr=1_000, en=9_000))
    fr, en = maps.languages["fr"], maps.languages["en"]
    assert maps.mean.temperature == pytest.approx(np.sqrt(fr.temperature * en.temperature))
    assert maps.mean.bias == pytest.approx((fr.bias + en.bias) / 2)
    mapped = maps.apply(np.array([[1.0]] * 3), ["fr", "th", "en"]).ravel()
    np.testing.assert_allclose(mapped, [each.apply(1.0) for each in (fr, maps.mean, en)])


def test_fit_language_maps_restores_confidences_that_pooling_lowered():
    """Neighbours without information take 0.6 of all log-odds; the temperature gives it back."""
    logits, labels = drawn(8_000, [1.0, 1.0], [0.0, 0.0])
    languages = codes(en=8_000)
    maps = fit_language_maps(0.4 * logits, labels, languages)
    assert maps.languages["en"] == pytest.approx(LanguageMap(0.4, 0.0), abs=0.05)
    assert log_losses(maps.apply(0.4 * logits, languages), labels).mean() == pytest.approx(log_losses(logits, labels).mean(), abs=0.01)


def test_log_losses_agree_with_scikit_learn():
    logits, labels = drawn(500, [1.0], [0.0])
    assert log_losses(logits, labels).mean() == pytest.approx(sklearn_log_loss(labels[:, 0], expit(logits[:, 0])), abs=1e-9)


def test_estimated_priors_finds_the_share_of_a_shifted_language():
    """Two categories separated by a normal variable (as in Saerens 2002, section 3): the posteriors are exact, so are the shares."""
    rng = np.random.default_rng(5)
    has = rng.random(20_000) < 0.6
    value = rng.normal(np.where(has, 1.0, -1.0), 1.0)
    confidences = expit(2 * value + logit(0.3))[:, None]  # calibrated on videos of which three in ten have it
    assert estimated_priors(confidences, np.array([0.3])) == pytest.approx([0.6], abs=0.02)
    assert prior_shift(logit(confidences), np.array([0.3])) == pytest.approx([logit(0.6) - logit(0.3)], abs=0.1)


def test_estimated_priors_stay_within_their_bounds():
    for confidence, bound in ((0.999999, 0.1 * MAX_RATIO), (0.000001, 0.1 / MAX_RATIO)):
        assert estimated_priors(np.full((600, 1), confidence), np.array([0.1])) == pytest.approx([bound])


def test_estimated_priors_of_calibrated_confidences_are_the_priors():
    confidences = np.random.default_rng(6).beta(2, 5, (20_000, 3))
    np.testing.assert_allclose(estimated_priors(confidences, confidences.mean(axis=0)), confidences.mean(axis=0), rtol=0.02)
