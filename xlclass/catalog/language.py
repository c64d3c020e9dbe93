"""Decides the language of a video: the declared one, unless the text is clearly in another.

Why: in a real catalogue one declaration in thirty was wrong, and nearly half of the wrong ones were an English that nobody had
chosen. The detector alone was wrong on one title in twenty-five. So a detection of 0.6 overrules a declared English and one of 0.9
another declared language; between languages that are easily confused it takes 0.985. The numbers were chosen on one half of the
channels; `tests/bench/language.py` measures the other half.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from xlclass.catalog.detector import detect, detection_text
from xlclass.catalog.language_codes import LIBRARIES, UNKNOWN, base_language

__all__ = ["DECISION_VERSION", "UNKNOWN", "Decision", "base_language", "decide_language", "decide_languages"]

# Raise the number when `decide_language`, `base_language` or the detector change their results.
DECISION_VERSION = "-".join(["3", *(f"{name}-{importlib.metadata.version(name)}" for name in ("eldc", *LIBRARIES))])

# Minimum confidence of a detection
_SURE = 0.9  # to overrule a declaration, or in a short text the channel
_CERTAIN = 0.985  # to overrule a declared language that is easily confused with the detected one
_LIKELY = 0.6  # to overrule a declared English (the default of many tools), a declaration against the channel, or the channel
_GUESS = 0.3  # to be used at all: below it three results in four were wrong
_MIN_LETTERS = 10  # a shorter text is weak evidence
_CONFUSED = (  # languages that are mistaken for each other, or that the detector mistakes for a supported one
    {"id", "ms", "jv", "su"}, {"hr", "sr", "bs", "sl", "mk"}, {"bg", "mk"}, {"zh", "yue"}, {"zh-Hant", "yue"}, {"no", "da", "sv"}, {"cs", "sk"},
    {"es", "gl", "ca"}, {"pt", "gl"}, {"nl", "af"}, {"de", "lb", "gsw"}, {"et", "vro"}, {"tl", "ceb"}, {"hi", "mr", "ne", "bho"}, {"ru", "be"}, {"az", "tr"},
    {"kk", "ky", "tt", "mn", "tg", "ba", "uz"}, {"fa", "ps"}, {"ur", "sd"}, {"ar", "ku"},
)  # fmt: skip


class Decision(NamedTuple):
    """A video's language and locale, their source, and the detector's confidence in the language.

    `source` is `declared`, `detected`, `channel` or `unknown`. The locale is null unless the source is `declared`. The
    confidence is null if the detector found another language or none. A declaration was overruled if the source is `detected`
    although the declared tag names a language.
    """

    language: str
    locale: str | None
    source: str
    confidence: float | None


def decide_language(declared: str | None, detection: tuple[str, float], num_letters: int, channel_language: str | None) -> Decision:
    """The language of a video, from its declared tag, the result of `detect` for its text, and its channel's usual language.

    `num_letters` is the number of letters and digits in the text; from ten on the exact number does not matter.

    >>> decide_language("en-GB", ("en", 0.99), 40, None)
    Decision(language='en', locale='en-GB', source='declared', confidence=0.99)
    >>> decide_language("en", ("ar", 0.98), 40, None)
    Decision(language='ar', locale=None, source='detected', confidence=0.98)
    >>> decide_language("sr", ("hr", 0.55), 40, None)
    Decision(language='sr', locale='sr', source='declared', confidence=None)
    """
    language, locale = base_language(declared)
    detected, confidence = detection
    channel = channel_language or UNKNOWN
    if language == UNKNOWN:
        return _decide_undeclared(detected, confidence, num_letters, channel)
    if detected not in (language, UNKNOWN) and confidence >= _min_confidence(language, detected, num_letters, channel):
        return Decision(detected, None, "detected", confidence)
    return Decision(language, locale, "declared", confidence if detected == language else None)


def decide_languages(
    titles: Iterable[str | None],
    tags: Iterable[Sequence[str] | None],
    descriptions: Iterable[str | None],
    declared: Iterable[str | None],
    channel_languages: Iterable[str | None],
) -> list[Decision]:
    """The decision for each video; all columns have one length, and each value may be null."""
    texts = [detection_text(*fields) for fields in zip(titles, tags, descriptions, strict=True)]
    return [decide_language(*row) for row in zip(declared, detect(texts), map(_num_letters, texts), channel_languages, strict=True)]


def _num_letters(text: str) -> int:
    """The number of letters and digits in the text, or of those at its start if they are enough."""
    num_at_start = sum(map(str.isalnum, text[: 2 * _MIN_LETTERS]))
    return num_at_start if num_at_start >= _MIN_LETTERS else sum(map(str.isalnum, text))


def _decide_undeclared(detected: str, confidence: float, num_letters: int, channel: str) -> Decision:
    """The decision for a video without a declared language."""
    if channel != UNKNOWN and confidence < (_LIKELY if num_letters >= _MIN_LETTERS else _SURE):
        return Decision(channel, None, "channel", confidence if detected == channel else None)
    if detected != UNKNOWN and confidence >= _GUESS:
        return Decision(detected, None, "detected", confidence)
    return Decision(UNKNOWN, None, "unknown", None)


def _min_confidence(language: str, detected: str, num_letters: int, channel: str) -> float:
    """The confidence with which a detection overrules a declared `language`."""
    if any({language, detected} <= group for group in _CONFUSED):
        return _CERTAIN
    if num_letters < _MIN_LETTERS:
        return _SURE
    return _LIKELY if language == "en" or detected == channel else _SURE
