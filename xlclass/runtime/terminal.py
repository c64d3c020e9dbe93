"""Text and tables for a terminal; text from users is hostile there, as it may hold the terminal's own commands."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are written with them
_WIDE = ("W", "F")


def shown(text: str, most: int = 200) -> str:
    r"""`text` in one line of at most `most` characters, what does not print (controls, line ends, turns of direction) escaped.

    >>> shown("a\x1b[2Jb\nc\u202e"), shown("abcdef", most=4)
    ('a\\x1b[2Jb\\nc\\u202e', 'abc…')
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() or c in _JOINERS else c.encode("unicode_escape").decode("ascii") for c in cut)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Rows under their heads, in columns; those named in `right` end together.

    >>> print(table(["job", "rows"], [["train", "5"], ["語", "1,512"]], right=["rows"]))
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


def seconds_text(seconds: float) -> str:
    """A time to read.

    >>> seconds_text(4.25), seconds_text(192), seconds_text(7_530)
    ('4.2 s', '3 min 12 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _padded(cell: str, width: int, is_right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if is_right else cell + space


def _width(text: str) -> int:
    """Columns that a terminal takes for `text`."""
    return sum(0 if unicodedata.combining(c) or c in _JOINERS else 2 if unicodedata.east_asian_width(c) in _WIDE else 1 for c in text)
