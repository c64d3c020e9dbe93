"""What is taken out of a text or mended, character by character: the steps of `text.py` that need no language.

Each function is idempotent, and none makes work for one that ran before it; that is why what is taken out leaves a space
behind (two halves never grow together) and why the bounds of the patterns are what they are.
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5
from itertools import chain

# Marks (Mn, Mc) are no \w to `re`, yet they belong to the words of Indic, Thai, Arabic and Hebrew text.
MARKS = "".join(c for c in map(chr, chain(range(0x300, 0x3100), range(0xA600, 0xAC00), range(0xFB1E, 0xFE30))) if unicodedata.category(c) in ("Mn", "Mc"))
# Symbols that are emoji or decoration; mathematical operators are not among them.
PICTURES = "\u20e3\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\U0001f000-\U0001faff"

_SURROGATE = re.compile("[\ud800-\udfff]")
_BREAKS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffc\ufffd©®™\u2120"  # these may have kept two words apart; ™ would become "TM"
_HIDDEN = (  # soft hyphen, fillers, bidi and format controls, variation selectors, tags, private use, non-characters
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufdd0-\ufdef"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_INVISIBLE = re.compile(f"[{_BREAKS}{_HIDDEN}\u200b-\u200d]")
_BREAK = re.compile(f"[{_BREAKS}]")
_HIDE = re.compile(f"[{_HIDDEN}]")
_WORD_SPACE = re.compile("(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b+(?=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])")
# Joiners are orthography in Arabic script (Persian, Urdu), Indic, Myanmar and Khmer, and hold emoji together; else they are dirt.
_JOINED = f"\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff{PICTURES}"
_JOINER = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_JOINED}])")

_ENTITY = re.compile(rf"&#*[\w{MARKS}]+;")
_ENTITY_DIGITS = 12  # longer numbers are no character, and Python refuses to read thousands of digits

_URL = re.compile(r"(?:\w{0,20}://|www\.)[!-~]+", re.IGNORECASE)
# Bare domains only with a path: agar.io and chess.com say what a video is about, bit.ly/x does not.
_ENDINGS = (
    "app be biz br ca club co com de es eu fm fr gg gl gle id in info io it jp kr link live ly me net nl online org page pl pt ru shop site store to tr tv uk"
    " us vn xyz"
)
_TOP_LEVEL = rf"\.(?:{'|'.join('+'.join(ending) + '+' for ending in _ENDINGS.split())})/"  # .commm/ is as much one as .com/, which is made of it later
_PATH = re.compile(_TOP_LEVEL, re.IGNORECASE)
_BARE_URL = re.compile(rf"[\w{MARKS}.-]{{0,80}}" + _TOP_LEVEL + "[!-~]*", re.IGNORECASE)
_EMAIL = re.compile(rf"[\w{MARKS}.+-]{{0,64}}@[\w-]{{1,64}}\.[\w.-]+")
_MENTION = re.compile(rf"@[\w{MARKS}][\w{MARKS}\u200c\u200d.-]*")
_MANY_DIGITS = re.compile(r"\d[ ()./-]{0,3}(?:\d[ ()./-]{0,3}){7}\d")
_PHONE = re.compile(  # with +; with a leading 0; as 3-3-4; in one piece
    r"(?<![\w+.,])(?:\+\d{1,3}(?:[ ()./-]{0,3}\d){6,13}|\(?0\d{1,4}\)?[ ./-]{0,3}\d{2,4}(?:([ ./-]?)\d{2,4}(?:\1\d{2,4}){0,3})?"
    r"|\(?\d{3}\)?[ .-]{1,3}\d{3}[ .-]\d{4}|\d{10,13})(?!\w)"
)
_PHONE_DIGITS = 9  # fewer are dates, years, scores and round numbers

_STACKED = re.compile("([\u0300-\u036f][\u0300-\u036f])[\u0300-\u036f]+")  # twice as fast as with {2}

_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SYLLABLE = re.compile("[\uac00-\ud7a3]")
_CAMERA_NAME = re.compile(
    r"\b(?:img|dscn?|dscf|mvi|mov|vid|video|pxl|wp|gopr|gx|screen[ _-]?recording|whatsapp[ _-]video)[ _-]?\d{3,}[\d_-]*"
    r"(?:\.(?:mov|mp4|avi|3gp|mkv|wmv|m4v))?\b",
    re.IGNORECASE,
)
_BORDER = 32  # characters that a cut goes back to end between two words


def repaired(text: str) -> str:
    """`text` that can be written as UTF-8: surrogate pairs become their character, lone surrogates a space."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\ufffd", " ")


