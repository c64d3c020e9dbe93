"""Leave-one-language-out: what is left out, and when a correction is beyond chance."""

import logging

import numpy as np
from scipy.special import logit

from xlclass.config import CalibrationSettings, LakeSettings, Settings, SourceSettings
from xlclass.model.examples import Examples, Splits
from xlclass.model.leave_one_language_out import best_choice, leave_out

SETTINGS = Settings(SourceSettings("demo"), LakeSettings("lake"), calibration=CalibrationSettings(min_unlabelled=5, max_unlabelled=6))


class FixedChain:
    """A chain that gives every video these confidences of the one category that it has."""

    def __init__(self, confidences):
        self.confidences = np.asarray(confidences)

    def log_odds(self, vectors, languages):
        return logit(self.confidences)[:, None]


def videos(languages, channels=None):
    num = len(languages)
    channels = np.arange(num) if channels is None else channels
    return Examples(np.arange(num, dtype=np.float32)[:, None], np.ones((num, 1), np.float32), np.array(languages, object), np.asarray(channels))


def trial(*confidences, channels=None):
    return videos(["en"] * len(confidences[0]), channels), [FixedChain(each) for each in confidences]


MIXED = np.r_[np.full(70, 0.6), np.full(30, 0.4)]  # against 0.5: better for seven videos in ten


def left_out(*splits):
    return list(leave_out(Splits(*splits), SETTINGS))


def test_leave_out_takes_each_language_in_turn():
    split = videos(["en"] * 4 + ["fr"] * 3)
    english, french = left_out(split, split, split)
    others, unlabelled, judges = english
    assert set(others.train.languages) == set(others.calibration.languages) == {"fr"}
    assert judges.languages.tolist() == ["en"] * 4
    assert unlabelled.keys() == {"en"}
    assert len(unlabelled["en"]) == 6  # of 8, at most calibration.max_unlabelled
    assert sorted(french[1]["fr"].ravel()) == [4, 4, 5, 5, 6, 6]


def test_leave_out_needs_enough_videos_on_both_sides():
    few, both, english, nothing = videos(["en"] * 4 + ["fr"] * 2), videos(["en", "fr"]), videos(["en"]), videos([])
    assert [bool(unlabelled) for _, unlabelled, _ in left_out(few, few, few)] == [True, False]  # calibration.min_unlabelled
    assert left_out(english, english, english) == left_out(both, both, nothing) == []
    assert left_out(both, both, english) == []  # French cannot judge, and English leaves nothing to calibrate on


def test_best_choice_is_the_one_with_the_lowest_log_loss():
    half = np.full(100, 0.5)
    assert best_choice("x", ["a", "b", "c"], [trial(half, half + 0.1, half + 0.3, half - 0.1)], 7) == "b"
    assert best_choice("x", ["a"], [trial(half, half - 0.1)], 7) is None
    assert best_choice("x", ["a"], [], 7) is None


def test_best_choice_judges_by_channels():
    """The same gains: beyond chance if every video has its own channel, chance if they come from two channels."""
    half = np.full(100, 0.5)
    assert best_choice("x", ["a"], [trial(half, MIXED)], 7) == "a"
    assert best_choice("x", ["a"], [trial(half, MIXED, channels=MIXED > 0.5)], 7) is None


def test_best_choice_counts_languages_alike(caplog):
    """A loss of log(0.5 / 0.4) in 10 videos outweighs a gain of log(0.6 / 0.5) in 1,000."""
    large, small = trial(np.full(1_000, 0.5), np.full(1_000, 0.6)), trial(np.full(10, 0.5), np.full(10, 0.4))
    with caplog.at_level(logging.INFO):
        assert best_choice("neighbours", ["a"], [large], 7) == "a"
        assert best_choice("neighbours", ["a"], [large, small], 7) is None
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("neighbours (a): log-loss lower by 0.18232 on average over 1 languages left out")
    assert f"{(np.log(0.6 / 0.5) + np.log(0.4 / 0.5)) / 2:.5f}" in lines[1]
    assert [line.rsplit(": ", 1)[1] for line in lines] == ["on", "off"]
