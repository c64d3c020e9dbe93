"""Reads a declared language, whatever standard or platform its code or its name comes from.

Why langcodes with language_data: it knows BCP 47 with all codes of ISO 639-1, -2 and -3, CLDR's rule which language of a
macrolanguage is meant by its code, and 40,000 names of languages, scripts and regions in 190 languages. A name counts only as a
whole: the library's own search also takes "germane" for German. It is imported (40 ms, 4 MB) for the first code that is not frequent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

from xlclass.catalog.cleaning import repair_surrogates
from xlclass.errors import SettingsError

UNKNOWN = "und"
LIBRARIES = ("langcodes", "language_data")

_MAX_LENGTH = 64  # characters; no name of a language is longer
_NO_LANGUAGE = {"und", "zxx", "mul", "mis", "root"}  # codes of no language or of several
# What stands for a missing value. Two of them would be codes: "nan" (Min Nan) is what pandas writes, and "NA" (Nauru) what R writes.
_MISSING = {"", "none", "null", "nan", "n/a", "unknown"} | _NO_LANGUAGE
_TWO_LETTERS = (
    "af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko ku ky lo lt lv mk ml mn mr ms my ne"
    " nl no or pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi zh zu"
)
_FREQUENT = frozenset(_TWO_LETTERS.split())  # read without the library
_RENAMED = {"iw": "he", "in": "id", "nb": "no", "nn": "no", "fil": "tl", "ji": "yi", "jw": "jv", "mo": "ro"}  # what the project calls them
_WRITTEN_AS_ONE = {"ar", "ku"}  # macrolanguages whose members are told apart neither by their titles nor by the detector
_TRADITIONAL = {"hant", "tw", "hk", "mo"}  # scripts and regions that write Chinese in traditional characters

_TAG = re.compile(r"([A-Za-z]{2,3}(?:[-_]+[A-Za-z0-9]{1,8})*[-_]*)(?:[.@].*)?")  # with an encoding, as in en_US.UTF-8
_PRIVATE = re.compile("q[a-t][a-z]")
_SEPARATOR = re.compile(r"\s*(?:[,;:/|()\[\]]|\s[-\u2010-\u2015]\s)\s*")
_NAMES = {  # names that platforms use and the library lacks
    "bahasa": "id", "bahasa melayu": "ms", "latviešu valoda": "lv", "valencià": "ca", "русский язык": "ru", "ภาษาไทย": "th", "ဗမာ": "my",
    "castilian spanish": "es-ES", "español latino": "es-419",
    "汉语": "zh", "华语": "zh", "国语": "zh", "漢語": "zh-Hant", "國語": "zh-Hant",
}  # fmt: skip


@lru_cache(maxsize=1_024)
def base_language(declared: str | None) -> tuple[str, str | None]:
    """The language and the locale that a declared code or name means.

    Codes are of ISO 639-1, 639-2 and 639-3, BCP 47 or POSIX; names are in any language, with a region or a script after them or
    without. The language is the base code, `und` if none is named; Chinese keeps its script. The locale is the tag in canonical
    case, null if no language is named. Of several languages, the first counts. Never raises.

    >>> base_language("en-GB"), base_language("iw"), base_language("zh_tw"), base_language(None)
    (('en', 'en-GB'), ('he', 'he'), ('zh-Hant', 'zh-TW'), ('und', None))
    >>> base_language("ger"), base_language("en_US.UTF-8"), base_language("Español (Latinoamérica)")
    (('de', 'de'), ('en', 'en-US'), ('es', 'es-419'))
    """
    text = " ".join(repair_surrogates(declared).split()) if declared and len(declared) <= _MAX_LENGTH else ""
    tag = None if text.lower() in _MISSING or text == "NA" else _tag_of_code(text) or _tag_of_name(text)
    if tag is None:
        return UNKNOWN, None
    code, *subtags = tag.split("-")
    if code in ("zh", "yue") and _TRADITIONAL.intersection(map(str.lower, subtags)) and "Hans" not in subtags:
        return "zh-Hant", tag
    return code, tag


def base_languages(codes: str) -> tuple[str, ...]:
    """The languages that the argument `--languages` names, separated by commas; `und` is one of them.

    Raises:
        SettingsError: a code names no language.
    """
    languages = {code: base_language(code)[0] for code in map(str.strip, codes.split(","))}
    for code, language in languages.items():
        if language == UNKNOWN != code:
            raise SettingsError(f"--languages: {code!r} names no language; give codes such as en,fr,zh-Hant")
    return tuple(dict.fromkeys(languages.values()))


def _tag_of_code(text: str) -> str | None:
    """The tag of a code in canonical form, null if `text` is no code of a language."""
    match = _TAG.fullmatch(text)
    if not match:
        return None
    code, *subtags = filter(None, re.split("[-_]", match[1]))
    code = _RENAMED.get(code.lower(), code.lower())
    if code in _FREQUENT and all(len(subtag) in (2, 4) or subtag.isdigit() for subtag in subtags):
        return "-".join([code, *map(_canonical, subtags)])
    return _standard_tag("-".join([code, *subtags]))


def _canonical(subtag: str) -> str:
    """A subtag in the case of BCP 47: scripts in title case, regions in capitals."""
    return {4: subtag.title(), 2: subtag.upper()}.get(len(subtag), subtag.lower())


def _standard_tag(tag: str) -> str | None:
    """The tag with the shortest code, the macrolanguage's where that is meant; null if it is not valid or names no language."""
    import langcodes
    from langcodes.data_dicts import MACROLANGUAGES

    try:
        language, *subtags = langcodes.standardize_tag(tag, macro=True).split("-")
    except ValueError:
        return None
    if language in _NO_LANGUAGE or _PRIVATE.fullmatch(language) or not langcodes.tag_is_valid(language):
        return None
    if MACROLANGUAGES.get(language) in _WRITTEN_AS_ONE:
        language = MACROLANGUAGES[language]
    return "-".join([_RENAMED.get(language, language), *subtags])


