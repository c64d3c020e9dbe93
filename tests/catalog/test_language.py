"""The decision on a video's language, rule by rule."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xlclass.catalog.language import UNKNOWN, base_language, decide_language, decide_languages

LONG = 40  # letters


def test_decide_language_keeps_a_declaration_that_the_detection_confirms():
    assert decide_language("en-IN", ("en", 0.4), LONG, "hi") == ("en", "en-IN", "declared", 0.4)


def test_decide_language_keeps_a_declaration_without_a_detection():
    assert decide_language("fr", ("und", 0.0), 0, None) == ("fr", "fr", "declared", None)


def test_decide_language_overrules_a_declaration_from_a_confidence_of_0_9():
    assert decide_language("fr-CA", ("th", 0.99), LONG, None) == ("th", None, "detected", 0.99)
    assert decide_language("fr-CA", ("es", 0.9), LONG, None).language == "es"  # equal passes
    assert decide_language("fr-CA", ("es", 0.89), LONG, None) == ("fr", "fr-CA", "declared", None)


def test_decide_language_overrules_a_declared_english_from_0_6():
    assert decide_language("en-US", ("es", 0.6), LONG, None).language == "es"
    assert decide_language("en-US", ("es", 0.59), LONG, None).language == "en"


def test_decide_language_overrules_a_declaration_against_the_channel_from_0_6():
    assert decide_language("fr", ("es", 0.7), LONG, "es") == ("es", None, "detected", 0.7)
    assert decide_language("fr", ("es", 0.7), LONG, "fr").language == "fr"


def test_decide_language_overrules_a_declaration_for_a_short_text_from_0_9_only():
    assert decide_language("en", ("es", 0.8), 9, "es").language == "en"
    assert decide_language("en", ("th", 0.99), 9, None).language == "th"


def test_decide_language_keeps_a_declaration_against_an_easily_confused_language():
    pairs = [("sr", "hr"), ("ms", "id"), ("jv", "id"), ("gl", "es"), ("ky", "kk"), ("no", "da"), ("yue", "zh-Hant")]
    assert {pair: decide_language(pair[0], (pair[1], 0.98), LONG, pair[1]).language for pair in pairs} == {pair: pair[0] for pair in pairs}


def test_decide_language_corrects_the_script_of_chinese():
    assert decide_language("zh", ("zh-Hant", 0.98), LONG, None).language == "zh-Hant"


def test_decide_language_without_declaration_uses_the_detection():
    assert decide_language(None, ("es", 0.7), LONG, "en") == ("es", None, "detected", 0.7)
    assert decide_language("zxx", ("es", 0.4), LONG, None) == ("es", None, "detected", 0.4)


def test_decide_language_without_declaration_prefers_the_channel_to_a_weak_detection():
    assert decide_language(None, ("es", 0.5), LONG, "en") == ("en", None, "channel", None)
    assert decide_language(None, ("es", 0.8), 5, "es") == ("es", None, "channel", 0.8)
    assert decide_language(None, ("und", 0.0), 0, "ja") == ("ja", None, "channel", None)


def test_decide_language_is_unknown_below_0_3():
    assert decide_language(None, ("es", 0.29), LONG, None) == (UNKNOWN, None, "unknown", None)
    assert decide_language("", ("und", 0.0), 0, UNKNOWN) == (UNKNOWN, None, "unknown", None)


CODES = st.sampled_from(["en", "fr", "zh", "zh-Hant", "sr", "hr", "und"])


@given(st.none() | CODES | st.text(max_size=8), CODES, st.floats(0, 1), st.integers(0, 200), st.none() | CODES)
def test_decide_language_returns_one_of_the_given_languages_with_its_source(declared, detected, confidence, num_letters, channel):
    decision = decide_language(declared, (detected, confidence), num_letters, channel)
    assert decision.language in {base_language(declared)[0], detected, channel or UNKNOWN, UNKNOWN}
    assert (decision.language == UNKNOWN) == (decision.source == "unknown")
    assert decision.confidence in (None, confidence)
    assert decision.locale is None or decision.source == "declared"


def test_decide_languages_takes_whole_columns_with_nulls():
    videos = [
        ("Best goals of the season so far", np.array(["football"]), None, "en-GB", None),
        ("عائلة المتدعبلين كشفنا حقيقة بابا", None, None, "en", None),
        ("", [], "Une tarte aux pommes comme la faisait ma grand-mère", None, None),  # only a description
        (None, None, None, None, "ka"),
        ("😀😀", [None], None, None, None),
    ]
    decisions = decide_languages(*zip(*videos, strict=True))
    assert [(d.language, d.source) for d in decisions] == [("en", "declared"), ("ar", "detected"), ("fr", "detected"), ("ka", "channel"), (UNKNOWN, "unknown")]
    assert decide_languages([], [], [], [], []) == []
