"""The text preparation: its steps together, the choice of fields, and the promises that hold for all strings."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyspark import cloudpickle

from xlclass.catalog.abbreviations import load_abbreviations
from xlclass.catalog.emojis import name_emojis, remove_emojis
from xlclass.catalog.text import STEPS, Preparation, Prepared
from xlclass.config import TextSettings
from xlclass.errors import SettingsError

ABBREVIATIONS = load_abbreviations(ROOT / "conf" / "abbreviations.toml")
EVERY_STEP = TextSettings()
DEFAULT = Preparation.from_settings(EVERY_STEP, ABBREVIATIONS)
EXAMPLES = {  # description (for "duplicates": tag) that a step changes
    "invisible": "a\u200bb", "compatibility": "ａｂ", "marks": "بـب", "decoration": "🅰",
    "entities": "&amp;", "boilerplate": "Subscribe now!", "emoji": "🔥", "contacts": "@me x",
    "hashtags": "#FooBar", "case": "AB", "repeats": "sooo bad!!", "abbreviations": "ft", "duplicates": "cat",
}  # fmt: skip


def text_of(title, language="en", **changes):
    return Preparation.from_settings(replace(EVERY_STEP, **changes), ABBREVIATIONS).prepare(title, None, None, None, language).text


def test_prepare_names_or_drops_emoji():
    assert text_of("Goal ⚽⚽🔥 👍🏽 🇫🇷 ❤️ ▶️ ★") == "goal soccer ball fire thumbs up france red heart"
    assert text_of("Goal ⚽⚽🔥 👍🏽 1️⃣", emoji="drop") == "goal 1"
    assert text_of("Goal ⚽", skip=("emoji",)) == "goal ⚽"
    assert remove_emojis("a🔥b→c") == "a b c"
    assert name_emojis("👨\u200d👩\u200d👧").split() == ["family", "man", "woman", "girl"]


def test_prepare_lower_cases_by_language():
    assert text_of("IŞIK FIFA", "tr") == "ışık fifa"
    assert text_of("J\u030c", "en") == "ǰ"


def test_prepare_expands_abbreviations_of_the_language():
    assert text_of("RDV SVP", "fr") == "rendez-vous s'il vous plaît"
    assert text_of("svp", "en") == "svp"
    assert text_of("сегодня 5 МЛН руб", "ru") == "сегодня 5 миллионов рублей"


def test_prepare_removes_boilerplate_from_descriptions_only():
    assert DEFAULT.prepare("Why you subscribe to my channel", None, "Subscribe to my channel!", None, "en") == (
        "why you subscribe to my channel",
        "title",
        "ok",
    )


def test_prepare_joins_title_tags_and_description():
    prepared = DEFAULT.prepare("Best GOALS", np.array(["football", "Football", "goal"], object), "All of May.", None, "en")
    assert prepared == Prepared("best goals football goal all of may.", "title+tags+description", "ok")


def test_prepare_adds_the_description_to_short_texts_only_under_when_short():
    when_short = Preparation.from_settings(TextSettings(description="when_short", min_letters=12), {})
    assert when_short.prepare("A title of enough letters", [], "More", ["cats"], "en").source == "title"
    assert when_short.prepare("Short", ["one"], "And a description", ["cats"], "en") == ("short one and a description", "title+tags+description", "ok")
    assert when_short.prepare("Short", None, "", ["cats", "dogs"], "en") == ("short cats dogs", "title+channel_tags", "ok")
    assert when_short.prepare("Hi", None, None, None, "en") == ("hi", "title", "short")
    assert when_short.prepare("東京の桜", None, "説明", ["猫"], "ja") == ("東京の桜 説明", "title+description", "ok")
    assert when_short.prepare("IMG_20240101.mp4", None, None, ["cats", "gardens"], "en") == ("img_20240101.mp4 cats gardens", "title+channel_tags", "short")


def test_prepare_returns_empty_for_text_without_words():
    preparation = Preparation.from_settings(TextSettings(emoji="drop"), {})
    titles = [None, "", " \n", "\u200b\x00", "https://a.b/c", "@me", "\ud800", "🔥"]
    assert {title: preparation.prepare(title, [None, ""], None, [], "en") for title in titles} == dict.fromkeys(titles, (None, None, "empty"))


def test_prepare_can_skip_each_step():
    unchanged = []
    for step in STEPS:
        fields = ("x", [EXAMPLES[step]] * 2, None) if step == "duplicates" else ("x", None, EXAMPLES[step])
        without = Preparation.from_settings(TextSettings(skip=(step,)), ABBREVIATIONS)
        same_text = without.prepare(*fields, None, "en").text == DEFAULT.prepare(*fields, None, "en").text
        unchanged += [step] if same_text or without.version == DEFAULT.version else []
    assert unchanged == []


def test_from_settings_refuses_an_unknown_step():
    with pytest.raises(SettingsError, match=r"text\.skip: there is no step 'emojis'; the steps are invisible, "):
        Preparation.from_settings(TextSettings(skip=("emojis",)), {})


def test_version_depends_on_settings_and_abbreviations_but_not_on_their_path():
    changes = [{"max_characters": 999}, {"min_letters": 3}, {"description": "when_short"}, {"emoji": "drop"}]
    versions = {Preparation.from_settings(TextSettings(**change), ABBREVIATIONS).version for change in changes}
    versions |= {DEFAULT.version, Preparation.from_settings(EVERY_STEP, {}).version}
    assert len(versions) == 6
    assert DEFAULT.version == Preparation.from_settings(TextSettings(abbreviations="elsewhere.toml"), dict(reversed(ABBREVIATIONS.items()))).version


def test_preparation_can_be_pickled_after_use():
    copy = cloudpickle.loads(cloudpickle.dumps(DEFAULT))
    assert copy.version == DEFAULT.version
    assert copy.prepare("A ft B 🔥", None, None, None, "en") == DEFAULT.prepare("A ft B 🔥", None, None, None, "en")


# Pieces of what the steps look for: hypothesis joins them in ways that let the result of one step become input of another.
_SINGLE = "&#;@./:w-_ +()!?*aAbBiIıİoOsSſ019<=>'~ß\u0307\u0301\u0316\u0338\u0345\u200d\u200c\u200b\u00ad\ufe0f\u20e3\n\r\x00\x85\u2028"
_SINGLE += "＆＃＠；．：。،।©™Ⅲ１あーｱﾞก็क्षিবعیא가ㅏ★►ﷺ\u3164\ue000\ud800\udc00"
_JOINED = """
    http:// WwW. &amp; &lt; &#39; &#x200b; &#64; &#38; &Int; #Foo #foobar ft FT vs .com/ .IO/ .App/ ggg a@b.com xxxl VIII СССР aaaa İİİ ㅋㅋㅋ 🔥 🇫🇷 👍🏽
    IMG_1234 ab,ab,ab,ab,ab,ab, xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
