"""Runs of letters and of punctuation, shortened: "sooooo gooood!!!!" is "so good!"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from xlclass.catalog.words import commonest

_REPEATED = re.compile(r"(.)\1\1")  # whatever it is: three times faster than asking whether it is a letter
_WORD = re.compile(r"\w{3,}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_RUN = re.compile(r"([^\W\d_])\1\1+")
_ROMAN = r"m{0,3}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})"
# Three of one letter as a whole word (AAA, www, III, TTT), numerals, sizes and the USSR are meant.
_MEANT = re.compile(rf"(?i:([^\W\d_])\1\1|(?=[ivxlcdm]){_ROMAN}|vııı|xııı|x{{3,5}}l|ссср)")
_LAUGHTER = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana, jamo, ideographs: two of them say it
_MOST_RUNS = 5  # of one word that are weighed against the word list; a word of more runs is noise
_PUNCTUATION = (  # ASCII without +, of which C++ has two; Latin, Arabic, Indic, general, CJK
    "!-*,-/:-@\\[-`{-~\u00a1-\u00a7\u00ab\u00b0\u00b6\u00b7\u00bb\u00bf\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u2010-\u2027\u2030-\u205e"
    "\u3001-\u3003\u3008-\u3020"
)
_PUNCTUATION_RUN = re.compile(rf"([{_PUNCTUATION}])(?:(?<=[!?])[!?]|\1)+")


def shortened(text: str, language: str) -> str:
    """`text` with runs of a letter cut to the one or two that make a word of `language`, and runs of punctuation to one.

    A run in a word that no list knows is cut to one letter, for that is what most of them were (measured: the encoder reads
    "goriiilla" worse than "gorilla" and no better than "goriiiiilla"); words that mean their three letters stay.

    >>> shortened("sooooo gooood!!!! hellllo Louis XIII, AAA... ?!?! 555 goriiiilla", "en")
    'so good! hello Louis XIII, AAA. ? 555 gorilla'
    """
    if _REPEATED.search(text) and _RUN.search(text):
        text = _WORD.sub(lambda match: _word(match[0], language), text)
    return _PUNCTUATION_RUN.sub(r"\1", text) if _PUNCTUATION_RUN.search(text) else text  # a search that finds nothing is the quicker


def _word(word: str, language: str) -> str:
    if not _RUN.search(word) or _MEANT.fullmatch(word):
        return word
    return _LETTERS.sub(lambda match: _shortest(match[0], language), word)


@lru_cache(maxsize=65_536)
def _shortest(word: str, language: str) -> str:
    """`word`, of letters alone, with each run cut to one letter or to two, whichever makes the commonest word."""
    between = _RUN.split(word)  # what stands between the runs, and the letter of each run, in turn
    runs = between[1::2]
    if not runs:
        return word
    least = [letter * 2 if _LAUGHTER.match(letter) else letter for letter in runs]
    ways = [least, *product(*[(letter, letter * 2) for letter in runs])] if len(runs) <= _MOST_RUNS else [least]
    forms = {_joined(between, way): None for way in ways}
    return commonest(list(forms), language) or next(iter(forms))


def _joined(between: list[str], letters: Sequence[str]) -> str:
    return "".join(part + letter for part, letter in zip(between[::2], [*letters, ""], strict=True))
