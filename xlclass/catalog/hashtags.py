"""Splits hashtags into words: at changes of case, script and digits and at underscores, else by word frequency."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from itertools import accumulate, pairwise

from xlclass.catalog.cleaning import MARKS
from xlclass.catalog.words import is_common, lower_case, segment_word

_HASHTAG = re.compile(rf"(?<!#)#+(?=\w)([\w{MARKS}\u200c\u200d]*)")
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "IDEOGRAPHIC": "CJK"}  # Japanese words mix them
_PART_OF_LETTER = {"COMBINING", "MODIFIER", "ZERO", "VARIATION"}  # these belong to the letter before them
_DIGIT = "0"
_MAX_HASHTAG = 200  # characters; nobody wrote a longer one by hand


def split_hashtags(text: str, language: str) -> str:
    """`text` with each hashtag replaced by its words.

    >>> split_hashtags("#CrossLingualVideo #top10songs #ПервыйКанал #にじ甲2026 #نجوم_العرب #मेराभारत #1", "en")
    ' Cross Lingual Video   top 10 songs   Первый Канал   にじ甲 2026   نجوم العرب   मेराभारत   1 '
    >>> split_hashtags("#crosslingualvideo #YouTube #iPhone #mp3 C# #HTMLParser", "en")
    ' cross lingual video   YouTube   iPhone   mp3  C#  HTML Parser '
    """
    return _HASHTAG.sub(lambda match: f" {_split_hashtag(match[1], language)} ", text) if "#" in text else text


@lru_cache(maxsize=65_536)
def _split_hashtag(hashtag: str, language: str) -> str:
    """The words of `hashtag`, given without its number sign, in its own case and with spaces between them."""
    if len(hashtag) > _MAX_HASHTAG:
        return hashtag.replace("_", " ")
    return " ".join(word for piece in hashtag.split("_") if piece for word in _split_piece(piece, language))


def _split_piece(piece: str, language: str) -> list[str]:
    """The words of `piece`, which has no underscore: split by script, then by case, then by word frequency.

    A common word that contains such a border (YouTube, mp3) stays whole.
    """
    if piece.isascii() and piece.isalpha() and (piece.islower() or piece.isupper() or piece.istitle()):
        return _split_by_frequency(piece, language)
    scripts = [_script(character) for character in piece]
    for kinds in (scripts, [*map(_script_with_case, piece, scripts)]):
        parts = _split_at_borders(piece, kinds)
        if len(parts) > 1:
            if is_common(lower_case(piece, language), language):
                return [piece]
            return [word for part in parts for word in _split_piece(part, language)]
    return _split_by_frequency(piece, language)


def _split_by_frequency(piece: str, language: str) -> list[str]:
    lower = lower_case(piece, language)
    words = segment_word(lower, language) if len(lower) == len(piece) else ()
    if len(words) < 2:
        return [piece]
    return [piece[start:end] for start, end in pairwise(accumulate(map(len, words), initial=0))]


def _split_at_borders(piece: str, kinds: list[str]) -> list[str]:
    """`piece` split at changes of kind; `kinds` has one per character, "" for a mark, which belongs to the letter before it."""
    if kinds.count(kinds[0]) == len(kinds) and not kinds[0].isupper():
        return [piece]
    _, *kinds = accumulate(kinds, lambda before, kind: kind or before, initial="mark")
    kinds.append("end")
    starts = [0]
    for index in range(1, len(piece)):
        if _is_border(kinds, starts[-1], index):
            starts.append(index)
    return [piece[start:end] for start, end in pairwise([*starts, len(piece)])]


def _is_border(kinds: list[str], start: int, index: int) -> bool:
    """Whether a word that began at `start` ends before `index`; `kinds` has one more entry, for the end."""
    before, here, after = kinds[index - 1 : index + 2]
    if before == here:
        return here.isupper() and after == here.lower()  # HTML|Parser
    if before == _DIGIT:
        return here.lower() == after.lower()  # 10|songs, but 4k
    if before.lower() == here.lower():
        return here.isupper() and index - start > 1  # Cross|Lingual, but iPhone
    return here != _DIGIT or index - start > 1  # top|10, but f1


@cache
def _script(character: str) -> str:
    """The script of `character`, in lower case: _DIGIT for a digit, "" for a mark."""
    category = unicodedata.category(character)
    script = unicodedata.name(character, "unknown").split(" ")[0]
    if category.startswith("N"):
        return _DIGIT
    if category.startswith("M") or script in _PART_OF_LETTER:
        return ""
    return _ONE_SCRIPT.get(script, script).lower()


def _script_with_case(character: str, script: str) -> str:
    return script.upper() if unicodedata.category(character) in ("Lu", "Lt") else script
