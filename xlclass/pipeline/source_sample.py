"""A sample of a source as it will be read: how full each column is, some of its values, and how many labels the taxonomy knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import Column, Row
from pyspark.sql import functions as F

from xlclass.lake.source_columns import LISTS
from xlclass.pipeline.changes import Input
from xlclass.runtime.terminal import printable

_NUM_EXAMPLES, _EXAMPLE_CHARACTERS = 3, 40


@dataclass(frozen=True)
class ColumnSample:
    """A field, the source's column for it, the shares of rows that have a value or one of a wrong type, and different values as they will be read."""

    field: str
    column: str
    filled: float
    mistyped: float
    examples: tuple[str, ...]


@dataclass(frozen=True)
class SourceSample:
    """Rows of a source that were read as a sample: their number, the rules that they broke, the columns, and the labels by whether they are known."""

    num_rows: int
    rules: dict[str, int]
    columns: tuple[ColumnSample, ...]
    known_labels: frozenset[str]
    unknown_labels: tuple[str, ...]


def sample_source(source: Input, num_rows: int) -> SourceSample:
    """A sample of the source's first rows."""
    mapped = {name: column for name, column in asdict(source.catalogue.settings.columns).items() if column}
    ruled = source.ruled(source.rows().limit(num_rows))
    rows = ruled.select("rule", "warnings", "wrong_types", *(_shortened(name).alias(name) for name in mapped)).collect()
    rules = Counter(rule for row in rows for rule in ([row["rule"]] if row["rule"] else row["warnings"]))
    columns = tuple(_column_sample(name, column, rows) for name, column in mapped.items())
    labels = Counter(label for row in rows for label in (row["labels"] or ())) if "labels" in mapped else Counter()
    known = frozenset(label for label in labels if label in source.taxonomy.aliases)
    return SourceSample(len(rows), dict(rules), columns, known, tuple(label for label, _ in labels.most_common() if label not in known))


def _shortened(name: str) -> Column:
    """The column, short enough to be collected for many rows."""
    if name in LISTS:
        return F.slice(name, 1, 20)
    return F.substring(F.col(name).cast("string"), 1, _EXAMPLE_CHARACTERS + 1)


def _column_sample(name: str, column: str, rows: Sequence[Row]) -> ColumnSample:
    filled = [row[name] for row in rows if row[name] is not None and row[name] != []]
    mistyped = [row for row in rows if name in row["wrong_types"]]
    examples = list(dict.fromkeys(_shown(value) for value in filled))[:_NUM_EXAMPLES]
    return ColumnSample(name, column, len(filled) / max(1, len(rows)), len(mistyped) / max(1, len(rows)), tuple(examples))


def _shown(value: Any) -> str:
    return printable(", ".join(map(str, value)) if isinstance(value, list) else str(value), _EXAMPLE_CHARACTERS)
