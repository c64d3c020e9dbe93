"""What the word frequencies of a language decide: how a word without spaces comes apart, and what a Turkish I becomes.

Why wordfreq: it is the one library with frequencies in one form for forty languages, data included, under a licence that
lets a product depend on it (code Apache-2.0, data CC BY-SA 4.0). Its data end in 2021 and will not be renewed, so a name
of today is unknown to it: such a word stays as it is, which is the safe answer here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

LIBRARY = "wordfreq"
_LISTS = {"no": "nb", "tl": "fil", "hr": "sh", "sr": "sh", "bs": "sh", "zh-Hant": "zh"}  # languages that wordfreq calls otherwise
_I_IS_DOTLESS = frozenset({"tr", "az"})
_NUMERALS = frozenset("IVX")
_WORD = re.compile(r"\w+")
_DOTTED_I = re.compile("i\u0307+")
_WITHOUT_SPACES = frozenset(["bo", "ja", "km", "lo", "my", "th", "yue", "zh", "zh-Hant"])
_NOT_LATIN = _WITHOUT_SPACES | {"ar", "be", "bg", "bn", "el", "fa", "he", "hi", "ka", "kk", "ko", "mk", "ml", "mr", "ru", "si", "ta", "te", "uk", "ur"}
_SHORTEST_WORD, _LONGEST_WORD, _LONGEST_PART = 6, 120, 16  # letters of a word that is taken apart, and of its parts
_NEVER = -math.inf
# All numbers are decimal logarithms of probabilities. An unknown word: a hundredth of all words, a tenth for each letter.
_UNKNOWN, _UNKNOWN_LETTER = -2.0, -1.0
_KNOWN = -7.0  # what is rarer is as good as unknown: the big English list holds many a joined hashtag
_MARGIN = 1.0  # parts must be ten times as probable as the whole
_FOREIGN, _FOREIGN_IN_LONG = -0.5, -0.2  # an English word inside another language's
_FOLDED_BY_RULE = 0.2  # what an English word in capitals is commoner than its wrong form in the Turkish list
_SURE = -6.0  # a whole as frequent as this has no parts that are ten times as probable
# How rare a part of 0, 1, 2 ... letters may be, else every name comes apart; of single letters, English a and I part well.
_RAREST = (0.0, -2.0, -3.3, -4.8, *[-6.6] * (_LONGEST_PART - 3))
_RAREST_ELSEWHERE = (0.0, 0.0, *_RAREST[2:])
_COST = (0.0, -1.0, -1.0, *[0.0] * (_LONGEST_PART - 2))  # short parts look like inflections: "spoiler" is no "spoil er"
# From 14 letters on, a word that no list holds is hardly ever one: rarer parts will do, and names among them. These numbers
# were chosen on titles of the real catalogue's training channels, joined and taken apart again, in twelve languages.
_LONG = 14
_TOO_LONG = -1.0  # for each letter from there on
_RAREST_IN_LONG = (0.0, -3.0, -5.0, -7.0, *[-7.0] * (_LONGEST_PART - 3))
_NO_COST = (0.0,) * (_LONGEST_PART + 1)
_NAME, _NAME_LETTER, _SHORTEST_NAME = -3.0, -1.2, 3  # an unknown part, and each of its letters


@cache
def _frequencies(language: str) -> dict[str, float]:
    """Decimal logarithms of the word frequencies of `language`, of the big list for English; empty where there is none.

    A list takes 0.03 s and some 5 MB, English 0.2 s and 32 MB; a process loads those that its texts ask for.
    """
    from wordfreq import available_languages, get_frequency_list

    code = _LISTS.get(language, language)
    if code not in available_languages("small"):
        return {}
    buckets = get_frequency_list(code, "large" if code == "en" else "small")  # bucket i holds the words of 10**(-i / 100)
    get_frequency_list.cache_clear()  # which would keep the lists beside this dictionary
    scores = [-index / 100 for index in range(int(-100 * _KNOWN) + 1)]
    return {word: score for score, bucket in zip(scores, buckets, strict=False) for word in bucket}


@lru_cache(maxsize=65_536)
def is_common(word: str, language: str) -> bool:
    """Whether `word`, in lower case, is a word of `language` or of English, one in ten million or commoner."""
    return max(_frequencies(_list_of(word, language)).get(word, _NEVER), _frequencies("en").get(word, _NEVER)) >= _KNOWN


def _list_of(word: str, language: str) -> str:
    """The language whose list tells of `word`: English for Latin words in languages of another script."""
    return "en" if language in (_NOT_LATIN if word.isascii() else _WITHOUT_SPACES) else language


def commonest(words: Sequence[str], language: str) -> str | None:
    """The commonest of `words` in `language`, or in English; None when all are unknown.

    >>> commonest(["god", "good"], "en"), commonest(["hola", "holla"], "es"), commonest(["xqz"], "en")
    ('good', 'hola', None)
    """
    english = _frequencies("en")

    def frequency(word: str) -> float:
        lower = word.lower()
        return max(_frequencies(_list_of(lower, language)).get(lower, _NEVER), english.get(lower, _NEVER) + _FOREIGN)

    best = max(words, key=frequency)
    return best if frequency(best) >= _KNOWN else None


@lru_cache(maxsize=65_536)
def parted(word: str, language: str) -> tuple[str, ...]:
    """The words that `word`, in lower case, is most probably made of: more than one only when that is clearly more probable.

    >>> parted("crosslingualvideo", "en"), parted("football", "en"), parted("mejoresmomentos", "es"), parted("srishti", "en")
    (('cross', 'lingual', 'video'), ('football',), ('mejores', 'momentos'), ('srishti',))
    >>> parted("gettoknowdougjonesofalabama", "en")
    ('get', 'to', 'know', 'doug', 'jones', 'of', 'alabama')
    """
    if not (_SHORTEST_WORD <= len(word) <= _LONGEST_WORD and word.isalpha()):
        return (word,)
    english = _frequencies("en")
    known = _frequencies(_list_of(word, language)) or english
    listed = max(known.get(word, _NEVER), english.get(word, _NEVER))
    if listed >= _SURE:
        return (word,)
    too_long = max(len(word) - _LONG + 1, 0)
    whole = max(listed if listed >= _KNOWN else _NEVER, _UNKNOWN + _UNKNOWN_LETTER * len(word) + _TOO_LONG * too_long)
    score, parts = _best_parts(word, known, english, _rules(too_long > 0, known is english))
    return parts if score > whole + _MARGIN else (word,)


class _Rules(NamedTuple):
    """What parts may be: how rare for each number of letters, what each costs, what being English costs (0: all are), names."""

    rarest: tuple[float, ...]
    cost: tuple[float, ...]
    foreign: float
    names: bool


@cache
def _rules(is_long: bool, is_english: bool) -> _Rules:
    if is_long:
        return _Rules(_RAREST_IN_LONG, _NO_COST, 0.0 if is_english else _FOREIGN_IN_LONG, names=True)
    return _Rules(_RAREST if is_english else _RAREST_ELSEWHERE, _COST, 0.0 if is_english else _FOREIGN, names=False)


def _best_parts(word: str, known: dict[str, float], english: dict[str, float], rules: _Rules) -> tuple[float, tuple[str, ...]]:
    """The logarithm of the probability of the most probable parts of `word`, and those (Viterbi over a unigram model)."""
    scores, starts = [0.0], [0]  # of the best parts up to each letter, and where the last of them starts
    names = {0: False}  # whether that part is a name: two of them in a row would be one
    for end in range(1, len(word) + 1):
        best, best_start, is_name = _NEVER, 0, False
        for start in range(max(0, end - _LONGEST_PART), end):
            if scores[start] > best:
                frequency = _frequency(word[start:end], known, english, rules)
                if (score := scores[start] + frequency) > best:
                    best, best_start, is_name = score, start, False
                if rules.names and end - start >= _SHORTEST_NAME and not names[start]:
                    score = scores[start] + _NAME + _NAME_LETTER * (end - start)
                    if score > best:
                        best, best_start, is_name = score, start, True
        scores.append(best)
        starts.append(best_start)
        names[end] = is_name
    return scores[-1], _parts(word, starts) if scores[-1] > _NEVER else ()


def _frequency(part: str, known: dict[str, float], english: dict[str, float], rules: _Rules) -> float:
    """What `part` counts as a word, never when it is too rare for its length."""
    frequency = known.get(part, _NEVER)
    if rules.foreign and (other := english.get(part, _NEVER) + rules.foreign) > frequency:
        frequency = other
    return frequency + rules.cost[len(part)] if frequency >= rules.rarest[len(part)] else _NEVER


def _parts(word: str, starts: list[int]) -> tuple[str, ...]:
    """The parts of `word`, from where the best part that ends at each letter starts."""
    parts: list[str] = []
    end = len(word)
    while end:
        parts.insert(0, word[starts[end] : end])
        end = starts[end]
    return tuple(parts)


def folded(text: str, language: str) -> str:
    """`text` in lower case, as `language` has it.

    Lower case and not case folding: the encoders have read ß and a final sigma.

    >>> folded("IŞIK Ilık İYİ", "tr"), folded("MINECRAFT", "tr"), folded("İyi Straße ΟΔΟΣ", "de")
    ('ışık ılık iyi', 'minecraft', 'iyi straße οδος')
    """
    if "I" in text and language in _I_IS_DOTLESS:
        text = _WORD.sub(lambda match: _without_capital_i(match[0], language), text)
    lower = text.lower()
    return _DOTTED_I.sub("i", lower) if "\u0307" in lower else lower  # İ has no single lower-case letter to Unicode


@lru_cache(maxsize=65_536)
def _without_capital_i(word: str, language: str) -> str:
    """`word` with ı for I, or with i where that makes the commoner word: Turkish titles are full of English ones.

    The Turkish rule holds where the word has a letter that shows it to be Turkish, and where neither form is known. The
    Turkish list itself holds "fıfa", of a FIFA folded by rule: hence English is asked, though not for short words (SIR, TIP).
    """
    if "I" not in word:
        return word
    dotless, dotted = word.replace("I", "ı"), word.replace("I", "i")
    if not word.isascii():
        return dotless
    if set(word) <= _NUMERALS:
        return dotted
    known, english = _frequencies(language), _frequencies("en")
    as_turkish = known.get(dotless.lower(), _NEVER)
    as_other = known.get(dotted.lower(), _NEVER)
    if len(word) > 3 or as_turkish == _NEVER:
        as_other = max(as_other, english.get(dotted.lower(), _NEVER) + _FOLDED_BY_RULE)
    return dotted if as_other > as_turkish else dotless
