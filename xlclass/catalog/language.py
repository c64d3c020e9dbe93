"""Which language a video is in, in the form that all tables use: what was declared, unless the text clearly says another.

Why: in a real catalogue one declaration in thirty was wrong, nearly half of those an English that nobody chose, and the detector
alone was wrong on one title in twenty-five. So a declared English gives way early, any other to a detection of 0.9, and hardly
any to a language that the detector takes it for. The numbers were chosen on one half of the channels;
`tests/bench/language.py` reports the other.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from xlclass.catalog.detector import UNKNOWN, detect, detection_text

__all__ = ["DECISION_VERSION", "UNKNOWN", "Decision", "base_language", "decide", "decide_all"]

DECISION_VERSION = f"1-eldc-{importlib.metadata.version('eldc')}"  # raise the number when `decide` or the detector change their answers

_RENAMED = {"iw": "he", "in": "id", "nb": "no", "nn": "no", "fil": "tl", "ji": "yi", "jw": "jv", "mo": "ro", "cmn": "zh"}
_TRADITIONAL = {"hant", "tw", "hk", "mo"}  # scripts and regions that write Chinese in traditional characters
_NO_LANGUAGE = {"", "und", "zxx", "mul", "mis", "none", "null", "unknown"}

_SURE = 0.9  # a detection that outweighs a declaration
_CERTAIN = 0.985  # one that outweighs a declared language which is close to it
_LIKELY = 0.6  # one that outweighs a declared English, the default of many tools, or has the channel behind it, or needs none
_GUESS = 0.3  # below it three answers in four were wrong: unknown is better
_FEW_LETTERS = 10  # below which a text leans on its declaration and its channel
_CLOSE = (  # languages that are taken for each other, or that the detector takes for one it knows
    {"id", "ms", "jv", "su"}, {"hr", "sr", "bs", "sh", "sl", "mk"}, {"bg", "mk"}, {"zh", "yue"}, {"zh-Hant", "yue"}, {"no", "da", "sv"}, {"cs", "sk"},
    {"es", "gl", "ca"}, {"pt", "gl"}, {"nl", "af"}, {"de", "lb", "gsw"}, {"et", "vro"}, {"tl", "ceb"}, {"hi", "mr", "ne", "bh"}, {"ru", "be"}, {"az", "tr"},
    {"kk", "ky", "tt", "mn", "tg", "ba", "uz"}, {"fa", "ps"}, {"ur", "sd"}, {"ar", "ku"},
)  # fmt: skip


class Decision(NamedTuple):
    """A video's language and locale, their source, and the detector's confidence in them.

    `source` is `declared`, `detected`, `channel` or `unknown`. The locale is null unless the declaration stands; the
    confidence is null where the detector said another language or none. A declaration was overruled where the source is
    `detected` although the declared tag names a language.
    """

    language: str
    locale: str | None
    source: str
    confidence: float | None


@lru_cache(maxsize=1_024)
def base_language(declared: str | None) -> tuple[str, str | None]:
    """The language and the locale that a declared BCP 47 tag means: `(language, locale)`.

    The language is the base code, `und` where there is none; Chinese keeps its script. The locale is the tag in
    canonical case, null where none was declared.

    >>> base_language("en-GB"), base_language("iw"), base_language("zh_tw"), base_language(None)
    (('en', 'en-GB'), ('he', 'he'), ('zh-Hant', 'zh-TW'), ('und', None))
    """
    parts = (declared or "").strip().replace("_", "-").split("-")
    code = parts[0].lower()
    if code in _NO_LANGUAGE or not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3):
        return UNKNOWN, None
    code = _RENAMED.get(code, code)
    subtags = {part.lower() for part in parts[1:]}
    locale = "-".join([code, *(_canonical(part) for part in parts[1:] if part)])
    if code in ("zh", "yue") and subtags & _TRADITIONAL and "hans" not in subtags:
        return "zh-Hant", locale
    return code, locale


def decide(declared: str | None, detected: tuple[str, float], num_letters: int, channel_language: str | None) -> Decision:
    """The language of a video, from its declared tag, what `detect` said of its text, and its channel's usual language.

    `num_letters` is how many meaningful characters the text has, from ten on any number; the channel's language may be null.

    >>> decide("en-GB", ("en", 0.99), 40, None)
    Decision(language='en', locale='en-GB', source='declared', confidence=0.99)
    >>> decide("en", ("ar", 0.98), 40, None)
    Decision(language='ar', locale=None, source='detected', confidence=0.98)
    >>> decide("sr", ("hr", 0.55), 40, None)
    Decision(language='sr', locale='sr', source='declared', confidence=None)
    """
    language, locale = base_language(declared)
    seen, confidence = detected
    channel = channel_language or UNKNOWN
    if language == UNKNOWN:
        return _undeclared(seen, confidence, num_letters, channel)
    if seen not in (language, UNKNOWN) and confidence >= _needed(language, seen, num_letters, channel):
        return Decision(seen, None, "detected", confidence)
    return Decision(language, locale, "declared", confidence if seen == language else None)


def decide_all(
    titles: Iterable[str | None],
    tags: Iterable[Sequence[str] | None],
    descriptions: Iterable[str | None],
    declared: Iterable[str | None],
    channel_languages: Iterable[str | None],
) -> list[Decision]:
    """The decision for each video; all columns are of one length, and any value may be null."""
    texts = [detection_text(*fields) for fields in zip(titles, tags, descriptions, strict=True)]
    letters = map(_num_letters, texts)
    return [decide(*row) for row in zip(declared, detect(texts), letters, channel_languages, strict=True)]


def _num_letters(text: str) -> int:
    """How many letters and digits the text has, or a number of at least _FEW_LETTERS when there are as many."""
    of_head = sum(map(str.isalnum, text[: 2 * _FEW_LETTERS]))
    return of_head if of_head >= _FEW_LETTERS else sum(map(str.isalnum, text))


def _undeclared(seen: str, confidence: float, num_letters: int, channel: str) -> Decision:
    """The decision where nothing was declared."""
    if channel != UNKNOWN and confidence < (_LIKELY if num_letters >= _FEW_LETTERS else _SURE):
        return Decision(channel, None, "channel", confidence if seen == channel else None)
    if seen != UNKNOWN and confidence >= _GUESS:
        return Decision(seen, None, "detected", confidence)
    return Decision(UNKNOWN, None, "unknown", None)


def _needed(language: str, seen: str, num_letters: int, channel: str) -> float:
    """The confidence that a detection needs to overrule a declared `language`."""
    if any({language, seen} <= group for group in _CLOSE):
        return _CERTAIN
    if num_letters < _FEW_LETTERS:
        return _SURE
    return _LIKELY if language == "en" or seen == channel else _SURE


def _canonical(subtag: str) -> str:
    """A subtag in BCP 47's case: scripts in title case, regions in capitals."""
    return {4: subtag.title(), 2: subtag.upper()}.get(len(subtag), subtag.lower())
