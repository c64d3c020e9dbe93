"""What training learns together: the head, its calibration, its thresholds, and whether a prior shift is believed."""

import dataclasses

import numpy as np
import pytest

from xlclass.config import CalibrationSettings, LakeSettings, Settings, SourceSettings, TrainingSettings
from xlclass.model.calibration import log_losses
from xlclass.model.examples import Examples
from xlclass.model.fit import fit
from xlclass.model.leave_one_language_out import Say, Sides, best_competition, best_damping, best_neighbours, best_smoothing, leave_out

DIM, SETTINGS = (
    8,
    Settings(
        SourceSettings("demo"),
        LakeSettings("lake"),
        training=TrainingSettings(hidden=(16,), max_epochs=15, batch_size=32),
        calibration=CalibrationSettings(min_unlabelled=50),
    ),
)


def sample(num, language, priors, seed, spread=1.0):
    """Videos of one category each, drawn by `priors`; categories lie apart by two units of a normal variable times `spread`."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 1, (len(priors), DIM))
    chosen = rng.choice(len(priors), num, p=priors)
    vectors = centres[chosen] + rng.normal(0, spread, (num, DIM))
    return Examples(vectors.astype(np.float32), np.eye(len(priors), dtype=np.float32)[chosen], np.full(num, language, object))


def independent(num, language, rates, seed):
    """Videos that have each category with its rate, whatever else they have; a vector is the sum of its categories' centres, and noise."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 1, (len(rates), DIM))
    labels = (rng.random((num, len(rates))) < rates).astype(np.float32)
    return Examples((labels @ centres + rng.normal(0, 0.7, (num, DIM))).astype(np.float32), labels, np.full(num, language, object))


def sides(en, fr, spread=1.0):
    """A sample whose languages differ in how often their categories occur only."""
    parts = [(sample(900, "en", en, seed, spread), sample(600, "fr", fr, seed + 1, spread)) for seed in (1, 3, 5)]
    return Sides(*(Examples.of(*both) for both in parts))


@pytest.fixture(scope="module")
def fitted():
    """A fit whose languages differ much, with Thai videos that have no labels, almost all of the last category."""
    given = sides([0.7, 0.2, 0.1], [0.1, 0.2, 0.7])
    return fit(given, {"th": sample(800, "th", [0.05, 0.05, 0.9], 11).vectors}, SETTINGS), given


def odd_ones(sides, far=6.0):
    """The same with as many videos again, far away and of any category: where a network goes on as it began, and neighbours know nothing."""
    both = []
    for side in (sides.train, sides.validation, sides.held):
        rng = np.random.default_rng(len(side))
        vectors = (side.vectors + far * np.sign(side.vectors)).astype(np.float32)
        both.append(Examples.of(side, Examples(vectors, side.labels[rng.permutation(len(side))], side.languages)))
    return Sides(*both)


def damping(sides, settings=SETTINGS):
    trials = leave_out(sides, settings)
    say = best_neighbours(trials, settings)
    return best_damping(trials, say, best_competition(trials, say, settings), settings)


def test_fit_believes_a_prior_shift_that_languages_left_out_confirm(fitted):
    found, given = fitted
    assert found.damping == damping(given) > 0
    shift = found.calibration.prior_shifts["th"]
    assert shift[2] > 0 > shift[0]
    assert set(found.calibration.prior_shifts) == {"th"}
    assert set(found.calibration.languages) == set(found.thresholds.languages) == {"en", "fr"}


def test_fit_without_unlabelled_videos_shifts_nothing_and_leaves_the_rest_as_it_is(fitted):
    found, given = fitted
    alone = fit(given, {}, SETTINGS)
    assert alone.damping == 0
    assert alone.calibration == dataclasses.replace(found.calibration, prior_shifts={})
    assert alone.thresholds == found.thresholds


def test_unlabelled_neighbours_are_heard_where_languages_left_out_are_better_off(fitted):
    found, _ = fitted
    assert found.smoothing.weight > 0
    assert list(found.smoothing.around) == ["th"]
    held = sample(2_000, "th", [0.05, 0.05, 0.9], 12)
    alone, unmapped = (dataclasses.replace(found, smoothing=each) for each in (None, dataclasses.replace(found.smoothing, map=(1.0, 0.0))))
    losses = [log_losses(each.log_odds(held.vectors, held.languages), held.labels).mean() for each in (found, unmapped, alone)]
    assert losses[0] < losses[1] < losses[2]


