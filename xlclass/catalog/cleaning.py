"""Character-level cleaning: the steps of `text.py` that need no language.

Each function is idempotent and creates no work for a function that ran before it. This is why removed text leaves a space
behind, which keeps the words on both sides apart, and why the patterns are bounded as they are.
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5
from itertools import chain

# Combining marks (Mn, Mc) do not match \w in `re`, yet words of Indic, Thai, Arabic and Hebrew text contain them.
MARKS = "".join(c for c in map(chr, chain(range(0x300, 0x3100), range(0xA600, 0xAC00), range(0xFB1E, 0xFE30))) if unicodedata.category(c) in ("Mn", "Mc"))
# Symbols that are emoji or decoration; mathematical operators are not among them.
PICTURES = "\u20e3\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\U0001f000-\U0001faff"

_SURROGATE = re.compile("[\ud800-\udfff]")
_BREAKS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffc\ufffd©®™\u2120"  # a space replaces them: they may separate words; NFKC makes ™ "TM"
_HIDDEN = (  # soft hyphen, fillers, bidi and format controls, variation selectors, tags, private use, non-characters
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufdd0-\ufdef"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
)
_INVISIBLE = re.compile(f"[{_BREAKS}{_HIDDEN}\u200b-\u200d]")
_BREAK = re.compile(f"[{_BREAKS}]")
_HIDE = re.compile(f"[{_HIDDEN}]")
_WORD_SPACE = re.compile("(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b+(?=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])")
# Joiners belong to the spelling in Arabic script (Persian, Urdu), Indic, Myanmar and Khmer, and join emoji. Elsewhere they are noise,
# and so is a ZWJ between two Arabic letters: they join without it.
_ARABIC = "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff"
_JOINED = f"\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17ff{PICTURES}"
_STRAY_JOINER = re.compile(f"(?<![{_JOINED}])[\u200c\u200d]+|[\u200c\u200d]+(?![{_JOINED}])|(?<=[{_ARABIC}])\u200d+(?=[{_ARABIC}])")

_ENTITY = re.compile(rf"&#*[\w{MARKS}]+;")
_MAX_ENTITY_LENGTH = 12  # a longer number is no character, and Python refuses to parse thousands of digits

_URL = re.compile(r"(?:\w{0,20}://|www\.)[!-~]+", re.IGNORECASE)
# A bare domain counts as a link only with a path: agar.io and chess.com name the topic of a video, bit.ly/x does not.
_ENDINGS = (
    "app be biz br ca club co com de es eu fm fr gg gl gle id in info io it jp kr link live ly me net nl online org page pl pt ru shop site store to tr tv uk"
    " us vn xyz"
)
_TOP_LEVEL = rf"\.(?:{'|'.join('+'.join(ending) + '+' for ending in _ENDINGS.split())})/"  # .commm/ too: a later step shortens it to .com/
_PATH = re.compile(_TOP_LEVEL, re.IGNORECASE)
_BARE_URL = re.compile(rf"[\w{MARKS}.-]{{0,80}}" + _TOP_LEVEL + "[!-~]*", re.IGNORECASE)
_EMAIL = re.compile(rf"[\w{MARKS}.+-]{{0,64}}@[\w-]{{1,64}}\.[\w.-]+")
_MENTION = re.compile(rf"@[\w{MARKS}][\w{MARKS}\u200c\u200d.-]*")
_MANY_DIGITS = re.compile(r"\d[ ()./-]{0,3}(?:\d[ ()./-]{0,3}){7}\d")
_PHONE = re.compile(  # with +; with a leading 0; as 3-3-4; in one piece
    r"(?<![\w+.,])(?:\+\d{1,3}(?:[ ()./-]{0,3}\d){6,13}|\(?0\d{1,4}\)?[ ./-]{0,3}\d{2,4}(?:([ ./-]?)\d{2,4}(?:\1\d{2,4}){0,3})?"
    r"|\(?\d{3}\)?[ .-]{1,3}\d{3}[ .-]\d{4}|\d{10,13})(?!\w)"
)
_MIN_PHONE_DIGITS = 9  # dates, years, scores and round numbers have fewer

_STACKED = re.compile("([\u0300-\u036f][\u0300-\u036f])[\u0300-\u036f]+")  # twice as fast as with {2}

_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SYLLABLE = re.compile("[\uac00-\ud7a3]")
_CAMERA_NAME = re.compile(
    r"\b(?:img|dscn?|dscf|mvi|mov|vid|video|pxl|wp|gopr|gx|screen[ _-]?recording|whatsapp[ _-]video)[ _-]?\d{3,}[\d_-]*"
    r"(?:\.(?:mov|mp4|avi|3gp|mkv|wmv|m4v))?\b",
    re.IGNORECASE,
)
_MAX_BACKTRACK = 32  # characters that a truncation may move back to end between two words


def repair_surrogates(text: str) -> str:
    """`text` that can be written as UTF-8: a surrogate pair becomes its character, a lone surrogate a space."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\ufffd", " ")


