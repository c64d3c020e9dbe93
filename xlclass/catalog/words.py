"""Decisions by word frequency: how joined words split, and which lower case a Turkish I has.

Why wordfreq: it is the only library with frequencies in one format for forty languages, data included, under a licence that
a product may depend on (code Apache-2.0, data CC BY-SA 4.0). Its data end in 2021 and will not be renewed, so it does not
know newer names. A word that it does not know stays unchanged, which is the safe result here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

LIBRARY = "wordfreq"
_LISTS = {"no": "nb", "tl": "fil", "hr": "sh", "sr": "sh", "bs": "sh", "zh-Hant": "zh"}  # wordfreq's own codes, if they differ
_HAS_DOTLESS_I = frozenset({"tr", "az"})
_NUMERALS = frozenset("IVX")
_WORD = re.compile(r"\w+")
_DOTTED_I = re.compile("i\u0307+")
_WITHOUT_SPACES = frozenset(["bo", "ja", "km", "lo", "my", "th", "yue", "zh", "zh-Hant"])
_NOT_LATIN = _WITHOUT_SPACES | {"ar", "be", "bg", "bn", "el", "fa", "he", "hi", "ka", "kk", "ko", "mk", "ml", "mr", "ru", "si", "ta", "te", "uk", "ur"}
_MIN_WORD, _MAX_WORD, _MAX_PART = 6, 120, 16  # letters of a word that is segmented, and of one of its parts
_NEVER = -math.inf
# All scores are decimal logarithms of probabilities. Unknown words together have a probability of 0.01; each letter divides it by ten.
_UNKNOWN, _UNKNOWN_LETTER = -2.0, -1.0
_RAREST_KNOWN = -7.0  # rarer words count as unknown: the large English list contains many joined hashtags
_MARGIN = 1.0  # the parts must be ten times as probable as the whole
_ENGLISH, _ENGLISH_IN_LONG = -0.5, -0.2  # added to the score of an English word inside another language
_ENGLISH_CAPITALS = 0.2  # added to an English word's score against its wrong lower case, which the Turkish list contains too
_CERTAIN_WORD = -6.0  # no parts are ten times as probable as a word this frequent
# The rarest part of 0, 1, 2 ... letters that is allowed. Without a bound every name would split. Of single letters, English a and I split well.
_RAREST_PART = (0.0, -2.0, -3.3, -4.8, *[-6.6] * (_MAX_PART - 3))
_RAREST_PART_ELSEWHERE = (0.0, 0.0, *_RAREST_PART[2:])
_COST = (0.0, -1.0, -1.0, *[0.0] * (_MAX_PART - 2))  # short parts are often inflections: "spoiler" is not "spoil er"
# An unlisted word of 14 letters or more is nearly always several words: rarer parts are allowed, and names among them. These
# numbers were chosen on titles of the real catalogue's training channels, joined and segmented again, in twelve languages.
_LONG = 14
_TOO_LONG = -1.0  # for each letter from there on
_RAREST_PART_IN_LONG = (0.0, -3.0, -5.0, -7.0, *[-7.0] * (_MAX_PART - 3))
_NO_COST = (0.0,) * (_MAX_PART + 1)
_NAME, _NAME_LETTER, _MIN_NAME = -3.0, -1.2, 3  # score of an unknown part as a name, and per letter; minimum of letters


@cache
def _frequencies(language: str) -> dict[str, float]:
    """Decimal logarithms of the word frequencies of `language`, for English from the large list; empty if there is no list.

    A list takes 0.03 s and some 5 MB, the English one 0.2 s and 32 MB. A process loads only the lists that its texts need.
    """
    from wordfreq import available_languages, get_frequency_list

    code = _LISTS.get(language, language)
    if code not in available_languages("small"):
        return {}
    buckets = get_frequency_list(code, "large" if code == "en" else "small")  # bucket i has the words of frequency 10**(-i / 100)
    get_frequency_list.cache_clear()  # its cache would keep a second copy of each list
    scores = [-index / 100 for index in range(int(-100 * _RAREST_KNOWN) + 1)]
    return {word: score for score, bucket in zip(scores, buckets, strict=False) for word in bucket}


@lru_cache(maxsize=65_536)
def is_common(word: str, language: str) -> bool:
    """Whether `word`, in lower case, has a frequency of at least one in ten million in `language` or in English."""
    return max(_frequencies(_list_for(word, language)).get(word, _NEVER), _frequencies("en").get(word, _NEVER)) >= _RAREST_KNOWN


def _list_for(word: str, language: str) -> str:
    """The language whose list applies to `word`: English for an ASCII word in a language of another script."""
    return "en" if language in (_NOT_LATIN if word.isascii() else _WITHOUT_SPACES) else language


def most_common_word(words: Sequence[str], language: str) -> str | None:
    """The most frequent of `words` in `language` or in English, null if all are unknown.

    >>> most_common_word(["god", "good"], "en"), most_common_word(["hola", "holla"], "es"), most_common_word(["xqz"], "en")
    ('good', 'hola', None)
    """
    english = _frequencies("en")

    def frequency(word: str) -> float:
        lower = word.lower()
        return max(_frequencies(_list_for(lower, language)).get(lower, _NEVER), english.get(lower, _NEVER) + _ENGLISH)

    best = max(words, key=frequency)
    return best if frequency(best) >= _RAREST_KNOWN else None


@lru_cache(maxsize=65_536)
def segment_word(word: str, language: str) -> tuple[str, ...]:
    """The words that are joined in `word`, in lower case; `word` alone unless several are clearly more probable.

    >>> segment_word("crosslingualvideo", "en"), segment_word("football", "en"), segment_word("mejoresmomentos", "es"), segment_word("srishti", "en")
    (('cross', 'lingual', 'video'), ('football',), ('mejores', 'momentos'), ('srishti',))
    >>> segment_word("gettoknowdougjonesofalabama", "en")
    ('get', 'to', 'know', 'doug', 'jones', 'of', 'alabama')
    """
    if not (_MIN_WORD <= len(word) <= _MAX_WORD and word.isalpha()):
        return (word,)
    english = _frequencies("en")
    native = _frequencies(_list_for(word, language)) or english
    listed = max(native.get(word, _NEVER), english.get(word, _NEVER))
    if listed >= _CERTAIN_WORD:
        return (word,)
    num_excess = max(len(word) - _LONG + 1, 0)
    whole_score = max(listed if listed >= _RAREST_KNOWN else _NEVER, _UNKNOWN + _UNKNOWN_LETTER * len(word) + _TOO_LONG * num_excess)
    score, parts = _best_segmentation(word, native, english, _part_rules(num_excess > 0, native is english))
    return parts if score > whole_score + _MARGIN else (word,)


class _PartRules(NamedTuple):
    """Which parts are allowed: the rarest by number of letters, what each costs, what an English one costs (0: all are), names."""

    rarest: tuple[float, ...]
    cost: tuple[float, ...]
    english: float
    names: bool


@cache
def _part_rules(is_long: bool, is_english: bool) -> _PartRules:
    if is_long:
        return _PartRules(_RAREST_PART_IN_LONG, _NO_COST, 0.0 if is_english else _ENGLISH_IN_LONG, names=True)
    return _PartRules(_RAREST_PART if is_english else _RAREST_PART_ELSEWHERE, _COST, 0.0 if is_english else _ENGLISH, names=False)


def _best_segmentation(word: str, native: dict[str, float], english: dict[str, float], rules: _PartRules) -> tuple[float, tuple[str, ...]]:
    """The most probable parts of `word` with their score (Viterbi over a unigram model); no parts if none are allowed."""
    scores, starts = [0.0], [0]  # of the best parts that end at each letter: their score, and where the last part starts
    ends_in_name = [False]  # two names in a row would be one name
    for end in range(1, len(word) + 1):
        best, best_start, is_name = _NEVER, 0, False
        for start in range(max(0, end - _MAX_PART), end):
            if scores[start] > best:
                score = scores[start] + _part_score(word[start:end], native, english, rules)
                if score > best:
                    best, best_start, is_name = score, start, False
                if rules.names and end - start >= _MIN_NAME and not ends_in_name[start]:
                    score = scores[start] + _NAME + _NAME_LETTER * (end - start)
                    if score > best:
                        best, best_start, is_name = score, start, True
        scores.append(best)
        starts.append(best_start)
        ends_in_name.append(is_name)
    return scores[-1], _parts(word, starts) if scores[-1] > _NEVER else ()


def _part_score(part: str, native: dict[str, float], english: dict[str, float], rules: _PartRules) -> float:
    """The score of `part` as a word, minus infinity if it is too rare for its length."""
    score = native.get(part, _NEVER)
    if rules.english and (english_score := english.get(part, _NEVER) + rules.english) > score:
        score = english_score
    return score + rules.cost[len(part)] if score >= rules.rarest[len(part)] else _NEVER


def _parts(word: str, starts: list[int]) -> tuple[str, ...]:
    """The parts of `word`; `starts` has, for each letter, the start of the best part that ends there."""
    parts: list[str] = []
    end = len(word)
    while end:
        parts.insert(0, word[starts[end] : end])
        end = starts[end]
    return tuple(parts)


def lower_case(text: str, language: str) -> str:
    """`text` in the lower case of `language`.

    Not case-folded: the encoders were trained on text with ß and final sigma.

    >>> lower_case("IŞIK Ilık İYİ", "tr"), lower_case("MINECRAFT", "tr"), lower_case("İyi Straße ΟΔΟΣ", "de")
    ('ışık ılık iyi', 'minecraft', 'iyi straße οδος')
    """
    if "I" in text and language in _HAS_DOTLESS_I:
        text = _WORD.sub(lambda match: _replace_capital_i(match[0], language), text)
    lower = text.lower()
    return _DOTTED_I.sub("i", lower) if "\u0307" in lower else lower  # Unicode lower-cases İ to i and a combining dot


@lru_cache(maxsize=65_536)
def _replace_capital_i(word: str, language: str) -> str:
    """`word` with ı for each I, or with i if that word is more frequent: Turkish titles contain many English words.

    The Turkish ı is taken if the word has another Turkish letter, and if both forms are unknown. The Turkish list contains
    wrong forms such as "fıfa", a FIFA in Turkish lower case. English frequencies outvote those, but not in short words (SIR, TIP).
    """
    if "I" not in word:
        return word
    dotless, dotted = word.replace("I", "ı"), word.replace("I", "i")
    if not word.isascii():
        return dotless
    if set(word) <= _NUMERALS:
        return dotted
    native, english = _frequencies(language), _frequencies("en")
    dotless_score = native.get(dotless.lower(), _NEVER)
    dotted_score = native.get(dotted.lower(), _NEVER)
    if len(word) > 3 or dotless_score == _NEVER:
        dotted_score = max(dotted_score, english.get(dotted.lower(), _NEVER) + _ENGLISH_CAPITALS)
    return dotted if dotted_score > dotless_score else dotless
