"""The one preparation of a video's text: the same function for training, backfill, stream and command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

_RECIPE = 1  # raise when `prepare` changes its answers
_SHORT = 10  # letters and digits below which a text is called short


class Prepared(NamedTuple):
    """A text as it is encoded (null when there is none), the fields it was made of, and ok, short or empty."""

    text: str | None
    source: str | None
    quality: str


def preparation_version(max_characters: int) -> str:
    """Names exactly what `prepare` does: its recipe and its settings."""
    digest = hashlib.sha256(json.dumps([max_characters]).encode()).hexdigest()
    return f"{_RECIPE}-{digest[:8]}"


def prepare(title: str | None, tags: Sequence[str] | None, description: str | None, language: str, max_characters: int) -> Prepared:
    """The text of a video: title, tags and description, lower-cased, at most `max_characters` long.

    Never raises on any strings.

    >>> prepare("Best GOALS", ["football"], None, "en", 1000)
    Prepared(text='best goals football', source='title+tags', quality='ok')
    """
    fields = {"title": title or "", "tags": " ".join(tag for tag in (() if tags is None else tags) if tag), "description": description or ""}
    cleaned = {name: " ".join(value.lower().split()) for name, value in fields.items()}
    used = [name for name, value in cleaned.items() if value]
    text = " ".join(cleaned[name] for name in used)[:max_characters].rstrip()
    if not text:
        return Prepared(None, None, "empty")
    return Prepared(text, "+".join(used), "ok" if sum(map(str.isalnum, text)) >= _SHORT else "short")
