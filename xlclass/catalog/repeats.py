"""Shortens runs of a letter or of punctuation: "sooooo gooood!!!!" becomes "so good!"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from xlclass.catalog.words import most_common_word

_REPEATED = re.compile(r"(.)\1\1")  # any character: three times faster than a pattern for letters
_WORD = re.compile(r"\w{3,}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_RUN = re.compile(r"([^\W\d_])\1\1+")
_ROMAN = r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
# Three of one letter as a whole word (AAA, www, TTT), Roman numerals, sizes and СССР (the USSR) are correct spellings.
_CORRECT = re.compile(rf"(?i:([^\W\d_])\1\1|(?=[ivxlcdm]){_ROMAN}|vııı|xııı|x{{3,5}}l|ссср)")
_KEPT_DOUBLE = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana, jamo, ideographs: 哈哈, ㅋㅋ
_MAX_RUNS = 5  # of one word that are looked up in the word list; a word with more runs is noise
_PUNCTUATION = (  # ASCII without the + of C++; Latin, Arabic, Indic, general, CJK
    "!-*,-/:-@\\[-`{-~\u00a1-\u00a7\u00ab\u00b0\u00b6\u00b7\u00bb\u00bf\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u2010-\u2027\u2030-\u205e"
    "\u3001-\u3003\u3008-\u3020"
)
_PUNCTUATION_RUN = re.compile(rf"([{_PUNCTUATION}])(?:(?<=[!?])[!?]|\1)+")


def shorten_runs(text: str, language: str) -> str:
    """`text` with each run of a letter shortened to the one or two letters of a word of `language`, of punctuation to one.

    In an unknown word a run becomes one letter, which is right for most of them (measured: the encoder understands
    "goriiilla" less well than "gorilla", and no better than "goriiiiilla"). Words spelled with three letters stay.

    >>> shorten_runs("sooooo gooood!!!! hellllo Louis XIII, AAA... ?!?! 555 goriiiilla", "en")
    'so good! hello Louis XIII, AAA. ? 555 gorilla'
    """
    if _REPEATED.search(text) and _RUN.search(text):
        text = _WORD.sub(lambda match: _shorten_word(match[0], language), text)
    return _PUNCTUATION_RUN.sub(r"\1", text) if _PUNCTUATION_RUN.search(text) else text  # without a match, a search is faster


def _shorten_word(word: str, language: str) -> str:
    if not _RUN.search(word) or _CORRECT.fullmatch(word):
        return word
    return _LETTERS.sub(lambda match: _best_form(match[0], language), word)


@lru_cache(maxsize=65_536)
def _best_form(word: str, language: str) -> str:
    """`word`, of letters alone, with each run shortened to one letter or two, whichever gives the most common word."""
    parts = _RUN.split(word)  # alternately the text between two runs, and the letter of a run
    runs = parts[1::2]
    if not runs:
        return word
    shortest = [letter * 2 if _KEPT_DOUBLE.match(letter) else letter for letter in runs]
    choices = [shortest, *product(*[(letter, letter * 2) for letter in runs])] if len(runs) <= _MAX_RUNS else [shortest]
    forms = list(dict.fromkeys(_join(parts[::2], letters) for letters in choices))
    return most_common_word(forms, language) or forms[0]


def _join(texts: list[str], letters: Sequence[str]) -> str:
    return "".join(text + letter for text, letter in zip(texts, [*letters, ""], strict=True))
