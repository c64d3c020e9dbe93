"""The abbreviation tables: what an uploader shortens, written out in the uploader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import filterfalse
from pathlib import Path

from xlclass.catalog.cleaning import MARKS, compatible, spaced
from xlclass.catalog.repeats import shortened
from xlclass.catalog.words import folded
from xlclass.errors import SettingsError
from xlclass.runtime.toml_settings import read_toml

_WORD = re.compile(r"\w+")
_KEY = re.compile(rf"(?<![\w@#&./-])\w+(?![\w{MARKS}])")  # not inside a domain, a path, a compound or an accented word
ANY = "any"  # the table that holds for every language
_LONGEST_KEY = 15  # characters; shorter than any word that a cut may leave


def load_abbreviations(file: str | Path) -> dict[str, dict[str, str]]:
    """The tables in the TOML file, one `[language]` table each and `[any]`: abbreviation = "what it stands for".

    Raises:
        SettingsError: the file is missing or not TOML, or an entry would not survive the preparation as it stands.
    """
    tables = read_toml(file, "text.abbreviations")
    for language, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{file}: {language}: expected a table of abbreviations ([{language}]), found {table!r}")
        for key, meaning in table.items():
            _check(language, key, meaning, file)
    for language in tables:
        _check_stable(language, table_of(tables, language), file)
    return tables


def table_of(tables: Mapping[str, Mapping[str, str]], language: str) -> dict[str, str]:
    """What holds for `language`: its own table over the one for all."""
    return {**tables.get(ANY, {}), **tables.get(language, {})}


def _check(language: str, key: str, meaning: object, file: str | Path) -> None:
    where = f"{file}: {language}.{key}"
    if not _WORD.fullmatch(key) or len(key) > _LONGEST_KEY or _plain(key, language) != key:
        raise SettingsError(f"{where}: an abbreviation must be one word of letters and digits in lower case, of {_LONGEST_KEY} characters at most")
    if not isinstance(meaning, str) or not meaning or _plain(meaning, language) != meaning:
        raise SettingsError(f"{where}: the meaning must be words in lower case, found {meaning!r}")


def _check_stable(language: str, table: Mapping[str, str], file: str | Path) -> None:
    for key, meaning in table.items():
        for word in _WORD.findall(meaning):
            if word in table:
                raise SettingsError(f"{file}: {language}.{key}: the meaning holds {word!r}, an abbreviation itself: a text prepared twice would change")


def _plain(text: str, language: str) -> str:
    """`text` as the steps before the abbreviations leave it."""
    return spaced(shortened(compatible(folded(compatible(text), language)), language))


def written_out(text: str, table: Mapping[str, str]) -> str:
    """`text` with the abbreviations of `table` written out.

    >>> written_out("Drake FT. Rihanna, sci-ft", {"ft": "featuring"})
    'Drake featuring. Rihanna, sci-ft'
    """
    tokens = text.lower().split()
    joined = " ".join(filterfalse(str.isalnum, tokens))
    if table.keys().isdisjoint(tokens) and table.keys().isdisjoint(_WORD.findall(joined)):
        return text
    return _KEY.sub(lambda match: table.get(match[0].lower(), match[0]), text)