def visible(text: str) -> str:
    r"""`text` without control, zero-width, bidi, private and invalid characters; ZWJ and ZWNJ stay where they spell words.

    >>> visible("\u202eab\u200bc\x00d") + visible("می\u200cخواهم")[2:4]
    'abc d\u200cخ'
    """
    if text.isprintable() if text.isascii() else not _INVISIBLE.search(text):
        return text
    text = _HIDE.sub("", _BREAK.sub(" ", text))
    if "\u200b" in text:
        text = _WORD_SPACE.sub(" ", text).replace("\u200b", "")
    return unjoined(text)


def unjoined(text: str) -> str:
    """`text` without the joiners that join nothing."""
    return _JOINER.sub("", text) if "\u200c" in text or "\u200d" in text else text


def compatible(text: str) -> str:
    """`text` in Unicode's form NFKC: full-width, circled and mathematical letters become plain ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def composed(text: str) -> str:
    """`text` in Unicode's form NFC, without stacks of more than two accents on a letter."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    while _STACKED.search(text):  # what is left may compose with a mark that was hidden behind
        text = unicodedata.normalize("NFC", _STACKED.sub(r"\1", text))
    return text


def has_entity(text: str) -> bool:
    """Whether `text` holds an HTML entity, or what looks like one."""
    return "&" in text and _ENTITY.search(text) is not None


def unescaped(text: str) -> str:
    """`text` with its HTML entities as characters, one level of them; an unknown one only loses its ampersand.

    >>> unescaped("Tom &amp; Jerry, AT&T, &#39;&copy&#39; &amp;lt; &Eacute; &foo;")
    "Tom & Jerry, AT&T, '&copy' &lt; É  foo;"
    """
    return _ENTITY.sub(_character, text)


def _character(match: re.Match[str]) -> str:
    name = match[0][1:]
    if name.startswith("#") and len(name) < _ENTITY_DIGITS:
        plain = html.unescape(match[0])
        return plain if plain != match[0] else " " + name
    return html5.get(name) or html5.get(name.lower()) or " " + name


def without_contacts(text: str) -> str:
    """`text` without URLs, bare domains with a path, e-mail addresses and @mentions.

    >>> " ".join(without_contacts("see https://a.b/c?d or bit.ly/x, me@mail.org, @me, agar.io, 1/2").split())
    'see or , , agar.io, 1/2'
    """
    if "//" in text or "." in text and "ww." in text.lower():
        text = _URL.sub(" ", text)
    if "/" in text and _PATH.search(text):
        text = _BARE_URL.sub(" ", text)
    if "@" in text:
        text = _MENTION.sub(" ", _EMAIL.sub(" ", text))
    return text


def without_phones(text: str) -> str:
    """`text` without phone-like numbers.

    >>> without_phones("call +49 (0)171 234-5678 on 12.05.2024, 10 000 000 times")
    'call on 12.05.2024, 10 000 000 times'
    """
    while _MANY_DIGITS.search(text):
        fewer = spaced(_PHONE.sub(_not_phone, text))
        if fewer == text:
            break
        text = fewer
    return text


def _not_phone(match: re.Match[str]) -> str:
    return " " if sum(map(str.isdigit, match[0])) >= _PHONE_DIGITS else match[0]


def spaced(text: str) -> str:
    """`text` with single spaces, none at its ends."""
    return " ".join(unjoined(text).split())


def num_letters(text: str, enough: int) -> int:
    """How many letters and digits `text` holds, or a number of at least `enough` when there are as many.

    An ideograph counts three and a Hangul syllable two, for that is what they say; names that cameras give count nothing.

    >>> num_letters("IMG_20190303.MOV ok", 10), num_letters("東京!", 10)
    (2, 6)
    """
    if len(text) >= 64 and sum(map(str.isalnum, text[: 2 * enough])) >= enough:
        return enough
    head = text[: 4 * enough + 64]
    if len(head) < 64:
        head = _CAMERA_NAME.sub("", head)
    num = sum(map(str.isalnum, head))
    if num >= enough or head.isascii():
        return num
    return num + 2 * len(_IDEOGRAPH.findall(head)) + len(_SYLLABLE.findall(head))


def cut(text: str, most: int) -> str:
    """The first `most` characters of `text` at most, ending between two words where one ends near, never inside a letter."""
    if len(text) <= most:
        return text
    end = most
    if text[end] != " ":
        space = text.rfind(" ", max(most - _BORDER, 0), most)
        end = space if space > 0 else _inside_word(text, most)
    return text[:end].rstrip(" \u200c\u200d")


def _inside_word(text: str, most: int) -> int:
    """Where to cut a text that has no space near `most`: before its last word if that is short, else between two letters."""
    end = most
    while end and (text[end] in "\u200c\u200d" or unicodedata.category(text[end]).startswith("M")):
        end -= 1
    start = end
    while start and end - start <= _BORDER and text[start - 1].isalnum():
        start -= 1
    return start if start > 0 and end - start <= _BORDER else end
