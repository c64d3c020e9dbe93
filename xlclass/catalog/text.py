"""The preparation of a video's text: one pure function for training, backfill, stream and command line.

Why the steps run in this order. Characters come first, because all later patterns assume plain ones. Boilerplate sentences
of a description come before links, because a link helps to recognise them. Links come before hashtags, because a `#` inside
a link starts no hashtag. Case comes after hashtags, which need it, and before repeated letters and abbreviations. Phone
numbers come last, on the joined text, because they contain spaces. In this order no step creates work for an earlier one,
and a prepared text that is prepared again stays the same. Repairing surrogates, joining and truncating cannot be switched
off: without them a text cannot be stored.
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
from xlclass.catalog.abbreviations import ANY, expand_abbreviations, table_for
from xlclass.catalog.boilerplate import remove_boilerplate
from xlclass.catalog.cleaning import (
    collapse_spaces,
    count_letters,
    has_entity,
    normalize_nfc,
    normalize_nfkc,
    remove_contacts,
    remove_invisible,
    remove_phone_numbers,
    repair_surrogates,
    truncate,
    unescape_entities,
)
from xlclass.catalog.hashtags import split_hashtags
from xlclass.catalog.letters import has_unusual_letters, plain_letters, remove_silent_marks
from xlclass.catalog.repeats import shorten_runs
from xlclass.config import TextSettings
from xlclass.errors import SettingsError

# "case" stays on: without it noisy titles gain 0.4 points, no more than the heads vary, but Chinese ones lose 2 (tests/bench/text_quality.py).
# Tags without a `#` are not split into words: splitting them took a fifth of the total time and gained nothing.
STEPS = (
    *("invisible", "compatibility", "marks", "decoration", "entities", "boilerplate", "emoji"),
    *("contacts", "hashtags", "case", "repeats", "abbreviations", "duplicates"),
)

_RECIPE = 5  # raise it when `prepare` changes its results
_READ_FACTOR = 4  # a field is cut at this many times max_characters before it is cleaned, because it may have 10 MB
_MAX_ESCAPE_LEVELS = 4
_MAX_TAGS = 500


class Prepared(NamedTuple):
    """The text to encode, null if nothing is left; the fields that it contains; and its quality: ok, short or empty."""

    text: str | None
    source: str | None
    quality: str


@dataclass(frozen=True)
class Preparation:
    """The preparation under some settings, with the abbreviations of each language; it can be pickled."""

    settings: TextSettings
    abbreviations: Mapping[str, Mapping[str, str]]

    @classmethod
    def from_settings(cls, text: TextSettings, abbreviations: Mapping[str, Mapping[str, str]]) -> Preparation:
        """The preparation that `text` describes.

        Raises:
            SettingsError: `text.skip` names an unknown step.
        """
        for step in text.skip:
            if step not in STEPS:
                raise SettingsError(f"text.skip: there is no step {step!r}; the steps are {', '.join(STEPS)}")
        return cls(text, abbreviations)

    @cached_property
    def version(self) -> str:
        """Identifies the results of `prepare`: the recipe's number, and a digest of settings, abbreviations and library versions.

        The path of the abbreviations file is not part of it, only the contents. Python's version of Unicode is not part of it
        either: what it defines for an existing character never changes (Unicode's stability policies on normalisation and case).
        """
        settings = dataclasses.asdict(self.settings) | {"abbreviations": self.abbreviations, "skip": sorted(self.settings.skip)}
        libraries = {name: importlib.metadata.version(name) for name in (emojis.LIBRARY, words.LIBRARY)}
        digest = hashlib.sha256(json.dumps([settings, libraries], sort_keys=True).encode()).hexdigest()
        return f"{_RECIPE}-{digest[:8]}"

    def prepare(self, title: str | None, tags: Iterable[str] | None, description: str | None, channel_tags: Iterable[str] | None, language: str) -> Prepared:
        """The prepared text of a video.

        It contains title and tags; the description always, or only if those are short (`text.description`); and the channel's
        tags if all of them together are short. Values of `tags` and `channel_tags` that are no strings are ignored.

        Never raises, whatever the strings contain, and gives the same result for the same arguments everywhere. A prepared
        text, prepared again as a title of the same language, stays the same, unless "invisible" or "compatibility" is off.

        >>> from xlclass.config import TextSettings
        >>> Preparation.from_settings(TextSettings(), {}).prepare("Best GOALS!!!", ["#WorldCup", "football"], None, None, "en")
        Prepared(text='best goals! world cup football', source='title+tags', quality='ok')
        """
        max_characters, min_letters = self.settings.max_characters, self.settings.min_letters
        fields = {"title": self._clean(title, language), "tags": self._clean_tags(_strings(tags, _MAX_TAGS), language)}
        num_letters = count_letters(" ".join(fields.values()), min_letters)
        if num_letters < min_letters or self.settings.description == "always" and len(fields["title"]) + len(fields["tags"]) < max_characters:
            fields["description"] = self._clean(description, language, in_sentences=True)
        if num_letters < min_letters and num_letters + count_letters(fields["description"], min_letters) < min_letters:
            fields["channel_tags"] = self._clean_tags(_new_tags(channel_tags, tags), language)
        text = " ".join(filter(None, fields.values()))
        text = truncate(remove_phone_numbers(text) if "contacts" in self._active else text, max_characters)
        if not text:
            return Prepared(None, None, "empty")
        source = "+".join(name for name, value in fields.items() if value)
        return Prepared(text, source, "ok" if count_letters(text, min_letters) >= min_letters else "short")

    @cached_property
    def _active(self) -> frozenset[str]:
        """The steps that are not switched off."""
        return frozenset(STEPS) - set(self.settings.skip)

    @cached_property
    def _tables(self) -> dict[str, dict[str, str]]:
        return {language: table_for(self.abbreviations, language) for language in (ANY, *self.abbreviations)}

    @property
    def _max_read(self) -> int:
        return _READ_FACTOR * self.settings.max_characters

    def _clean_tags(self, tags: list[str], language: str) -> str:
        """The tags as one cleaned text, each once whatever its case."""
        tags = [tag[: self._max_read] for tag in tags[:_MAX_TAGS]]
        if "duplicates" in self._active:
            tags = list({tag.lower(): tag for tag in tags}.values())
        return self._clean(" ".join(tags), language)

    def _clean(self, text: str | None, language: str, in_sentences: bool = False) -> str:
        """A field after all steps that handle one field; a text `in_sentences` loses its boilerplate sentences."""
        if not text:
            return ""
        active = self._active
        text = self._decode(text[: self._max_read])
        if in_sentences and "boilerplate" in active:
            text = remove_boilerplate(text, language)
        if "emoji" in active:
            text = emojis.name_emojis(text) if self.settings.emoji == "names" else emojis.remove_emojis(text)
        if "contacts" in active:
            text = remove_contacts(text)
        if "hashtags" in active:
            text = split_hashtags(text, language)
        return self._normalize_words(text, language)

    def _decode(self, text: str) -> str:
        """A field in plain characters, after all levels of HTML escapes."""
        text = self._normalize_characters(repair_surrogates(text))
        if "&" not in text or "entities" not in self._active:
            return self._normalize_letters(text)
        for _ in range(_MAX_ESCAPE_LEVELS):
            if not has_entity(text):
                text = self._normalize_letters(text)  # only then: an escape inside an upside-down word would hide that it is one
                if not has_entity(text):
                    return text
            text = self._normalize_characters(unescape_entities(text))
        return self._normalize_letters(self._normalize_characters(text.replace("&", " ")))

    def _normalize_characters(self, text: str) -> str:
        text = remove_invisible(text) if "invisible" in self._active else text
        return normalize_nfkc(text)[: self._max_read] if "compatibility" in self._active else text

    def _normalize_letters(self, text: str) -> str:
        if not has_unusual_letters(text):
            return text
        text = remove_silent_marks(text) if "marks" in self._active else text
        return plain_letters(text)[: self._max_read] if "decoration" in self._active else text

    def _normalize_words(self, text: str, language: str) -> str:
        """A field with case, repeated letters and abbreviations normalised, and single spaces between words."""
        active = self._active
        if "case" in active:
            text = normalize_nfc(words.lower_case(text, language))
        if "repeats" in active:
            text = shorten_runs(text, language)
        if "abbreviations" in active and self.abbreviations:
            text = expand_abbreviations(text, self._tables.get(language, self._tables[ANY]))
        return collapse_spaces(text)


def _strings(values: Iterable[object] | None, limit: int | None = None) -> list[str]:
    """The strings among the first `limit` values; a null list has none."""
    return [value for value in islice(() if values is None else values, limit) if isinstance(value, str)]


def _new_tags(channel_tags: Iterable[str] | None, tags: Iterable[str] | None) -> list[str]:
    """The channel's tags that the video does not have itself."""
    video_tags = {tag.strip().lower() for tag in _strings(tags)}
    return [tag for tag in _strings(channel_tags) if tag.strip().lower() not in video_tags]
