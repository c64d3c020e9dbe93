"""Abbreviation tables: replace what an uploader shortens with its meaning, in the language of the video."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import filterfalse
from pathlib import Path

from xlclass.catalog.cleaning import MARKS, collapse_spaces, normalize_nfkc
from xlclass.catalog.repeats import shorten_runs
from xlclass.catalog.words import lower_case
from xlclass.errors import SettingsError
from xlclass.runtime.toml_settings import read_toml

_WORD = re.compile(r"\w+")
_KEY = re.compile(rf"(?<![\w@#&./-])\w+(?![\w{MARKS}])")  # not inside a domain, a path, a compound or an accented word
ANY = "any"  # the table for every language
_MAX_KEY_LENGTH = 15  # characters; truncation never leaves a part of a word this short, so it never creates an abbreviation


def load_abbreviations(file: str | Path) -> dict[str, dict[str, str]]:
    """The tables of the TOML file by language, `[any]` included: `{"fr": {"rdv": "rendez-vous"}}`.

    Raises:
        SettingsError: the file is missing or not TOML, or another step of the preparation would change an entry.
    """
    tables = read_toml(file, "text.abbreviations")
    for language, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: {language}: expected a table of abbreviations ([{language}]), found {table!r}")
        for key, meaning in table.items():
            _check_entry(language, key, meaning, file)
    for language in tables:
        _check_stable(language, table_for(tables, language), file)
    return tables


def table_for(tables: Mapping[str, Mapping[str, str]], language: str) -> dict[str, str]:
    """The abbreviations of `language`: those of `[any]`, overridden by its own table."""
    return {**tables.get(ANY, {}), **tables.get(language, {})}


def _check_entry(language: str, key: str, meaning: object, file: str | Path) -> None:
    location = f"{file}: {language}.{key}"
    if not _WORD.fullmatch(key) or len(key) > _MAX_KEY_LENGTH or _apply_earlier_steps(key, language) != key:
        raise SettingsError(f"{location}: an abbreviation must be one word of letters and digits in lower case, of {_MAX_KEY_LENGTH} characters at most")
    if not isinstance(meaning, str) or not meaning or _apply_earlier_steps(meaning, language) != meaning:
        raise SettingsError(f"{location}: the meaning must be words in lower case, found {meaning!r}")


def _check_stable(language: str, table: Mapping[str, str], file: str | Path) -> None:
    for key, meaning in table.items():
        for word in _WORD.findall(meaning):
            if word in table:
                raise SettingsError(
                    f"{file}: {language}.{key}: the meaning contains the abbreviation {word!r}: write it out, or preparing a text twice would change it"
                )


def _apply_earlier_steps(text: str, language: str) -> str:
    """`text` after the steps that run before the abbreviations."""
    return collapse_spaces(shorten_runs(normalize_nfkc(lower_case(normalize_nfkc(text), language)), language))


def expand_abbreviations(text: str, table: Mapping[str, str]) -> str:
    """`text` with the abbreviations of `table` replaced by their meanings.

    >>> expand_abbreviations("Drake FT. Rihanna, sci-ft", {"ft": "featuring"})
    'Drake featuring. Rihanna, sci-ft'
    """
    tokens = text.lower().split()
    punctuated = " ".join(filterfalse(str.isalnum, tokens))
    if table.keys().isdisjoint(tokens) and table.keys().isdisjoint(_WORD.findall(punctuated)):
        return text
    return _KEY.sub(lambda match: table.get(match[0].lower(), match[0]), text)
