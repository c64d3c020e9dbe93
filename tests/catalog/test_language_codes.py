"""Codes and names of languages, from every standard and platform, to one code."""

import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from refusals import message_of

from xlclass.catalog import language_codes, load_preparation
from xlclass.catalog.language_codes import UNKNOWN, base_language, base_languages
from xlclass.config import load_settings
from xlclass.errors import SettingsError

TAGS = {  # declared tag -> language, locale
    "en": ("en", "en"), "EN-gb": ("en", "en-GB"), "pt_BR": ("pt", "pt-BR"), "es-419": ("es", "es-419"), " fr-CA ": ("fr", "fr-CA"),
    "iw": ("he", "he"), "in-ID": ("id", "id-ID"), "nb": ("no", "no"), "nn-NO": ("no", "no-NO"), "fil": ("tl", "tl"), "sr-latn-rs": ("sr", "sr-Latn-RS"),
    "zh": ("zh", "zh"), "zh-CN": ("zh", "zh-CN"), "zh-Hans": ("zh", "zh-Hans"), "cmn": ("zh", "zh"),
    "zh-Hant": ("zh-Hant", "zh-Hant"), "zh_tw": ("zh-Hant", "zh-TW"), "zh-HK": ("zh-Hant", "zh-HK"), "zh-Hant-CN": ("zh-Hant", "zh-Hant-CN"),
    "zh-Hans-HK": ("zh", "zh-Hans-HK"),  # the script outweighs the region
    "zh-Hant-HK": ("zh-Hant", "zh-Hant-HK"), "zh-cmn-Hans": ("zh", "zh-Hans"), "zh-yue": ("yue", "yue"), "yue-HK": ("zh-Hant", "yue-HK"),
    "en_US.UTF-8": ("en", "en-US"), "de_DE@euro": ("de", "de-DE"), "en-": ("en", "en"), "eng-us": ("en", "en-US"), "tgl-PH": ("tl", "tl-PH"),
    "prs": ("fa", "fa-AF"), "ary-MA": ("ar", "ar-MA"), "nan-TW": ("nan", "nan-TW"), "na": ("na", "na"),
}  # fmt: skip
ISO_639_2 = """
    fre/fra fr, ger/deu de, chi/zho zh, dut/nld nl, gre/ell el, per/fas fa, rum/ron ro, slo/slk sk, alb/sqi sq, arm/hye hy, baq/eus eu, bur/mya my, cze/ces cs,
    geo/kat ka, ice/isl is, mac/mkd mk, may/msa ms, tib/bod bo, wel/cym cy, mao/mri mi, eng en, spa es, jpn ja, heb he, ind id, nob no, nno no, nor no, tgl tl
"""
ISO_639_3 = "arb ar, arz ar, apc ar, cmn zh, pes fa, swh sw, zsm ms, ekk et, lvs lv, ckb ku, kmr ku, uzn uz, azj az, khk mn, npi ne, ory or, ydd yi, hbs sr"
NAMES = {  # what platforms write -> language, locale
    "English": ("en", "en"), "french": ("fr", "fr"), "DEUTSCH": ("de", "de"), "Français": ("fr", "fr"), "Franc\u0327ais": ("fr", "fr"),
    "Español (Latinoamérica)": ("es", "es-419"), "Spanish - Latin America": ("es", "es-419"), "Français (Canada)": ("fr", "fr-CA"),
    "English (United States)": ("en", "en-US"), "English (UK)": ("en", "en-GB"), "Portuguese (BR)": ("pt", "pt-BR"), "Brazilian Portuguese": ("pt", "pt-BR"),
    "Chinese (Simplified)": ("zh", "zh-Hans"), "Chinese (Traditional)": ("zh-Hant", "zh-Hant"), "Traditional Chinese": ("zh-Hant", "zh-Hant"),
    "Chinese, Simplified": ("zh", "zh-Hans"), "Chinese Traditional": ("zh-Hant", "zh-Hant"), "Chinese (Hong Kong)": ("zh-Hant", "zh-HK"),
    "中文 (简体)": ("zh", "zh-Hans"), "中文 (繁體)": ("zh-Hant", "zh-Hant"), "Mandarin": ("zh", "zh"), "Cantonese": ("yue", "yue"),
    "漢語": ("zh-Hant", "zh-Hant"),
    "Norsk bokmål": ("no", "no"), "Filipino": ("tl", "tl"), "Farsi": ("fa", "fa"), "Persian (Farsi)": ("fa", "fa"), "Greek, Modern (1453-)": ("el", "el"),
    "Spanish; Castilian": ("es", "es"), "Egyptian Arabic": ("ar", "ar"), "Bahasa Melayu": ("ms", "ms"), "Serbian (Latin)": ("sr", "sr-Latn"),
    "русский": ("ru", "ru"), "العربية": ("ar", "ar"), "日本語": ("ja", "ja"), "English language": ("en", "en"), "en - English": ("en", "en"),
    "Chinese (zh-TW)": ("zh-Hant", "zh-TW"), "English (auto-generated)": ("en", "en"), "en-US,en;q=0.9": ("en", "en-US"), "English/French": ("en", "en"),
}  # fmt: skip
NO_LANGUAGE = [
    *(
        None,
        "",
        "Y\x000\x80",  # a NUL before another character
        "  ",
        "und",
        "zxx",
        "mul",
        "mis",
        "NONE",
        "null",
        "n/a",
        "N/A",
        "NA",
        "NaN",
        "nan",
        "Unknown",
        "e",
        "12",
        "-",
        "_US",
        "語",
        "e!",
        ",",
        "()",
        "—",
    ),
    *("xx", "zz", "qaa", "x-foo", "C", "POSIX", "root", "und-Latn", "Undetermined", "Multiple languages", "No linguistic content", "other", "auto", "germane"),
    *("more music", "lets play", "x" * 10_000, "en" * 5_000, "English " * 2_000, "\x00\ud800"),
]


