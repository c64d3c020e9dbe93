"""The accuracies of contenders per language and group, and when a difference is beyond chance."""

import numpy as np
import pytest

from xlclass.evaluation.comparison_rows import Answers, accuracy_rows

GROUPS = (["en", "fr"], ["en", "fr", "de"])
LANGUAGES = np.repeat(np.array(["en", "de", "cs"], object), 100)
CHANNELS = np.array([f"channel{i // 2}" for i in range(300)], object)
LABELS = np.tile([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], (75, 1))  # a majority of 0.75
REFERENCE = np.tile([1.0, 0.0], 150)
BETTER_IN_CS = np.where(LANGUAGES == "cs", np.where(np.arange(300) % 10 == 0, 0.0, 1.0), REFERENCE)  # 0.9 there, 0.5 elsewhere


def rows_of(channels=CHANNELS, **correct):
    confidence = np.linspace(0, 1, 300)
    answers = {name: Answers(values, confidence) for name, values in correct.items()}
    return {(row["language"], row["contender"]): row for row in accuracy_rows(answers, LABELS, LANGUAGES, channels, GROUPS, 7)}


def test_accuracy_rows_count_by_language_and_group():
    rows = rows_of(muse=REFERENCE, other=BETTER_IN_CS)
    assert {language: (row["level"], row["support"]) for (language, name), row in rows.items() if name == "muse"} == {
        "all": ("group", 300), "training": ("group", 100), "known": ("group", 100), "other": ("group", 100),
        "cs": ("language", 100), "de": ("language", 100), "en": ("language", 100),
    }  # fmt: skip
    assert {language: row["top1"] for (language, name), row in rows.items() if name == "other"} == pytest.approx(
        {"all": 1.9 / 3, "training": 0.5, "known": 0.5, "other": 0.9, "cs": 0.9, "de": 0.5, "en": 0.5}
    )
    assert {row["majority_baseline"] for row in rows.values()} == {0.75}
    assert rows["cs", "other"]["gap_to_training"] == pytest.approx(-0.4)
    assert (rows["cs", "muse"]["gain"], rows["cs", "other"]["gain"]) == pytest.approx((0, 0.4))
    assert (rows["cs", "muse"]["lag"], rows["cs", "other"]["lag"]) == pytest.approx((0.4, 0))


def test_differences_are_beyond_chance_only_where_there_is_one():
    rows = rows_of(muse=REFERENCE, same=REFERENCE, other=BETTER_IN_CS, mixed=REFERENCE[::-1])
    assert rows["cs", "other"]["gain_low"] > 0.25  # 0.4, with a standard error of 0.07 by 50 channels of two videos
    assert rows["cs", "other"]["gain_high"] < 0.55
    assert rows["cs", "muse"]["lag_low"] > 0.25
    for name in ("muse", "same"):
        assert [rows["de", name][key] for key in ("gain_low", "gain_high", "lag_low")] == [0, 0, 0]
    assert rows["all", "mixed"]["gain_low"] <= 0 <= rows["all", "mixed"]["gain_high"]  # wrong where the reference is right, as often


def test_few_channels_give_no_interval():
    rows = rows_of(channels=np.array([f"channel{i % 9}" for i in range(300)], object), muse=REFERENCE, other=BETTER_IN_CS)
    assert {row[key] for row in rows.values() for key in ("gain_low", "gain_high", "lag_low")} == {None}


def test_a_group_without_videos_has_no_row():
    answers = {"muse": Answers(np.ones(2), np.ones(2))}
    rows = accuracy_rows(answers, np.ones((2, 2)), np.array(["cs", "cs"], object), np.array(["a", "b"], object), GROUPS, 7)
    assert {row["language"]: row["gap_to_training"] for row in rows} == {"all": None, "other": None, "cs": None}


def test_answers_take_the_first_of_equal_categories():
    answers = Answers.of(np.array([[0.0, 0.0, -1.0], [-1.0, 2.0, 0.0]]), np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))
    assert answers.correct.tolist() == [0.0, 1.0]
    assert answers.confidence == pytest.approx([0.5, 1 / (1 + np.exp(-2))])