def _tag_of_name(text: str) -> str | None:
    """The tag of a language's name, such as "French", "Français (Canada)" or "Chinese, Simplified"; null if it is none."""
    tag = _find("language", text)
    if tag:
        return _standard_tag(tag)
    parts = list(filter(None, _SEPARATOR.split(text)))
    if len(parts) > 1:
        tag = _tag_of_code(parts[0]) or _tag_of_name(parts[0])
        return tag and (_narrowed(tag, parts[1]) or tag)
    words = text.split(" ")
    for end in range(len(words) - 1, 0, -1):
        tag, qualifier = _find("language", " ".join(words[:end])), " ".join(words[end:])
        narrowed = tag and (tag if qualifier.lower() == "language" else _narrowed(tag, qualifier))
        if narrowed:
            return _standard_tag(narrowed)
    return None


def _narrowed(tag: str, qualifier: str) -> str | None:
    """The tag with the script or region that `qualifier` names, or `qualifier` itself if it is a longer tag of the language; else null."""
    code = _tag_of_code(qualifier)
    if code and code.split("-")[0] == tag.split("-")[0]:
        return max(tag, code, key=len)
    subtag = qualifier if re.fullmatch("[A-Z]{2}", qualifier) else _find("script", qualifier) or _find("territory", qualifier)
    return f"{tag}-{subtag}" if subtag else None


def _find(kind: str, name: str) -> str | None:
    """The code of a language, script or territory by its whole name in any language."""
    from language_data.names import normalize_name

    if "\0" in name:  # the trie fails on it
        return None
    name = normalize_name(unicodedata.normalize("NFC", name))
    codes = _trie(kind).get(name) if len(name) > (3 if name.isascii() else 1) else None  # shorter names are codes, or too ambiguous
    return codes[0].decode() if codes else _NAMES.get(name) if kind == "language" else None


@cache
def _trie(kind: str) -> Any:
    from language_data.names import load_trie
    from language_data.util import data_filename

    return load_trie(data_filename(f"trie/und/name_to_{kind}.marisa"))
