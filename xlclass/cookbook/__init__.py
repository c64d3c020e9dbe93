"""Analysts' questions about the tables, each with an SQL query for Spark and DuckDB; `xlclass tables --cookbook` prints them.

Each file is a theme. The line above a query is `-- name: question`, or `-- name [Spark]: question` if the engines need different
queries: Spark expands arrays and maps with explode and DuckDB with UNNEST, and their array indices start at different numbers.
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
    """A question and its SQL query; `engine` is null if both engines run it. `text` is the comment and the query as in the file."""

    name: str
    question: str
    sql: str
    engine: str | None
    theme: str
    text: str

    def runs_on(self, engine: str) -> bool:
        """True if `engine` runs the query."""
        return self.engine in (None, engine)


def queries() -> list[Query]:
    """All queries, sorted by file name, in the order of each file."""
    files = sorted((file for file in resources.files(__name__).iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [_query(text, file.name.removesuffix(".sql")) for file in files for text in file.read_text(encoding="utf-8").split(";\n") if text.strip()]


def named(name: str) -> list[Query]:
    """The query of this name, or one query per engine if they need different ones.

    Raises:
        LakeError: there is no query of this name.
    """
    matching = [query for query in queries() if query.name == name]
    if not matching:
        raise LakeError(f"the cookbook has no query {name}; it has: {', '.join(dict.fromkeys(query.name for query in queries()))}")
    return matching


def _query(text: str, theme: str) -> Query:
    text = text.strip()
    head, _, sql = text.partition("\n")
    match = _HEAD.fullmatch(head)
    if not match:
        raise ValueError(f"cookbook/{theme}.sql: {head!r} does not have the form `-- name: question`")
    return Query(match["name"], match["question"], sql, match["engine"], theme, f"{text};")