def remove_invisible(text: str) -> str:
    r"""`text` without control, zero-width, bidi, private and invalid characters; ZWJ and ZWNJ stay where spelling needs them.

    >>> remove_invisible("\u202eab\u200bc\x00d") + remove_invisible("می\u200cخواهم")[2:4]
    'abc d\u200cخ'
    """
    if text.isprintable() if text.isascii() else not _INVISIBLE.search(text):
        return text
    text = _HIDE.sub("", _BREAK.sub(" ", text))
    if "\u200b" in text:
        text = _WORD_SPACE.sub(" ", text).replace("\u200b", "")
    return remove_stray_joiners(text)


def remove_stray_joiners(text: str) -> str:
    """`text` without the joiners (ZWJ, ZWNJ) that have nothing to join."""
    return _STRAY_JOINER.sub("", text) if "\u200c" in text or "\u200d" in text else text


def normalize_nfkc(text: str) -> str:
    """`text` in Unicode's form NFKC: full-width, circled and mathematical letters become plain letters."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def normalize_nfc(text: str) -> str:
    """`text` in Unicode's form NFC, with at most two accents stacked on a letter."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    while _STACKED.search(text):  # the letter may compose with a mark that a removed one blocked
        text = unicodedata.normalize("NFC", _STACKED.sub(r"\1", text))
    return text


def has_entity(text: str) -> bool:
    """Whether `text` contains an HTML entity, or a string of the same form."""
    return "&" in text and _ENTITY.search(text) is not None


def unescape_entities(text: str) -> str:
    """`text` with one level of HTML entities replaced by their characters; an unknown entity only loses its ampersand.

    >>> unescape_entities("Tom &amp; Jerry, AT&T, &#39;&copy&#39; &amp;lt; &Eacute; &foo;")
    "Tom & Jerry, AT&T, '&copy' &lt; É  foo;"
    """
    return _ENTITY.sub(_entity_character, text)


def _entity_character(match: re.Match[str]) -> str:
    name = match[0][1:]
    if name.startswith("#") and len(name) < _MAX_ENTITY_LENGTH:
        character = html.unescape(match[0])
        return character if character != match[0] else " " + name
    return html5.get(name) or html5.get(name.lower()) or " " + name


def remove_contacts(text: str) -> str:
    """`text` without URLs, bare domains with a path, e-mail addresses and @mentions.

    >>> " ".join(remove_contacts("see https://a.b/c?d or bit.ly/x, me@mail.org, @me, agar.io, 1/2").split())
    'see or , , agar.io, 1/2'
    """
    if "//" in text or "." in text and "ww." in text.lower():
        text = _URL.sub(" ", text)
    if "/" in text and _PATH.search(text):
        text = _BARE_URL.sub(" ", text)
    if "@" in text:
        text = _MENTION.sub(" ", _EMAIL.sub(" ", text))
    return text


def remove_phone_numbers(text: str) -> str:
    """`text` without numbers of the form of a phone number.

    >>> remove_phone_numbers("call +49 (0)171 234-5678 on 12.05.2024, 10 000 000 times")
    'call on 12.05.2024, 10 000 000 times'
    """
    while _MANY_DIGITS.search(text):
        shorter = collapse_spaces(_PHONE.sub(_space_for_phone, text))
        if shorter == text:
            break
        text = shorter
    return text


def _space_for_phone(match: re.Match[str]) -> str:
    return " " if sum(map(str.isdigit, match[0])) >= _MIN_PHONE_DIGITS else match[0]


def collapse_spaces(text: str) -> str:
    """`text` with single spaces between words and none at its ends."""
    return " ".join(remove_stray_joiners(text).split())


def count_letters(text: str, limit: int) -> int:
    """The number of letters and digits in `text`; from `limit` on, counting may stop at any number of at least `limit`.

    An ideograph counts as three and a Hangul syllable as two, because they carry as much meaning. File names that cameras
    create count as nothing.

    >>> count_letters("IMG_20190303.MOV ok", 10), count_letters("東京!", 10)
    (2, 6)
    """
    if len(text) >= 64 and sum(map(str.isalnum, text[: 2 * limit])) >= limit:
        return limit
    head = text[: 4 * limit + 64]
    if len(head) < 64:
        head = _CAMERA_NAME.sub("", head)
    count = sum(map(str.isalnum, head))
    if count >= limit or head.isascii():
        return count
    return count + 2 * len(_IDEOGRAPH.findall(head)) + len(_SYLLABLE.findall(head))


def truncate(text: str, limit: int) -> str:
    """At most the first `limit` characters of `text`; it ends between two words if a border is near, and never inside a letter."""
    if len(text) <= limit:
        return text
    end = limit
    if text[end] != " ":
        space = text.rfind(" ", max(limit - _MAX_BACKTRACK, 0), limit)
        end = space if space > 0 else _end_without_space(text, limit)
    return text[:end].rstrip(" \u200c\u200d")


def _end_without_space(text: str, limit: int) -> int:
    """Where to truncate a text that has no space near `limit`: before its last word if that is short, else between two letters."""
    end = limit
    while end and (text[end] in "\u200c\u200d" or unicodedata.category(text[end]).startswith("M")):
        end -= 1
    start = end
    while start and end - start <= _MAX_BACKTRACK and text[start - 1].isalnum():
        start -= 1
    return start if start > 0 and end - start <= _MAX_BACKTRACK else end
