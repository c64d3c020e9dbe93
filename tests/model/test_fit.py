"""What training learns together, and which corrections leave-one-language-out keeps."""

import dataclasses
import logging

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from xlclass.config import CalibrationSettings, LakeSettings, Settings, SourceSettings, TrainingSettings
from xlclass.model.calibration import LanguageMap, log_losses
from xlclass.model.examples import Examples, Splits
from xlclass.model.fit import fit as fit_with
from xlclass.model.head import Head

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


class LogisticHead:
    """A head that trains in milliseconds; far from its examples it is as sure of itself as a network."""

    def __init__(self, train):
        self.models = [LogisticRegression().fit(train.vectors, column) for column in train.labels.T]

    def logits(self, vectors):
        return np.stack([model.decision_function(vectors) for model in self.models], axis=1) if len(vectors) else np.empty((0, len(self.models)))


def fit(given, unlabelled, settings):
    return fit_with(given, unlabelled, settings, lambda train, validation, settings: (LogisticHead(train), {"loss": [0.0]}))[0]


def loss(chain, videos, language="th"):
    return log_losses(chain.log_odds(videos.vectors, np.full(len(videos), language, object)), videos.labels).mean()


OFF = {"neighbours": 0.0, "prior_shifts": 0.0, "propagation": 0.0}
UNEQUAL = splits([0.7, 0.2, 0.1], [0.1, 0.2, 0.7])
UNLABELLED = {"th": sample(800, "th", THAI, 11).vectors}


@pytest.fixture(scope="module")
def fitted():
    """A chain whose languages differ much, with Thai videos without labels, almost all of the last category."""
    return fit(UNEQUAL, UNLABELLED, SETTINGS)


def test_fit_keeps_a_prior_shift_that_lowers_the_loss_of_languages_left_out(fitted):
    shift = fitted.prior_shifts["th"]
    assert shift[2] > 0 > shift[0]
    assert set(fitted.prior_shifts) == {"th"}
    assert set(fitted.maps.languages) == set(fitted.thresholds.languages) == {"en", "fr"}
    unshifted = dataclasses.replace(fitted, prior_shifts={}, propagation=None)
    videos = sample(2_000, "th", THAI, 12)
    assert loss(dataclasses.replace(fitted, propagation=None), videos) < loss(unshifted, videos)


def test_fit_without_unlabelled_videos_has_the_same_other_steps(fitted):
    alone = fit(UNEQUAL, {}, SETTINGS)
    assert alone.corrections == OFF | {"neighbours": fitted.corrections["neighbours"]}
    assert (alone.platt, alone.maps, alone.thresholds) == (fitted.platt, fitted.maps, fitted.thresholds)


def test_fit_keeps_label_propagation_and_its_map_if_they_lower_the_loss(fitted):
    assert list(fitted.propagation.languages) == ["th"]
    unmapped = dataclasses.replace(fitted.propagation, map=LanguageMap())
    videos = sample(2_000, "th", THAI, 12)
    losses = [loss(dataclasses.replace(fitted, propagation=each), videos) for each in (fitted.propagation, unmapped, None)]
    assert losses[0] < losses[1] < losses[2]


def test_fit_drops_corrections_that_do_not_help_and_says_so(caplog):
    """Both languages have the same categories as often, and the labelled neighbours already give what propagation would."""
    given = splits([0.4, 0.3, 0.3], [0.4, 0.3, 0.3], 0.5)
    with caplog.at_level(logging.INFO):
        chain = fit(given, UNLABELLED, SETTINGS)
    assert chain.corrections == OFF | {"neighbours": 1.0}
    lines = [record.getMessage() for record in caplog.records if "languages left out" in record.getMessage()]
    assert [line.split(" (")[0] for line in lines] == ["neighbours", "prior shift", "label propagation"]
    assert [line.rsplit(": ", 1)[1] for line in lines] == ["on", "off", "off"]
    assert fit(given, UNLABELLED, calibrated(prototypes=0)).propagation  # without labelled neighbours


def test_fit_keeps_neighbours_that_lower_the_loss_of_languages_left_out():
    given = with_outliers(UNEQUAL)
    chain, alone = fit(given, {}, SETTINGS), fit(given, {}, calibrated(prototypes=0))
    assert len(chain.neighbours.centres) <= len(given.train) // 4
    assert alone.neighbours is None
    assert loss(chain, given.calibration) < loss(alone, given.calibration)


def test_fit_corrects_nothing_that_settings_forbid_or_that_cannot_be_judged():
    one = Splits(*(sample(200, "en", [0.5, 0.5], seed) for seed in (1, 2, 3)))
    assert fit(one, {"th": one.train.vectors}, SETTINGS).corrections == OFF  # no language to leave out
    assert fit(UNEQUAL, UNLABELLED, calibrated(prototypes=0, prior_shift="never", unlabelled_prototypes=0)).corrections == OFF
    assert fit(UNEQUAL, UNLABELLED, calibrated(prototypes=0, min_unlabelled=10_000)).corrections == OFF


def test_fit_needs_neither_validation_nor_calibration_videos():
    nothing = sample(0, "en", [0.5, 0.5], 1)
    chain = fit(Splits(sample(200, "en", [0.5, 0.5], 2), nothing, nothing), {}, SETTINGS)
    assert chain.platt.scales == (1.0, 1.0)
    assert chain.thresholds.common == (0.5, 0.5)


def test_fit_trains_a_keras_head_or_what_it_is_given_for_each_language_left_out():
    languages = []

    def train(train, validation, settings):
        languages.append(sorted(set(train.languages)))
        return LogisticHead(train), {"loss": [0.0]}

    chain, curves = fit_with(UNEQUAL, {}, SETTINGS, train)
    assert languages == [["en", "fr"], ["fr"], ["en"]]
    assert (type(chain.head), curves) == (LogisticHead, {"loss": [0.0]})
    chain, curves = fit_with(UNEQUAL, {}, calibrated(prototypes=0))
    assert type(chain.head) is Head
    assert curves.keys() == {"loss", "val_loss", "top1", "val_top1"}
    assert loss(chain, UNEQUAL.calibration, "en") < 0.4
