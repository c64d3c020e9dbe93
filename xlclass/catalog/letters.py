"""Letters as their script spells them: without marks that say nothing, and without fonts made of look-alike characters.

Why no letter of Cyrillic, Greek, Cherokee, Lisu or the Canadian syllabics is mapped, although some fonts use them: they belong to
living scripts, and no rule can tell such a font from a word. Small capitals and turned letters are phonetic letters too, and a few
belong to alphabets of Africa. A text is changed only where it combines them as no phonetic text and no alphabet does.

They take text in form NFKC and return it in that form. Each decision depends on one word alone or on letters side by
side, so no later step, which only removes, splits or shortens, can bring a decision about that was not taken here.
"""

from __future__ import annotations

import re
import unicodedata

from xlclass.catalog.cleaning import MARKS, remove_stray_joiners

# Arabic: tatweel, vowel signs, signs of the Quran. Maddah and hamza (U+0653 to U+0655, U+065F) stay: they make another letter.
_ARABIC = "\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065e\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0898-\u089f\u08ca-\u08e1\u08e3-\u08ff"
_HEBREW = "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\ufb1e"  # points and cantillation; maqaf (U+05BE) is punctuation
_STROKES = "\u0334-\u0338\u0488\u0489"  # through or around a letter
_VERSE_SIGNS = "\u05c0\u05c3\u05c6\u06dd\u06de\u06e9\u08e2"  # they stand between words: a space replaces them
_MARK = re.compile(f"[{_ARABIC}{_HEBREW}{_STROKES}{_VERSE_SIGNS}]")
_VERSE_SIGN = re.compile(f"[{_VERSE_SIGNS}]")

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BOXED = {  # letters and words in a circle or a square that NFKC keeps; flags are pairs of other characters
    **dict(zip(map(chr, range(0x1F150, 0x1F16A)), _CAPITALS, strict=True)),
    **dict(zip(map(chr, range(0x1F170, 0x1F18A)), _CAPITALS, strict=True)),
    **dict(zip("🆎🆑🆒🆓🆔🆕🆖🆗🆘🆙🆚", [" AB ", " CL ", " COOL ", " FREE ", " ID ", " NEW ", " NG ", " OK ", " SOS ", " UP! ", " VS "], strict=True)),
}
_SMALL = {unicodedata.lookup(f"LATIN LETTER SMALL CAPITAL {letter}"): letter.lower() for letter in _CAPITALS if letter != "X"} | {"Ʀ": "R", "Ɪ": "I"}
_SMALL_WORD = re.compile(f"([{''.join(_SMALL)}])(?!\\1)[{''.join(_SMALL)}]")  # two different ones side by side
_SMALL_Q = re.compile(f"ǫ(?=[{''.join(_SMALL)}])")  # what such fonts use for Q

# Turned letters and their capitals: those of no text but upside-down text, those of phonetic texts and of Dan, and others.
_NOWHERE = dict(zip("ᴉʇʞʍᵷƃꞁⅎꞰꞱꞀƂℲᴚ", "itkwgglfKTLGFR", strict=True))
_PHONETIC = dict(zip("ɐɹʎɥɯⱯꞍƜ", "aryhmAHM", strict=True))
_SCHWA = dict(zip("ǝƎ", "eE", strict=True))  # African alphabets; not the schwa of phonetic texts and of Azerbaijani
_COMMON = dict(zip("ɔɟɾʌıʃƆɅ", "cfjvilCV", strict=True))
_TURNED = _NOWHERE | _PHONETIC | _SCHWA | _COMMON
_LETTERS = _TURNED | dict(zip("bdlnopqsuxzHIMNOSWXZ∀⊥∩⅁⅂⅄", "qpluodbsnxzHIWNOSMXZATUGLY", strict=True))  # all that an upside-down word can have
_PUNCTUATION = dict(zip("¡¿,'.\u0307!?&", "!?',..!?&", strict=True))  # NFKC makes ˙ a space and U+0307
_RUN = re.compile(rf"(?<!\w)[¡¿'\u0307]*[{''.join(_LETTERS)}]+(?:[{''.join(_PUNCTUATION)} ]+[{''.join(_LETTERS)}]+)*(?!\w)")
_CAPITAL_LATER = re.compile(r"[^\W\d_A-Z][A-Z]")  # plɹoM; phonetic text has no capitals
_HAS_TURNED = re.compile(f"[{''.join(_TURNED)}]")
_WORD = re.compile(rf"[\w{MARKS}]+")  # with its marks: some compose with a letter in lower case

