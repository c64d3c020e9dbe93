"""Text and tables for a terminal; text of users is hostile there, because it may contain commands for the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need them
_WIDE = ("W", "F")


def printable(text: str, limit: int = 200) -> str:
    r"""`text` in one line of at most `limit` characters; controls, line ends and changes of direction are escaped.

    >>> printable("a\x1b[2Jb\nc\u202e"), printable("abcdef", limit=4)
    ('a\\x1b[2Jb\\nc\\u202e', 'abc…')
    """
    shortened = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode("ascii") for c in shortened)


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """A table in aligned columns below its `head`; the columns named in `right` are aligned to the right.

    >>> print(format_table(["job", "rows"], [["train", "5"], ["語", "1,512"]], right=["rows"]))
    job     rows
    train      5
    語     1,512
    """
    widths = [max(_width(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [_padded(cell, width, name in right) for cell, width, name in zip(row, widths, head, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def format_seconds(seconds: float) -> str:
    """A duration in its two largest units.

    >>> format_seconds(4.25), format_seconds(192), format_seconds(7_530), format_seconds(200_000)
    ('4.2 s', '3 min 12 s', '2 h 5 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, remainder = divmod(round(seconds), 60)
    hours = minutes // 60
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {remainder} s"


def _padded(cell: str, width: int, is_right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if is_right else cell + space


def _width(text: str) -> int:
    """The number of a terminal's columns that `text` occupies."""
    return sum(0 if unicodedata.combining(c) or c in _JOINERS else 2 if unicodedata.east_asian_width(c) in _WIDE else 1 for c in text)