def pairs(table):
    """`fre/fra fr, eng en` as {"fre": "fr", "fra": "fr", "eng": "en"}."""
    return {code: language for codes, language in map(str.split, table.split(",")) for code in codes.split("/")}


def test_base_language_keeps_the_region_in_the_locale():
    assert {tag: base_language(tag) for tag in TAGS} == TAGS


def test_base_language_reads_iso_639_2_and_3():
    expected = pairs(ISO_639_2) | pairs(ISO_639_3)
    assert {code: base_language(code)[0] for code in expected} == expected
    assert {code: base_language(code.upper())[0] for code in expected} == expected


def test_base_language_reads_the_names_that_platforms_use():
    assert {name: base_language(name) for name in NAMES} == NAMES


def test_base_language_is_unknown_for_a_tag_without_language():
    assert {tag: base_language(tag) for tag in NO_LANGUAGE} == dict.fromkeys(NO_LANGUAGE, (UNKNOWN, None))


def test_base_language_agrees_with_the_library_on_frequent_codes():
    frequent = sorted(language_codes._FREQUENT)
    assert [language_codes._standard_tag(code) for code in frequent] == frequent


def test_base_language_loads_no_library_for_frequent_codes():
    code = (
        "import sys; from xlclass.catalog.language_codes import base_language\n"
        "print([base_language(code)[0] for code in ('en-GB', 'zh_TW', 'iw', 'nb', None, '', 'und')], {'langcodes', 'language_data'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "['en', 'zh-Hant', 'he', 'no', 'und', 'und', 'und'] set()\n"


WORDS = st.sampled_from(
    [*"-_,;()[]|/.@ \n", "en", "zh", "Hant", "TW", "english", "Chinese", "Simplified", "Brasil", "x", "u", "419", "i-klingon", "cmn", "a" * 9]
)


@given(st.text() | st.lists(WORDS, max_size=8).map("".join) | st.from_regex(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}", fullmatch=True))
@example("()")
@example("en-a")
@example("en-u-")
def test_base_language_never_raises_and_reads_its_own_answer_again(declared):
    language, locale = base_language(declared)
    assert (language == UNKNOWN) == (locale is None)
    assert base_language(language)[0] == language
    assert locale is None or base_language(locale)[0] == language


def test_base_languages_reads_codes_and_refuses_what_is_none():
    assert base_languages("en, fre,zh_TW,pt-BR,en") == ("en", "fr", "zh-Hant", "pt")
    assert base_languages("und") == ("und",)
    with pytest.raises(SettingsError, match="--languages: 'xx' names no language; give codes such as en,fr,zh-Hant"):
        base_languages("en,xx")


def test_load_preparation_refuses_a_training_language_that_no_video_gets(tmp_path):
    for code, words in [("eng", "training.languages: 'eng' names no language; write en"), ("zz", "training.languages: 'zz' names no language")]:
        (tmp_path / "settings.toml").write_text(f'[source]\npath = "demo"\n[lake]\npath = "lake"\n[training]\nlanguages = ["{code}"]\n')
        assert words in message_of(load_preparation, load_settings(tmp_path / "settings.toml"))