# Twelve times as fast as with each letter beyond U+FFFF by itself: most texts have none of these characters and are only searched.
_UNUSUAL = re.compile(f"[{_ARABIC}{_HEBREW}{_STROKES}{_VERSE_SIGNS}{''.join((*_SMALL, *_NOWHERE, *_PHONETIC))}\U0001f150-\U0001f19a]")
_PLAIN_BOXED, _PLAIN_SMALL, _PLAIN_TURNED, _UPRIGHT = map(str.maketrans, (_BOXED, _SMALL, _TURNED, _LETTERS | _PUNCTUATION))


def has_unusual_letters(text: str) -> bool:
    """Whether `text` has a character that one of the other functions may remove or replace."""
    return not text.isascii() and _UNUSUAL.search(text) is not None


def remove_silent_marks(text: str) -> str:
    """`text` without the marks that readers of its script do without: vowel signs, points, tatweel, strokes through letters.

    >>> remove_silent_marks("مَرْحَبـــًا"), remove_silent_marks("שָׁלוֹם־עֲלֵיכֶם"), remove_silent_marks("آرؤ M̴i̷n̶e Füße")
    ('مرحبا', 'שלום־עליכם', 'آرؤ Mine Füße')
    """
    if not _MARK.search(text):
        return text
    return unicodedata.normalize("NFC", remove_stray_joiners(_MARK.sub("", _VERSE_SIGN.sub(" ", text))))


def plain_letters(text: str) -> str:
    """`text` with plain letters for boxed letters, words in small capitals and upside-down words, which are also reversed.

    >>> plain_letters("🅵🆁🅴🅴 A🆚B 🇫🇷 ᴘʟᴀʏʟɪsᴛ"), plain_letters("New: ʇxǝʇ uʍop ǝpısdn (2026)")
    ('FREE A VS B 🇫🇷 playlist', 'New: upside down text (2026)')
    >>> plain_letters("Twi ɔdɔ, Dan ɯɥ, /fɪl ɹʌn fɐmiʎɐ/")  # two African alphabets and the phonetic one
    'Twi ɔdɔ, Dan ɯɥ, /fɪl ɹʌn fɐmiʎɐ/'
    """
    text = text.translate(_PLAIN_BOXED)
    if _SMALL_WORD.search(text):
        text = _SMALL_Q.sub("q", text).translate(_PLAIN_SMALL)
    if _has_turned_word(text):
        text = _WORD.sub(_plain_word, _RUN.sub(_turn, text))
    return unicodedata.normalize("NFC", text)


def _has_turned_word(text: str) -> bool:
    return any(map(_is_turned, _WORD.findall(text)))


def _is_turned(word: str) -> bool:
    """Whether a word has a letter that occurs in upside-down text only, or letters that occur together nowhere else."""
    letters = set(word)
    return (
        not letters.isdisjoint(_NOWHERE)
        or not letters.isdisjoint(_PHONETIC)
        and not letters.isdisjoint(_SCHWA)
        or not letters.isdisjoint("ɐɹʎ")
        and _CAPITAL_LATER.search(word) is not None
    )


def _turn(match: re.Match[str]) -> str:
    """A run of words that all can be upside down, the right way up if one of them is.

    Words at its ends that can be either way, such as "pop", are turned only if the text has no other words.
    """
    run = match[0]
    if not _has_turned_word(run):
        return run
    start, end = 0, len(run)
    if any(map(str.isalnum, match.string[: match.start()] + match.string[match.end() :])):
        places = [place.start() for place in _HAS_TURNED.finditer(run)]
        start = run.rfind(" ", 0, places[0]) + 1
        end = run.find(" ", places[-1]) if " " in run[places[-1] :] else end
    return run[:start] + run[start:end][::-1].translate(_UPRIGHT) + run[end:]


def _plain_word(match: re.Match[str]) -> str:
    """A word with plain letters for turned ones, in its own order, if it is an upside-down word with other letters in it."""
    return match[0].translate(_PLAIN_TURNED) if _is_turned(match[0]) else match[0]
