"""The taxonomy: the categories in order, and the aliases that sources use for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from xlclass.errors import SettingsError
from xlclass.runtime.toml_settings import read_toml


@dataclass(frozen=True)
class Taxonomy:
    """`categories` are ids in order; `names` maps an id to its display name, `aliases` a source's label to an id."""

    categories: tuple[str, ...]
    names: dict[str, str]
    aliases: dict[str, str]


def load_taxonomy(file: str | Path) -> Taxonomy:
    """The taxonomy in the TOML file: a list of `[[category]]` tables with `id` and, optionally, `name` and `aliases`.

    Raises:
        SettingsError: the file is missing, not TOML, without categories, or uses one id or alias twice.
    """
    table = read_toml(file, "taxonomy.file")
    rows = table.get("category")
    if not isinstance(rows, list) or not rows or set(table) != {"category"}:
        raise SettingsError(f"{file}: expected a list of [[category]] tables and nothing else, found {', '.join(table) or 'nothing'}")
    names: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for row in rows:
        category = _checked_id(row, file)
        for alias in dict.fromkeys([category, *(_as_label(alias) for alias in row.get("aliases", []))]):
            if alias in aliases:
                raise SettingsError(f"{file}: category {category}: the alias {alias!r} already means {aliases[alias]}")
            aliases[alias] = category
        names[category] = row.get("name", category)
    return Taxonomy(tuple(names), names, aliases)


def _as_label(alias: str | int) -> str:
    """The alias as the labels of a source are read: without white space around it, and 10 for 10.0."""
    return re.sub(r"^(-?\d+)\.0$", r"\1", str(alias).strip())


def _checked_id(row: object, file: str | Path) -> str:
    """The id of one category table, after a check of its keys and their types."""
    if not isinstance(row, dict):
        raise SettingsError(f"{file}: expected [[category]] tables with an id, found category = [{row!r} ...]")
    category, aliases = row.get("id"), row.get("aliases", [])
    has_unknown_key = not row.keys() <= {"id", "name", "aliases"}
    if has_unknown_key or not isinstance(category, str) or not category or not isinstance(row.get("name", ""), str):
        raise SettingsError(f"{file}: a category needs an id, and may have a name and aliases; found {row!r}")
    if not isinstance(aliases, list) or not all(isinstance(alias, str) or type(alias) is int for alias in aliases):
        raise SettingsError(f"{file}: category {category}: aliases must be a list of words or whole numbers, found {aliases!r}")
    return category
