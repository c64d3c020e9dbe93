"""The parts of the report page: sections, tables, charts per language, and the order of the languages in all of them."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

Row = dict[str, Any]
GROUPS = {
    "training": "training languages",
    "supported": "other languages that the first encoder knows",
    "second": "languages that only the second encoder knows",
    "unsupported": "languages that no encoder knows",
}
KnownLanguages = Sequence[Collection[str]]  # of each encoder in turn
MAX_CARDS = 24  # charts of a section that are visible at first; the rest is folded
_MAX_CHARACTERS = 300  # of a cell


@dataclass(frozen=True)
class Column:
    """A table column: `kind` is a cell format of `format_cell`; `meaning` explains the column below the table."""

    title: str
    kind: str = "text"
    meaning: str = ""
    chart: Markup | None = None  # shown in the column head, for example a scale


@dataclass(frozen=True)
class Line:
    """A table row; `language` is set if the row belongs to one language."""

    cells: tuple[Any, ...]
    language: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table; `bodies` are its rows by group, (key, heading or none, rows), and the page sorts each body separately."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    bodies: Sequence[tuple[str, Line | None, Sequence[Line]]]
    folded: bool = False

    @property
    def lines(self) -> list[Line]:
        """All rows, without the headings."""
        return [line for _, _, lines in self.bodies for line in lines]

    @property
    def explained(self) -> list[Column]:
        """The columns that have a meaning to show."""
        return [column for column in self.columns if column.meaning]


@dataclass(frozen=True)
class Card:
    """A language's chart and its caption."""

    language: str
    chart: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """A section of the page; `missing` is the sentence shown if there is nothing else to show."""

    name: str
    title: str
    explanation: str
    missing: str = ""
    legend: Sequence[tuple[str, str]] = ()  # (class of the mark, meaning)
    cards: Sequence[Card] = ()
    grids: Sequence[Grid] = ()
    matrix: Any = None
    findings: Sequence[str] = ()  # sentences, shown first


@dataclass(frozen=True)
class About:
    """The subject of the page: lake, model version and languages. `categories` are names by id, in order; times are UTC text."""

    lake: str
    model_version: str
    created_at: str
    training_languages: Sequence[str]
    known_languages: KnownLanguages
    categories: Mapping[str, str]
    evaluated_at: str | None = None
    num_videos: Mapping[str, int] = field(default_factory=dict)  # by language

    def group(self, language: str) -> str:
        """The group of `language`, a key of GROUPS."""
        return group_of(language, self.training_languages, self.known_languages)

    def order(self, language: str) -> tuple[int, int, str]:
        """Sort key of a language: by group in the order of GROUPS, then most videos first."""
        return list(GROUPS).index(self.group(language)), -self.num_videos.get(language, 0), language

    def sorted(self, rows: Iterable[Row]) -> list[Row]:
        """`rows` in the order of their languages."""
        return sorted(rows, key=lambda row: self.order(row["language"]))

    def bodies(self, lines: Iterable[Line], heading: Callable[[str, list[str]], Line] | None = None) -> list[tuple[str, Line | None, list[Line]]]:
        """Table bodies with the lines by group of languages; `heading` makes a group's first line from its name and languages."""
        ordered = sorted(lines, key=lambda line: self.order(line.language or ""))
        groups = [(key, list(group)) for key, group in itertools.groupby(ordered, lambda line: self.group(line.language or ""))]
        return [(key, heading(f"{GROUPS[key]} ({len(group)})", [line.language or "" for line in group]) if heading else None, group) for key, group in groups]

    def category(self, name: str | None) -> str:
        """The display name of a category; a value that is not a category is unchanged, null is a dash."""
        return self.categories.get(name or "", name or "–")


def group_of(language: str, training_languages: Collection[str], known_languages: KnownLanguages) -> str:
    """The group of `language`, a key of GROUPS.

    >>> [group_of(language, ["en"], [["en", "de"], ["de", "ka"]]) for language in ("en", "de", "ka", "und")]
    ['training', 'supported', 'second', 'unsupported']
    """
    if language in training_languages:
        return "training"
    return next((group for group, known in zip(("supported", "second"), known_languages, strict=False) if language in known), "unsupported")


def by_language(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by language, if there is one row per language."""
    return {row["language"]: row for row in rows}


def ungrouped(lines: Iterable[Line]) -> list[tuple[str, Line | None, list[Line]]]:
    """The single body of a table without groups."""
    return [("", None, list(lines))]


def format_cell(value: Any, kind: str) -> str:
    """A cell as text without control characters, at most 300 characters long; a dash for null.

    >>> [format_cell(1234, "count"), format_cell(0.5, "share"), format_cell(0.123, "percent"), format_cell((0.1, 0.25), "interval"), format_cell(90, "seconds")]
    ['1,234', '0.500', '12 %', '0.100 – 0.250', '1 min 30 s']
    >>> format_cell(None, "count")
    '–'
    """
    if value is None or value == "":
        return "–"
    if kind in _FORMATS:
        return _FORMATS[kind](value)
    text = "".join(c for c in str(value) if unicodedata.category(c) != "Cc")
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"


def sort_value(value: Any, kind: str) -> str:
    """The sort key of a cell, empty for null: the number of a (chart, number) cell, the lower end of an interval."""
    key = value[kind == "chart"] if kind in ("chart", "interval") and value is not None else value
    return "" if key is None else str(key)


def _seconds(value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{value:.1f} s"


_FORMATS: dict[str, Callable[[Any], str]] = {
    "count": "{:,}".format,
    "whole": "{:,.0f}".format,
    "decimal": "{:,.2f}".format,
    "share": "{:.3f}".format,
    "points": "{:+.3f}".format,
    "percent": lambda value: f"{100 * value:.0f} %",
    "heat": lambda value: f"{100 * value:.0f}",
    "interval": lambda value: f"{value[0]:.3f} – {value[1]:.3f}",
    "seconds": _seconds,
}
