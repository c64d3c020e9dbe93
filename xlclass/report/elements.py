"""What a page is made of: sections of tables and charts, and the languages in the order in which all of them show them."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

Row = dict[str, Any]
GROUPS = {"training": "training languages", "known": "other languages the encoder knows", "unknown": "languages it does not know"}
MOST_CARDS = 24  # charts of a section that are seen at once; the others are folded away


@dataclass(frozen=True)
class Column:
    """A column: `kind` says how a cell is shown and sorted, see `shown`."""

    title: str
    kind: str = "text"
    chart: Markup | None = None  # stands in the head, such as a scale


@dataclass(frozen=True)
class Line:
    """A row of a table, about `language` if about one."""

    cells: tuple[Any, ...]
    language: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table; `bodies` are its rows by group: (key, heading or none, rows), sorted each by itself."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    bodies: Sequence[tuple[str, Line | None, Sequence[Line]]]
    folded: bool = False

    @property
    def lines(self) -> list[Line]:
        """All rows, without the headings."""
        return [line for _, _, lines in self.bodies for line in lines]


@dataclass(frozen=True)
class Card:
    """A language's chart with what is written above it."""

    language: str
    chart: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page; `missing` is the sentence that stands there when there is nothing to show."""

    name: str
    title: str
    about: str
    missing: str = ""
    legend: Sequence[tuple[str, str]] = ()  # a mark's class and what it means
    cards: Sequence[Card] = ()
    grids: Sequence[Grid] = ()
    matrix: Any = None


@dataclass(frozen=True)
class About:
    """What the page is about; `categories` are names by id, in order, `times` are UTC."""

    lake: str
    model_version: str
    made_at: str
    training: Sequence[str]
    known: Sequence[str]
    categories: Mapping[str, str]
    evaluated_at: str | None = None
    num_videos: Mapping[str, int] = field(default_factory=dict)  # of each language

    def group(self, language: str) -> str:
        """The key in GROUPS of the group that `language` is in."""
        return "training" if language in self.training else "known" if language in self.known else "unknown"

    def order(self, language: str) -> tuple[int, int, str]:
        """Sorts languages: training languages first, then those that the encoder knows, most videos first."""
        return list(GROUPS).index(self.group(language)), -self.num_videos.get(language, 0), language

    def sorted(self, rows: Iterable[Row]) -> list[Row]:
        """`rows` in the order of their languages."""
        return sorted(rows, key=lambda row: self.order(row["language"]))

    def bodies(self, lines: Iterable[Line], heading: Callable[[str, list[str]], Line] | None = None) -> list[tuple[str, Line | None, list[Line]]]:
        """The lines by group of languages; `heading` makes a group's first line from its name and its languages."""
        ordered = sorted(lines, key=lambda line: self.order(line.language or ""))
        groups = [(key, list(group)) for key, group in itertools.groupby(ordered, lambda line: self.group(line.language or ""))]
        return [(key, heading(f"{GROUPS[key]} ({len(group)})", [line.language or "" for line in group]) if heading else None, group) for key, group in groups]

    def category(self, name: str | None) -> str:
        """A category's name for people; what is no category stays as it is."""
        return self.categories.get(name or "", name or "–")


def by_language(rows: Iterable[Row]) -> dict[str, Row]:
    """Rows by their language, of which each has one."""
    return {row["language"]: row for row in rows}


def plain(lines: Iterable[Line]) -> list[tuple[str, Line | None, list[Line]]]:
    """The bodies of a table without groups."""
    return [("", None, list(lines))]


def shown(value: Any, kind: str) -> str:
    """A cell as text, cut to 300 characters, control characters left out.

    >>> [shown(1234, "count"), shown(0.5, "share"), shown(0.123, "percent"), shown((0.1, 0.25), "interval"), shown(90, "seconds"), shown(None, "count")]
    ['1,234', '0.500', '12 %', '0.100 – 0.250', '1 min 30 s', '–']
    """
    if value is None or value == "":
        return "–"
    if kind in _FORMATS:
        return _FORMATS[kind](value)
    text = "".join(c for c in str(value) if unicodedata.category(c) != "Cc")
    return text if len(text) <= 300 else text[:299] + "…"


def sort_value(value: Any, kind: str) -> str:
    """What a cell is sorted by, empty for nothing; a chart's cell is (chart, number), a range's goes by its start."""
    first = value[kind == "chart"] if kind in ("chart", "interval") and value is not None else value
    return "" if first is None else str(first)


def _seconds(value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{value:.1f} s"


_FORMATS: dict[str, Callable[[Any], str]] = {
    "count": "{:,}".format,
    "share": "{:.3f}".format,
    "points": "{:+.3f}".format,
    "percent": lambda value: f"{100 * value:.0f} %",
    "heat": lambda value: f"{100 * value:.0f}",
    "interval": lambda value: f"{value[0]:.3f} – {value[1]:.3f}",
    "seconds": _seconds,
}
