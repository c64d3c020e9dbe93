"""The decision about a video's language, rule by rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlclass.catalog.language import UNKNOWN, base_language, decide, decide_all

LONG = 40  # letters


@pytest.mark.parametrize(
    ("declared", "language", "locale"),
    [
        ("en", "en", "en"), ("EN-gb", "en", "en-GB"), ("pt_BR", "pt", "pt-BR"), ("es-419", "es", "es-419"), (" fr-CA ", "fr", "fr-CA"),
        ("iw", "he", "he"), ("in-ID", "id", "id-ID"), ("nb", "no", "no"), ("nn-NO", "no", "no-NO"), ("fil", "tl", "tl"), ("sr-latn-rs", "sr", "sr-Latn-RS"),
        ("zh", "zh", "zh"), ("zh-CN", "zh", "zh-CN"), ("zh-Hans", "zh", "zh-Hans"), ("cmn", "zh", "zh"),
        ("zh-Hant", "zh-Hant", "zh-Hant"), ("zh_tw", "zh-Hant", "zh-TW"), ("zh-HK", "zh-Hant", "zh-HK"), ("zh-Hant-CN", "zh-Hant", "zh-Hant-CN"),
        ("zh-Hans-HK", "zh", "zh-Hans-HK"),  # the script outweighs the region
    ],
)  # fmt: skip
def test_base_language_keeps_the_region_in_the_locale(declared, language, locale):
    assert base_language(declared) == (language, locale)


@pytest.mark.parametrize("declared", [None, "", "  ", "und", "zxx", "mul", "NONE", "e", "english", "12", "-", "_US", "語", "e!"])
def test_base_language_says_unknown_for_no_language(declared):
    assert base_language(declared) == (UNKNOWN, None)


def test_decide_trusts_a_declaration_that_the_text_agrees_with():
    assert decide("en-IN", ("en", 0.4), LONG, "hi") == ("en", "en-IN", "declared", 0.4)


def test_decide_trusts_a_declaration_when_the_text_says_nothing():
    assert decide("fr", ("und", 0.0), 0, None) == ("fr", "fr", "declared", None)


def test_decide_overrules_a_declaration_when_the_detection_is_sure():
    assert decide("fr-CA", ("th", 0.99), LONG, None) == ("th", None, "detected", 0.99)
    assert decide("fr-CA", ("es", 0.9), LONG, None).language == "es"  # equal passes
    assert decide("fr-CA", ("es", 0.89), LONG, None) == ("fr", "fr-CA", "declared", None)


def test_decide_trusts_a_declared_english_less():
    assert decide("en-US", ("es", 0.6), LONG, None).language == "es"
    assert decide("en-US", ("es", 0.59), LONG, None).language == "en"


def test_decide_lets_the_channel_confirm_a_contradiction():
    assert decide("fr", ("es", 0.7), LONG, "es") == ("es", None, "detected", 0.7)
    assert decide("fr", ("es", 0.7), LONG, "fr").language == "fr"


def test_decide_leans_on_the_declaration_where_the_text_is_short():
    assert decide("en", ("es", 0.8), 9, "es").language == "en"
    assert decide("en", ("th", 0.99), 9, None).language == "th"


@pytest.mark.parametrize(("declared", "seen"), [("sr", "hr"), ("ms", "id"), ("jv", "id"), ("gl", "es"), ("ky", "kk"), ("no", "da"), ("yue", "zh-Hant")])
def test_decide_hears_no_contradiction_in_a_close_language(declared, seen):
    assert decide(declared, (seen, 0.98), LONG, seen).language == declared


def test_decide_corrects_the_script_of_chinese():
    assert decide("zh", ("zh-Hant", 0.98), LONG, None).language == "zh-Hant"


def test_decide_without_declaration_takes_what_is_likely():
    assert decide(None, ("es", 0.7), LONG, "en") == ("es", None, "detected", 0.7)
    assert decide("zxx", ("es", 0.4), LONG, None) == ("es", None, "detected", 0.4)


def test_decide_without_declaration_leans_on_the_channel():
    assert decide(None, ("es", 0.5), LONG, "en") == ("en", None, "channel", None)
    assert decide(None, ("es", 0.8), 5, "es") == ("es", None, "channel", 0.8)
    assert decide(None, ("und", 0.0), 0, "ja") == ("ja", None, "channel", None)


def test_decide_says_unknown_rather_than_guess():
    assert decide(None, ("es", 0.29), LONG, None) == (UNKNOWN, None, "unknown", None)
    assert decide("", ("und", 0.0), 0, UNKNOWN) == (UNKNOWN, None, "unknown", None)


CODES = st.sampled_from(["en", "fr", "zh", "zh-Hant", "sr", "hr", "und"])


@given(st.none() | CODES | st.text(max_size=8), CODES, st.floats(0, 1), st.integers(0, 200), st.none() | CODES)
def test_decide_always_names_a_language_and_where_it_is_from(declared, seen, confidence, num_letters, channel):
    decision = decide(declared, (seen, confidence), num_letters, channel)
    assert decision.language in {base_language(declared)[0], seen, channel or UNKNOWN, UNKNOWN}
    assert (decision.language == UNKNOWN) == (decision.source == "unknown")
    assert decision.confidence in (None, confidence)
    assert decision.locale is None or decision.source == "declared"


def test_decide_all_takes_whole_columns_with_nulls():
    videos = [
        ("Best goals of the season so far", np.array(["football"]), None, "en-GB", None),
        ("عائلة المتدعبلين كشفنا حقيقة بابا", None, None, "en", None),
        ("", [], "Une tarte aux pommes comme la faisait ma grand-mère", None, None),  # only a description
        (None, None, None, None, "ka"),
        ("😀😀", [None], None, None, None),
    ]
    decisions = decide_all(*zip(*videos, strict=True))
    assert [(d.language, d.source) for d in decisions] == [("en", "declared"), ("ar", "detected"), ("fr", "detected"), ("ka", "channel"), (UNKNOWN, "unknown")]
    assert decide_all([], [], [], [], []) == []
