"""Replaces emoji by their English names, or removes them."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from xlclass.catalog.cleaning import PICTURES

LIBRARY = "emoji"
_RUN = re.compile(f"[{PICTURES}][{PICTURES}\u200d]*")
_SKIN_TONE = re.compile("[\U0001f3fb-\U0001f3ff]")
_DECORATION = ("arrow", "button", "circle", "square", "diamond", "mark", "tone")  # last words of the names of decorative symbols
_FIRST_MEANINGFUL = "\u2600"  # arrows, technical and geometric signs come before it
_MAX_NAMES = 8  # of one run: a row of forty flags means no more than eight
_MAX_RUN = 200  # characters


def remove_emojis(text: str) -> str:
    """`text` without emoji and decorative symbols."""
    return text if text.isascii() else _RUN.sub(" ", text)


def name_emojis(text: str) -> str:
    """`text` with its emoji replaced by their English names, each once per run, and without decorative symbols.

    >>> " ".join(name_emojis("GOAL⚽⚽🔥► 👍🏽👨‍👩‍👧").split())
    'GOAL soccer ball fire thumbs up family man woman girl'
    """
    return text if text.isascii() else _RUN.sub(lambda match: _names(match[0]), text)


@lru_cache(maxsize=16_384)
def _names(run: str) -> str:
    """The names in a run of emoji, between two spaces; the longest sequence that has a name counts as one emoji."""
    names, max_length = _names_by_sequence()
    run = _SKIN_TONE.sub("", run)[:_MAX_RUN]
    run_names: dict[str, None] = {}
    start = 0
    while start < len(run):
        end = next((end for end in range(min(len(run), start + max_length), start, -1) if run[start:end] in names), start)
        if end > start:
            run_names[names[run[start:end]]] = None
        start = max(end, start + 1)
    return f" {' '.join(list(run_names)[:_MAX_NAMES])} "


@cache
def _names_by_sequence() -> tuple[dict[str, str], int]:
    """The name of each emoji sequence that is not decorative, and the length of the longest sequence."""
    import emoji

    names: dict[str, str] = {}
    for sequence, record in emoji.EMOJI_DATA.items():
        plain = _SKIN_TONE.sub("", sequence.replace("\ufe0f", ""))
        name = " ".join(re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", record["en"]).lower()).split())
        if _RUN.fullmatch(plain) and plain >= _FIRST_MEANINGFUL and not name.endswith(_DECORATION):
            names.setdefault(plain, name)
    return names, max(map(len, names))