def test_unlabelled_neighbours_are_not_heard_where_none_is_better_off_or_none_are_wanted():
    trials = leave_out(sides([0.4, 0.3, 0.3], [0.4, 0.3, 0.3], 0.5), SETTINGS)
    assert best_smoothing(trials, best_neighbours(trials, SETTINGS), 0.0, 0.0, SETTINGS) == Say()
    assert best_smoothing(trials, Say(), 0.0, 0.0, SETTINGS).weight > 0  # labelled neighbours had said the same
    unwanted = dataclasses.replace(SETTINGS, calibration=CalibrationSettings(min_unlabelled=50, unlabelled_prototypes=0))
    assert best_smoothing(trials, Say(), 0.0, 0.0, unwanted) == Say()


def test_best_damping_is_none_where_the_languages_do_not_confirm_it():
    """Both languages have the same categories as often: any shift is noise."""
    assert damping(sides([0.4, 0.3, 0.3], [0.4, 0.3, 0.3])) == 0


def test_nothing_is_left_out_of_one_language_and_too_few_videos_shift_no_prior():
    one = Sides(*(sample(200, "en", [0.5, 0.5], seed) for seed in (1, 2, 3)))
    assert leave_out(one, SETTINGS) == []
    assert best_damping([], Say(), 0.0, SETTINGS) == 0
    assert best_neighbours([], SETTINGS) == Say()
    few = dataclasses.replace(SETTINGS, calibration=CalibrationSettings(min_unlabelled=10_000))
    assert damping(sides([0.7, 0.2, 0.1], [0.1, 0.2, 0.7]), few) == 0


def test_categories_compete_where_languages_left_out_are_better_off():
    given = sides([0.4, 0.3, 0.3], [0.4, 0.3, 0.3], 2.0)
    found = fit(given, {}, dataclasses.replace(SETTINGS, calibration=CalibrationSettings(prototypes=0)))
    assert found.calibration.competition > 0
    held = sample(2_000, "th", [0.4, 0.3, 0.3], 12, 2.0)
    alone = dataclasses.replace(found, calibration=dataclasses.replace(found.calibration, competition=0.0))
    losses = [log_losses(each.log_odds(held.vectors, held.languages), held.labels).mean() for each in (found, alone)]
    assert losses[0] < losses[1]
    unwanted = (CalibrationSettings(competition="never"), CalibrationSettings(method="none"))
    trials = leave_out(given, SETTINGS)
    assert [best_competition(trials, Say(), dataclasses.replace(SETTINGS, calibration=each)) for each in unwanted] == [0.0, 0.0]


def test_categories_do_not_compete_where_videos_have_several():
    """Each category occurs whatever the others do: a video with two is not half as sure of each."""
    sizes, rates = {"en": 900, "fr": 600}, [0.5, 0.4, 0.3]
    parts = [Examples.of(*(independent(num, code, rates, seed + num) for code, num in sizes.items())) for seed in (1, 2, 3)]
    trials = leave_out(Sides(*parts), SETTINGS)
    assert best_competition(trials, best_neighbours(trials, SETTINGS), SETTINGS) == 0.0


def test_neighbours_have_a_say_where_languages_left_out_are_better_off(fitted):
    _, given = fitted
    found = fit(odd_ones(given), {}, SETTINGS)
    assert found.calibration.weight > 0
    assert len(found.prototypes.centres) <= len(odd_ones(given).train) // 4
    held = odd_ones(given).held
    alone = fit(odd_ones(given), {}, dataclasses.replace(SETTINGS, calibration=CalibrationSettings(prototypes=0, competition="never")))
    assert alone.prototypes is None
    assert alone.calibration.weight == 0
    losses = [log_losses(each.log_odds(held.vectors, np.full(len(held), "th", object)), held.labels).mean() for each in (found, alone)]
    assert losses[0] < losses[1]


def test_neighbours_have_no_say_where_confidences_are_not_to_be_calibrated(fitted):
    _, given = fitted
    found = fit(odd_ones(given), {}, dataclasses.replace(SETTINGS, calibration=CalibrationSettings(method="none")))
    assert found.prototypes is None
    assert found.calibration.weight == 0


def test_fit_needs_neither_validation_nor_calibration_videos():
    nothing = sample(0, "en", [0.5, 0.5], 1)
    found = fit(Sides(sample(200, "en", [0.5, 0.5], 2), nothing, nothing), {}, SETTINGS)
    assert found.calibration.scales == (1.0, 1.0)
    assert found.thresholds.categories == (0.5, 0.5)
