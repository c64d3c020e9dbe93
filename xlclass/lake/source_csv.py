"""CSV files as parts of a source: files with the same header, encoding and separators are read together, columns by name.

A quote that is never closed makes one record of all that follows; each of its lines is then an unreadable row, so that they are counted.

Why the line ending is set: Spark otherwise takes that of a file's first line for all its lines. With a line feed a carriage return
before it stays, and is trimmed with the other white space.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.source_columns import Part, SourceColumn, mapped_columns, typed_columns
from xlclass.lake.source_files import Head, java_charset, literal_pattern, name_ending
from xlclass.lake.source_values import SPACES

_UNREADABLE = "_unreadable"  # the text of a row that Spark cannot parse, else null; a file's own columns are named by number
_SEPARATORS = ",;\t|"
_UNDECODABLE = "\ufffd"


@dataclass(frozen=True)
class _Layout:
    """What files must share to be read together: the names of the columns, in order, the encoding, and what separates columns and lines."""

    names: tuple[str, ...]
    encoding: str
    separator: str
    line_end: str


def csv_parts(spark: SparkSession, heads: Sequence[Head], settings: SourceSettings, folder: str | None) -> list[Part]:
    """The parts of a source of CSV files; `folder` holds the folders of partitions, if there are any.

    Raises:
        SourceError: a file lacks a column that the settings name, has it twice, or has no header.
    """
    files: dict[_Layout, list[str]] = {}
    for head in heads:
        files.setdefault(_layout(head, settings), []).append(head.file.path)
    return [_part(spark, layout, paths, settings, folder) for layout, paths in files.items()]


def _layout(head: Head, settings: SourceSettings) -> _Layout:
    text = head.text(settings.encoding)
    separator = settings.separator or ("\t" if name_ending(head.file.path) in (".tsv", ".tab") else ",")
    try:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error as error:
        raise SourceError(f"source.path: the header of {head.file.path} cannot be read as CSV: {error}") from error
    names = tuple(name.strip(SPACES) for name in header)
    if names[:1] and names[0].lower().startswith("sep="):
        raise SourceError(f"source.path: {head.file.path} starts with Excel's line {names[0]!r}: remove it, and set source.separator")
    if not any(names):
        raise SourceError(f"source.path: {head.file.path} starts with an empty line; its first line must name the columns")
    return _Layout(names, head.encoding(settings.encoding), separator, "\n" if "\n" in text or "\r" not in text else "\r")


def _part(spark: SparkSession, layout: _Layout, paths: Sequence[str], settings: SourceSettings, folder: str | None) -> Part:
    options = {
        "header": "true",
        "multiLine": "true",
        "quote": '"',
        "escape": '"',
        "sep": layout.separator,
        "lineSep": layout.line_end,
        "encoding": java_charset(spark, layout.encoding),
        "columnNameOfCorruptRecord": _UNREADABLE,
    }
    fields = [T.StructField(f"_{number}", T.StringType()) for number in range(len(layout.names))]
    schema = T.StructType([*fields, T.StructField(_UNREADABLE, T.StringType())])  # only with a schema does Spark keep rows with too few or too many fields
    reader = spark.read.format("csv").options(**options, **({"basePath": folder} if folder else {})).schema(schema)
    rows = reader.load([literal_pattern(path) for path in paths])
    rows = rows.withColumn(_UNREADABLE, F.explode_outer(F.split(_UNREADABLE, "\n")))
    rows = rows.where(F.coalesce(F.btrim(_UNREADABLE, F.lit(SPACES)) != "", F.lit(True)))  # an empty line is no record
    columns = mapped_columns(_available(rows, layout, paths[0]), settings, _shown(layout, paths[0], settings))
    texts = [source.column for source in columns.values()]
    return Part(
        settings,
        rows,
        columns,
        record=F.coalesce(F.col(_UNREADABLE), F.to_json(F.struct(*(source.column.alias(name) for name, source in columns.items())))),
        is_unreadable=F.col(_UNREADABLE).isNotNull(),
        is_undecodable=F.contains(F.concat_ws("", *texts), F.lit(_UNDECODABLE)),
        is_container={},
    )


def _available(rows: DataFrame, layout: _Layout, path: str) -> Mapping[str, SourceColumn]:
    """The columns by the names in the header, and those of partition folders."""
    available = {}
    for number, name in enumerate(layout.names):
        if name and name in available:
            raise SourceError(f"source.path: {path} has two columns {name}: rename one of them")
        available[name] = SourceColumn(F.col(f"_{number}"), T.StringType())
    partitions = T.StructType(rows.schema.fields[len(layout.names) + 1 :])
    return {name: column for name, column in available.items() if name} | typed_columns(partitions)


def _shown(layout: _Layout, path: str, settings: SourceSettings) -> str:
    """The file in a message; one whose columns are separated by something else has a hint."""
    other = next((mark for mark in _SEPARATORS if len(layout.names) == 1 and mark in layout.names[0]), None)
    return f"{path} (is the separator {other!r}? then set source.separator)" if other and not settings.separator else path