"""
_SPACED = ["+49 171 2345678", "0171 234 ", "12 34 56 ", "subscribe to my channel", "👨\u200d👩\u200d👧"]
_MARKED = ["\u0301" * 5, "ا\u0316\u0300\u0653", "J\u030c", "i\u0307\u0307", "ه\u064b\u0654", "\u064e", "ـ", "ﹱ", "בְּ", "׃", "a\u0336", "=\u0338"]
_DECORATED = [*"🅰🅿🅐🆚🇦ᴀʙǫꜱƦɐɥʇʍɹǝǝɔıʌƎƜMopnx˙", "uʍop ǝpısdn", "ǝɯ", "ᴀʙ", "ɐɹ", "ɥɯ", "&ɐǝ;", "&🅰🅼🅿;"]
PIECES = [*_SINGLE, *_JOINED.split(), *_SPACED, *_MARKED, *_DECORATED]
HOSTILE = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=16).map("".join),
    st.lists(st.sampled_from([*_DECORATED, *_MARKED, *" #_&;@.aB1"]), max_size=16).map("".join),
    st.text(st.characters(exclude_categories=()), max_size=60),
    st.text(max_size=40),
)
TAGS = st.none() | st.lists(HOSTILE | st.none(), max_size=4)
SETTINGS = st.builds(
    TextSettings,
    max_characters=st.sampled_from([20, 23, 50, 1000]),
    min_letters=st.sampled_from([0, 20, 90]),
    emoji=st.sampled_from(["names", "drop"]),
    description=st.sampled_from(["always", "when_short"]),
    skip=st.lists(st.sampled_from(STEPS[2:]), max_size=2, unique=True).map(tuple),
)
LANGUAGES = st.sampled_from(["en", "fr", "tr", "az", "ja", "ar", "hi", "th", "und", "zh-Hant", "no such"])


@settings(max_examples=400, deadline=None)
@given(TAGS, TAGS, HOSTILE | st.none(), HOSTILE | st.none(), SETTINGS, LANGUAGES)
@example(["&##\u093f;"], None, "@-.Σ\u0316", "J\u030c@-.x", EVERY_STEP, "en")
@example(None, None, None, "ft" + "\u0301" * 5, EVERY_STEP, "en")
@example(None, None, None, "ƎJ\u030cɐ", EVERY_STEP, "en")  # J and its mark become one letter of the word in lower case
def test_prepare_never_raises_keeps_the_limit_and_is_idempotent(tags, channel_tags, description, title, text_settings, language):
    preparation = Preparation.from_settings(text_settings, ABBREVIATIONS)
    text, source, quality = preparation.prepare(title, tags, description, channel_tags, language)
    assert (text is None) == (source is None) == (quality == "empty")
    if text is not None:
        assert 0 < len(text) <= text_settings.max_characters
        text.encode("utf-8")
        assert preparation.prepare(text, None, None, None, language).text == text


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join), LANGUAGES)
def test_prepare_keeps_the_limit_for_huge_text(piece, language):
    huge = piece * (1_000_000 // len(piece))
    text = DEFAULT.prepare(huge, [huge[at : at + 50] for at in range(5000)], huge, None, language).text
    assert text is None or len(text) <= 1000 and DEFAULT.prepare(text, None, None, None, language).text == text
