"""What training learns together, and which corrections leave-one-language-out keeps."""

import dataclasses
import logging

import numpy as np
import pytest

from xlclass.config import CalibrationSettings, LakeSettings, Settings, SourceSettings, TrainingSettings
from xlclass.model.calibration import log_losses
from xlclass.model.examples import Examples, Splits
from xlclass.model.fit import fit
from xlclass.model.neighbours import NeighbourWeights

DIM = 8
SETTINGS = Settings(
    SourceSettings("demo"),
    LakeSettings("lake"),
    training=TrainingSettings(hidden=(16,), max_epochs=15, batch_size=32),
    calibration=CalibrationSettings(min_unlabelled=50),
)
THAI = [0.05, 0.05, 0.9]  # how often each category occurs


def calibrated(**rules):
    return dataclasses.replace(SETTINGS, calibration=CalibrationSettings(**{"min_unlabelled": 50, **rules}))


def sample(num, language, priors, seed, spread=1.0):
    """Videos of one category each, drawn by `priors`, in channels of two; categories lie apart by two units of a normal variable times `spread`."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 1, (len(priors), DIM))
    chosen = rng.choice(len(priors), num, p=priors)
    vectors = centres[chosen] + rng.normal(0, spread, (num, DIM))
    channels = np.array([f"{language}{seed}-{i // 2}" for i in range(num)], object)
    return Examples(vectors.astype(np.float32), np.eye(len(priors), dtype=np.float32)[chosen], np.full(num, language, object), channels)


def splits(en, fr, spread=1.0):
    """A sample whose languages differ only in how often their categories occur."""
    return Splits(*(Examples.of(sample(900, "en", en, seed, spread), sample(600, "fr", fr, seed + 1, spread)) for seed in (1, 3, 5)))


def with_outliers(given, distance=6.0):
    """The same and as many videos again, far away and of any category: a network extrapolates there, and neighbours know nothing."""
    parts = []
    for split in (given.train, given.validation, given.calibration):
        vectors = (split.vectors + distance * np.sign(split.vectors)).astype(np.float32)
        labels = split.labels[np.random.default_rng(len(split)).permutation(len(split))]
        parts.append(Examples.of(split, Examples(vectors, labels, split.languages, split.channels)))
    return Splits(*parts)


def loss(chain, videos, language="th"):
    return log_losses(chain.log_odds(videos.vectors, np.full(len(videos), language, object)), videos.labels).mean()


UNEQUAL = splits([0.7, 0.2, 0.1], [0.1, 0.2, 0.7])
EQUAL = splits([0.4, 0.3, 0.3], [0.4, 0.3, 0.3])
UNLABELLED = {"th": sample(800, "th", THAI, 11).vectors}


@pytest.fixture(scope="module")
def fitted():
    """A fit whose languages differ much, with Thai videos without labels, almost all of the last category."""
    return fit(UNEQUAL, UNLABELLED, SETTINGS)


def test_fit_keeps_a_prior_shift_that_lowers_the_loss_of_languages_left_out(fitted):
    assert fitted.corrections["prior_shift"] > 0
    shift = fitted.chain.prior_shifts["th"]
    assert shift[2] > 0 > shift[0]
    assert set(fitted.chain.prior_shifts) == {"th"}
    assert set(fitted.chain.maps.languages) == set(fitted.chain.thresholds.languages) == {"en", "fr"}


def test_fit_without_unlabelled_videos_has_the_same_other_steps(fitted):
    alone = fit(UNEQUAL, {}, SETTINGS)
    assert (alone.corrections["prior_shift"], alone.corrections["propagation"]) == (0, 0)
    assert (alone.chain.prior_shifts, alone.chain.propagation) == ({}, None)
    assert (alone.chain.platt, alone.chain.maps, alone.chain.thresholds) == (fitted.chain.platt, fitted.chain.maps, fitted.chain.thresholds)


def test_fit_keeps_label_propagation_and_its_map_if_they_lower_the_loss(fitted):
    propagation = fitted.chain.propagation
    assert fitted.corrections["propagation"] == propagation.languages["th"].weights.weight > 0
    assert list(propagation.languages) == ["th"]
    unmapped = dataclasses.replace(propagation, map=type(propagation.map)())
    videos, chains = sample(2_000, "th", THAI, 12), [dataclasses.replace(fitted.chain, propagation=each) for each in (propagation, unmapped, None)]
    losses = [loss(chain, videos) for chain in chains]
    assert losses[0] < losses[1] < losses[2]


def test_fit_drops_corrections_that_do_not_help_and_says_so(caplog):
    """Both languages have the same categories as often, and the labelled neighbours already give what propagation would."""
    with caplog.at_level(logging.INFO):
        found = fit(splits([0.4, 0.3, 0.3], [0.4, 0.3, 0.3], 0.5), UNLABELLED, SETTINGS)
    assert (found.corrections["prior_shift"], found.corrections["propagation"]) == (0, 0)
    lines = [record.getMessage() for record in caplog.records if "languages left out" in record.getMessage()]
    assert [line.split(" (")[0] for line in lines] == ["neighbours", "prior shift", "label propagation"]
    assert [line.rsplit(": ", 1)[1] for line in lines[1:]] == ["off", "off"]


def test_fit_leaves_out_what_the_settings_forbid():
    found = fit(UNEQUAL, UNLABELLED, calibrated(prototypes=0, prior_shift="never", unlabelled_prototypes=0))
    assert set(found.corrections.values()) == {0}
    assert (found.chain.neighbours, found.chain.prior_shifts, found.chain.propagation) == (None, {}, None)


def test_fit_needs_enough_unlabelled_videos_to_judge_their_corrections():
    found = fit(UNEQUAL, UNLABELLED, calibrated(min_unlabelled=10_000))
    assert (found.corrections["prior_shift"], found.corrections["propagation"]) == (0, 0)


def test_fit_of_one_language_leaves_none_out():
    one = Splits(*(sample(200, "en", [0.5, 0.5], seed) for seed in (1, 2, 3)))
    assert set(fit(one, {"th": sample(200, "th", [0.5, 0.5], 4).vectors}, SETTINGS).corrections.values()) == {0}


def test_fit_keeps_neighbours_that_lower_the_loss_of_languages_left_out():
    given = with_outliers(UNEQUAL)
    found, alone = fit(given, {}, SETTINGS), fit(given, {}, calibrated(prototypes=0))
    assert found.corrections["neighbours"] == found.chain.neighbours.weights.weight > 0
    assert len(found.chain.neighbours.centres) <= len(given.train) // 4
    assert alone.chain.neighbours is None
    assert loss(found.chain, given.calibration) < loss(alone.chain, given.calibration)


def test_fit_judges_by_channels(monkeypatch):
    """The same gain is beyond chance over many channels, and chance over three."""
    given = with_outliers(UNEQUAL)
    few = dataclasses.replace(given.calibration, channels=np.arange(len(given.calibration)) % 3)
    monkeypatch.setattr("xlclass.model.fit.NEIGHBOURS", NeighbourWeights(0.04, 0.002))
    kept = [fit(Splits(given.train, given.validation, videos), {}, SETTINGS).corrections["neighbours"] > 0 for videos in (given.calibration, few)]
    assert kept == [True, False]


def test_fit_needs_neither_validation_nor_calibration_videos():
    nothing = sample(0, "en", [0.5, 0.5], 1)
    chain = fit(Splits(sample(200, "en", [0.5, 0.5], 2), nothing, nothing), {}, SETTINGS).chain
    assert chain.platt.scales == (1.0, 1.0)
    assert chain.thresholds.common == (0.5, 0.5)


def test_fit_trains_every_head_with_the_given_function():
    heads = []

    class Constant:
        def logits(self, vectors):
            return np.zeros((len(vectors), 3), np.float32)

    def train(train, validation, settings):
        heads.append(sorted(set(train.languages)))
        return Constant(), {"loss": [0.0]}

    chain, curves, _ = fit(EQUAL, {}, SETTINGS, train)
    assert heads == [["en", "fr"], ["fr"], ["en"]]
    assert isinstance(chain.head, Constant)
    assert curves == {"loss": [0.0]}
