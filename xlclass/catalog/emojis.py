"""Emoji as their English names, or gone."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from xlclass.catalog.cleaning import PICTURES

LIBRARY = "emoji"
_RUN = re.compile(f"[{PICTURES}][{PICTURES}\u200d]*")
_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_SAYS_NOTHING = ("arrow", "button", "circle", "square", "diamond", "mark", "tone")  # last words of names of decoration
_FIRST_TELLING = "\u2600"  # arrows, technical and geometric signs lie before it
_MOST_NAMES = 8  # of one run: a row of forty flags says what eight of them say


def without_emojis(text: str) -> str:
    """`text` without emoji and decorative symbols."""
    return text if text.isascii() else _RUN.sub(" ", text)


def named_emojis(text: str) -> str:
    """`text` with the English names of its emoji in place of them, once in a run of the same; decorative symbols are gone.

    >>> " ".join(named_emojis("GOAL⚽⚽🔥► 👍🏽👨‍👩‍👧").split())
    'GOAL soccer ball fire thumbs up family man woman girl'
    """
    return text if text.isascii() else _RUN.sub(lambda match: _names(match[0]), text)


@lru_cache(maxsize=16_384)
def _names(run: str) -> str:
    """The names in a run of emoji, between two spaces; the longest sequence that has a name counts as one emoji."""
    names, longest = _table()
    run = _SKIN_TONE.sub("", run)[:200]
    found: dict[str, None] = {}
    start = 0
    while start < len(run):
        end = next((end for end in range(min(len(run), start + longest), start, -1) if run[start:end] in names), start)
        if end > start:
            found[names[run[start:end]]] = None
        start = max(end, start + 1)
    return f" {' '.join(list(found)[:_MOST_NAMES])} "


@cache
def _table() -> tuple[dict[str, str], int]:
    """The name of each emoji sequence that says something, and the length of the longest sequence."""
    import emoji

    table: dict[str, str] = {}
    for sequence, record in emoji.EMOJI_DATA.items():
        plain = _SKIN_TONE.sub("", sequence.replace("\ufe0f", ""))
        name = " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", record["en"]).lower()).split())
        if _RUN.fullmatch(plain) and plain >= _FIRST_TELLING and not name.endswith(_SAYS_NOTHING):
            table.setdefault(plain, name)
    return table, max(map(len, table))
