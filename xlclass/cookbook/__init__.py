"""Questions that analysts ask of the tables, each with a query that Spark and DuckDB both run; `xlclass tables --cookbook` prints them.

A file is a theme. Above a query stands `-- name: question`, or `-- name [Spark]: question` where that engine needs words of
its own: arrays and maps are unfolded by explode there and by UNNEST in DuckDB, and their first element has another number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from xlclass.errors import LakeError

ENGINES = ("Spark", "DuckDB")
_HEAD = re.compile(r"-- (?P<name>\w+)(?: \[(?P<engine>\w+)\])?: (?P<question>.+)")


@dataclass(frozen=True)
class Query:
    """A question and its answer in SQL; `engine` is null where both run it. `text` is both, as they stand in the file."""

    name: str
    question: str
    sql: str
    engine: str | None
    theme: str
    text: str

    def runs_on(self, engine: str) -> bool:
        """Whether the engine runs it."""
        return self.engine in (None, engine)


def queries() -> list[Query]:
    """All queries, in the order of the files' names and, in a file, as they stand."""
    files = sorted((file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [_query(text, file.name.removesuffix(".sql")) for file in files for text in file.read_text(encoding="utf-8").split(";\n") if text.strip()]


def named(name: str) -> list[Query]:
    """The query of this name; one per engine where they need different ones.

    Raises:
        LakeError: there is none.
    """
    found = [query for query in queries() if query.name == name]
    if not found:
        raise LakeError(f"the cookbook has no query {name}; it has: {', '.join(dict.fromkeys(query.name for query in queries()))}")
    return found


def _query(text: str, theme: str) -> Query:
    text = text.strip()
    head, _, sql = text.partition("\n")
    found = _HEAD.fullmatch(head)
    if not found:
        raise ValueError(f"cookbook/{theme}.sql: {head!r} is not of the form `-- name: question`")
    return Query(found["name"], found["question"], sql, found["engine"], theme, f"{text};")
