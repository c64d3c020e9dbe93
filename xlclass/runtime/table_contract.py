"""The form of a table's contract: its columns, keys and constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: `type` in Spark's DDL; a required column is NOT NULL."""

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract. `grain` is the table comment and starts with "One row per"; `checks` are CHECK constraints by name."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    checks: tuple[tuple[str, str], ...] = ()
    cluster_by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


def table(name: str, grain: str, keys: str, rows: Sequence[tuple[str, str, str]], checks: dict[str, str] | None = None, cluster_by: str = "") -> Table:
    """The contract of a table; a column is NOT NULL if it is a key or its type ends in "!"."""
    key_names = tuple(keys.split())
    columns = tuple(Column(column, kind.rstrip("!"), comment, kind.endswith("!") or column in key_names) for column, kind, comment in rows)
    return Table(name, grain, columns, key_names, tuple((checks or {}).items()), tuple(cluster_by.split()))


def shares(columns: str) -> dict[str, str]:
    """One constraint per column: the value is null or between 0 and 1."""
    return {f"{name}_share": f"{name} IS NULL OR {name} BETWEEN 0 AND 1" for name in columns.split()}


def one_of(column: str, values: str) -> dict[str, str]:
    """A constraint: the column holds one of `values`."""
    return {f"{column}_known": f"{column} IN ({', '.join(repr(value) for value in values.split())})"}
