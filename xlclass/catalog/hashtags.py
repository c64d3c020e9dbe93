"""Hashtags as words: split on case, underscore, digit and script borders, and by dictionary where there is no border."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import accumulate

from xlclass.catalog.cleaning import MARKS
from xlclass.catalog.words import folded, is_common, parted

_HASHTAG = re.compile(rf"(?<!#)#+(?=\w)([\w{MARKS}\u200c\u200d]*)")
_ONE_SCRIPT = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "IDEOGRAPHIC": "CJK"}  # Japanese words mix them
_BORDERLESS = {"COMBINING", "MODIFIER", "ZERO", "VARIATION"}  # belong to the letter before them
_DIGIT = "0"
_LONGEST = 200  # characters; longer ones are no hashtag that a person wrote


def hashtags_split(text: str, language: str) -> str:
    """`text` with the words of its hashtags in place of them.

    >>> hashtags_split("#CrossLingualVideo #top10songs #ПервыйКанал #にじ甲2026 #نجوم_العرب #मेराभारत #1", "en")
    ' Cross Lingual Video   top 10 songs   Первый Канал   にじ甲 2026   نجوم العرب   मेराभारत   1 '
    >>> hashtags_split("#crosslingualvideo #YouTube #iPhone #mp3 C# #HTMLParser", "en")
    ' cross lingual video   YouTube   iPhone   mp3  C#  HTML Parser '
    """
    return _HASHTAG.sub(lambda match: f" {split_word(match[1], language)} ", text) if "#" in text else text


@lru_cache(maxsize=65_536)
def split_word(word: str, language: str) -> str:
    """The words that are joined in `word`, in its own case, with spaces between them."""
    if len(word) > _LONGEST:
        return word.replace("_", " ")
    return " ".join(part for piece in word.split("_") if piece for part in _split_piece(piece, language))


def _split_piece(piece: str, language: str) -> list[str]:
    """The words in `piece`, which has no underscore: by script, then by case, then by dictionary.

    A common word that has such borders in it (YouTube, mp3) stays whole.
    """
    if piece.isascii() and piece.isalpha() and (piece.islower() or piece.isupper() or piece.istitle()):
        return _by_dictionary(piece, language)
    scripts = [_SCRIPTS[character] for character in piece]
    for kinds in (scripts[:], [*map(_with_case, piece, scripts)]):
        parts = _at_borders(piece, kinds)
        if len(parts) > 1:
            if is_common(folded(piece, language), language):
                return [piece]
            return [word for part in parts for word in _split_piece(part, language)]
    return _by_dictionary(piece, language)


def _by_dictionary(part: str, language: str) -> list[str]:
    lower = folded(part, language)
    words = parted(lower, language) if len(lower) == len(part) else ()
    if len(words) < 2:
        return [part]
    ends = [*accumulate(map(len, words))]
    return [part[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _at_borders(piece: str, kinds: list[str]) -> list[str]:
    """`piece` cut where the kind of its characters changes; marks, of kind "", go with the letter before them."""
    if kinds.count(kinds[0]) == len(kinds) and not kinds[0].isupper():
        return [piece]
    for index, kind in enumerate(kinds):
        kinds[index] = kind or (kinds[index - 1] if index else "mark")
    kinds.append("end")
    starts = [0]
    for index in range(1, len(piece)):
        if _is_border(kinds, starts[-1], index):
            starts.append(index)
    return [piece[start:end] for start, end in zip(starts, [*starts[1:], len(piece)], strict=True)]


def _is_border(kinds: list[str], start: int, index: int) -> bool:
    """Whether a word that began at `start` ends before `index`; one more kind stands for the end."""
    before, here, after = kinds[index - 1 : index + 2]
    if before == here:
        return here.isupper() and after == here.lower()  # HTML|Parser
    if before == _DIGIT:
        return here.lower() == after.lower()  # 10|songs, yet 4k
    if before.lower() == here.lower():
        return here.isupper() and index - start > 1  # Cross|Lingual, yet iPhone
    return here != _DIGIT or index - start > 1  # top|10, yet f1


class _Scripts(dict[str, str]):
    """The script of each character, _DIGIT for digits, "" for marks; worked out when first asked for."""

    def __missing__(self, character: str) -> str:
        category = unicodedata.category(character)
        script = unicodedata.name(character, "unknown").split(" ")[0]
        if category.startswith("N"):
            script = _DIGIT
        elif category.startswith("M") or script in _BORDERLESS:
            script = ""
        self[character] = _ONE_SCRIPT.get(script, script).lower()
        return self[character]


_SCRIPTS = _Scripts()


def _with_case(character: str, script: str) -> str:
    return script.upper() if unicodedata.category(character) in ("Lu", "Lt") else script
