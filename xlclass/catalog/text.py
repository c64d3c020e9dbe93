"""The one preparation of a video's text: the same function for training, backfill, stream and command line.

Why the steps stand in this order: characters first, because every pattern after them means plain ones; sentences of a
description before links leave them; links before hashtags, for a `#` in a link is none; case after hashtags, which need
it; what is shortened and written out after case; phone numbers last, on the joined text, for spaces are part of them. So
no step makes work for an earlier one, and a prepared text prepared again is the same. Repairing surrogates, joining and
cutting cannot be switched off: without them a text cannot be stored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from xlclass.catalog import emojis, words
from xlclass.catalog.abbreviations import ANY, table_of, written_out
from xlclass.catalog.boilerplate import without_boilerplate
from xlclass.catalog.cleaning import (
    compatible,
    composed,
    cut,
    has_entity,
    num_letters,
    repaired,
    spaced,
    unescaped,
    visible,
    without_contacts,
    without_phones,
)
from xlclass.catalog.hashtags import hashtags_split
from xlclass.catalog.repeats import shortened
from xlclass.catalog.words import folded
from xlclass.config import TextSettings
from xlclass.errors import SettingsError

# Without lower case noisy titles gain 0.4 points more, within the heads' luck, but Chinese ones lose 2 (tests/bench/text_quality.py): it stays on.
# Tags that are joined words without a number sign stay as they are: taking them apart cost a fifth of the whole and gained nothing.
STEPS = ("invisible", "compatibility", "entities", "boilerplate", "emoji", "contacts", "hashtags", "case", "repeats", "abbreviations", "duplicates")

_RECIPE = 4  # raise when `prepare` changes its answers
_READ_AHEAD = 4  # a field is read to this many times the cap; what lies beyond cannot matter once it is cleaned, and may be 10 MB
_NESTED = 4  # times that a text is taken to be escaped
_MOST_TAGS = 500


class Prepared(NamedTuple):
    """A text as it is encoded (null when there is none), the fields it was made of, and ok, short or empty."""

    text: str | None
    source: str | None
    quality: str


@dataclass(frozen=True)
class Preparation:
    """The preparation under some settings, with the abbreviations of each language; it may be pickled."""

    settings: TextSettings
    abbreviations: Mapping[str, Mapping[str, str]]

    @classmethod
    def from_settings(cls, text: TextSettings, abbreviations: Mapping[str, Mapping[str, str]]) -> Preparation:
        """The preparation that `text` describes.

        Raises:
            SettingsError: `text.skip` names a step that there is not.
        """
        for step in text.skip:
            if step not in STEPS:
                raise SettingsError(f"text.skip: there is no step {step!r}; the steps are {', '.join(STEPS)}")
        return cls(text, abbreviations)

    @cached_property
    def version(self) -> str:
        """Names exactly what `prepare` does: its recipe, and a digest of its settings, tables and dictionaries.

        The path of the table is not part of it, only what it holds. Nor is Python's version of Unicode: what it says of a
        character that it knows never changes (Unicode's stability policies on normalisation and case).
        """
        settings = dataclasses.asdict(self.settings) | {"abbreviations": self.abbreviations, "skip": sorted(self.settings.skip)}
        libraries = {name: importlib.metadata.version(name) for name in (emojis.LIBRARY, words.LIBRARY)}
        digest = hashlib.sha256(json.dumps([settings, libraries], sort_keys=True).encode()).hexdigest()
        return f"{_RECIPE}-{digest[:8]}"

    def prepare(self, title: str | None, tags: Iterable[str] | None, description: str | None, channel_tags: Iterable[str] | None, language: str) -> Prepared:
        """The text of a video: title and tags, the description always or when those are short, the channel's tags when all are.

        Never raises on any strings, and gives the same answer for the same arguments everywhere. A prepared text that is
        prepared again, as a title of the same language, is the same (unless the steps "invisible" or "compatibility" are off).
        Of `tags` and `channel_tags`, what is no string is left out.

        >>> from xlclass.config import TextSettings
        >>> Preparation.from_settings(TextSettings(), {}).prepare("Best GOALS!!!", ["#WorldCup", "football"], None, None, "en")
        Prepared(text='best goals! world cup football', source='title+tags', quality='ok')
        """
        most, enough = self.settings.max_characters, self.settings.min_letters
        found = {"title": self._clean(title, language), "tags": self._clean_tags(tags, language)}
        num_found = num_letters(" ".join(found.values()), enough)
        if num_found < enough or self.settings.description == "always" and len(found["title"]) + len(found["tags"]) < most:
            found["description"] = self._clean(description, language, in_sentences=True)
        if num_found < enough and num_found + num_letters(found["description"], enough) < enough:
            found["channel_tags"] = self._clean_tags(_others(channel_tags, tags), language)
        text = " ".join(value for value in found.values() if value)
        text = cut(without_phones(text) if "contacts" in self._on else text, most)
        if not text:
            return Prepared(None, None, "empty")
        return Prepared(text, "+".join(name for name, value in found.items() if value), "ok" if num_letters(text, enough) >= enough else "short")

    @cached_property
    def _on(self) -> frozenset[str]:
        """The steps that are not switched off."""
        return frozenset(STEPS) - set(self.settings.skip)

    @cached_property
    def _tables(self) -> dict[str, dict[str, str]]:
        return {language: table_of(self.abbreviations, language) for language in (ANY, *self.abbreviations)}

    def _clean_tags(self, tags: Iterable[str] | None, language: str) -> str:
        """The tags as one cleaned text, without those that were there before."""
        most = _READ_AHEAD * self.settings.max_characters
        kept = [tag[:most] for tag in islice(() if tags is None else tags, _MOST_TAGS) if isinstance(tag, str)]
        if "duplicates" in self._on:
            kept = list({tag.lower(): tag for tag in kept}.values())
        return self._clean(" ".join(kept), language)

    def _clean(self, text: str | None, language: str, in_sentences: bool = False) -> str:
        """A field after all steps that look at one field; a text in sentences loses those that are boilerplate."""
        if not text:
            return ""
        on = self._on
        text = self._plain(text[: _READ_AHEAD * self.settings.max_characters])
        if in_sentences and "boilerplate" in on:
            text = without_boilerplate(text, language)
        if "emoji" in on:
            text = emojis.named_emojis(text) if self.settings.emoji == "names" else emojis.without_emojis(text)
        if "contacts" in on:
            text = without_contacts(text)
        if "hashtags" in on:
            text = hashtags_split(text, language)
        return self._worded(text, language)

    def _plain(self, text: str) -> str:
        """A field in plain characters, however often it was escaped."""
        text = repaired(text)
        for _ in range(_NESTED):
            text = self._visible(text)
            if "entities" not in self._on or not has_entity(text):
                return text
            text = unescaped(text)
        return self._visible(text.replace("&", " "))

    def _visible(self, text: str) -> str:
        text = visible(text) if "invisible" in self._on else text
        return compatible(text)[: _READ_AHEAD * self.settings.max_characters] if "compatibility" in self._on else text

    def _worded(self, text: str, language: str) -> str:
        """A field in the words that the encoder reads, with single spaces between them."""
        on = self._on
        if "case" in on:
            text = composed(folded(text, language))
        if "repeats" in on:
            text = shortened(text, language)
        if "abbreviations" in on and self.abbreviations:
            text = written_out(text, self._tables.get(language, self._tables[ANY]))
        return spaced(text)


def _others(channel_tags: Iterable[str] | None, tags: Iterable[str] | None) -> list[str]:
    """The channel's tags that the video does not carry itself."""
    own = {tag.strip().lower() for tag in (() if tags is None else tags) if isinstance(tag, str)}
    return [tag for tag in (() if channel_tags is None else channel_tags) if isinstance(tag, str) and tag.strip().lower() not in own]
