"""JSON as parts of a source, each record judged alone: every value that the settings map is read as text, and no other value is read.

JSON lines in UTF-8 are read line by line. A file that is one JSON array, has records over several lines or another encoding is read
whole by a worker, up to a limit, and its records follow the same way from there.

Why no schema of Spark's: it infers one type for a column from all rows, so one odd row changes the values of all others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.session import require_workers
from xlclass.lake.source_columns import LISTS, Part, SourceColumn, mapped_columns, typed_columns
from xlclass.lake.source_files import Head, literal_pattern
from xlclass.lake.source_values import field

_MAX_WHOLE_BYTES = 1 << 29
_UNREADABLE = "the text of a record that cannot be parsed"  # a field's name for Spark, which no record's key can fill
_LIST, _OBJECT = T.ArrayType(T.StringType()), T.MapType(T.StringType(), T.StringType())
_LONE_SURROGATE = r"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]"  # half a character, which JSON allows


def json_parts(spark: SparkSession, heads: Sequence[Head], settings: SourceSettings, folder: str | None) -> list[Part]:
    """The parts of a source of JSON files; `folder` holds the folders of partitions, if there are any.

    Raises:
        SourceError: no record has a key that the settings name, or a file that must be read whole is too large.
    """
    by_encoding: dict[str | None, list[str]] = {}
    for head in heads:
        by_encoding.setdefault(_encoding_if_whole(head, settings), []).append(head.file.path)
    keys = Counter(key for head in heads for key in _keys(head, settings))
    roots = _roots(keys, any(head.is_cut for head in heads), settings)
    reader = spark.read.option("basePath", folder) if folder else spark.read
    parts = []
    for encoding, paths in by_encoding.items():
        patterns = [literal_pattern(path) for path in paths]
        if encoding is None:
            lines, is_undecodable = reader.text(patterns).where(F.rlike("value", F.lit(r"\S"))), ~F.is_valid_utf8("value")
        else:
            require_workers(spark)
            files, is_undecodable = reader.text(patterns, wholetext=True), F.contains(F.col("value"), F.lit("\ufffd"))
            lines = files.withColumn("value", F.explode(_records_udf(encoding)(F.col("value").cast("binary"))))
        parts.append(_Reader(settings, roots, keys, paths[0]).part(lines, is_undecodable))
    return parts


def _encoding_if_whole(head: Head, settings: SourceSettings) -> str | None:
    """The encoding of a file that must be read whole; null if it is JSON lines in UTF-8."""
    encoding, lines = head.encoding(settings.encoding), head.text(settings.encoding).lstrip().splitlines()
    is_indented = len(lines) > 1 and not lines[0].rstrip().endswith("}") and not lines[1].lstrip().startswith("{")
    if encoding.lower() in ("utf-8", "utf8") and lines and not lines[0].startswith("[") and not is_indented:
        return None
    if head.file.size > _MAX_WHOLE_BYTES:
        kind = "a JSON array" if lines and lines[0].startswith("[") else "indented JSON" if is_indented else f"JSON in {encoding}"
        raise SourceError(
            f"source.path: {head.file.path} is {kind} of {head.file.size:,} bytes, which must be read whole, up to {_MAX_WHOLE_BYTES:,} bytes: "
            "write one record a line, in UTF-8 (jq -c '.[]' FILE)"
        )
    return encoding


def records(content: bytes, encoding: str) -> Iterator[tuple[str, Any]]:
    """The records in a file, as text and value: one JSON array, or values after one another, over any number of lines.

    Where something is no JSON, the rest of its line is one record, with null as its value.
    """
    text, decoder = content.decode(encoding, errors="replace").removeprefix("\ufeff"), json.JSONDecoder()
    position = _next_value(text, 0)
    if text.startswith("[", position):
        position = _next_value(text, position + 1)
    while position < len(text):
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            line_end = text.find("\n", position)
            value, end = None, len(text) if line_end < 0 else line_end
        if text[position:end].strip(" \t\r\n,]"):
            yield text[position:end], value
        position = _next_value(text, end)


def _next_value(text: str, position: int) -> int:
    """The position of the next character that is no white space and no comma."""
    while position < len(text) and text[position] in " \t\r\n,":
        position += 1
    return position


def _records_udf(encoding: str):  # type: ignore[no-untyped-def]
    @F.pandas_udf("array<string>")
    def records_of(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in contents:
            yield batch.map(lambda content: [text for text, _ in records(content, encoding)])

    return records_of


def _roots(keys: Counter[str], may_come: bool, settings: SourceSettings) -> dict[str, str]:
    """The key of a record at which the column of each field begins, by field; a key that the heads lack may come in the rest of the files.

    Of several keys it is the one that most records have: one record with the key "snippet.title", or "Title" for "title", decides nothing.
    """
    roots = {}
    for name, source_name in asdict(settings.columns).items():
        beginnings = _beginnings(source_name)
        possible = [key for key in keys if key.lower() in map(str.lower, beginnings)]
        known = max(possible, key=lambda key: (keys[key], key in beginnings, len(key)), default=None)
        if source_name and (known or may_come or not keys):
            roots[name] = known or beginnings[-1]
    return roots


def _beginnings(source_name: str) -> list[str]:
    """The keys at which a dotted path may begin, longest first.

    >>> _beginnings("snippet.title")
    ['snippet.title', 'snippet']
    """
    words = source_name.split(".")
    return [".".join(words[:end]) for end in range(len(words), 0, -1)]


def _keys(head: Head, settings: SourceSettings) -> Iterator[str]:
    """The keys of the records in the head; those that cannot be parsed have none."""
    for _, value in records(head.content, head.encoding(settings.encoding)):
        yield from value if isinstance(value, dict) else ()


@dataclass(frozen=True)
class _Reader:
    """Reads the values that the settings map from the records of some files; `roots` is the key at which each field's column begins."""

    settings: SourceSettings
    roots: Mapping[str, str]
    keys: Collection[str]
    place: str

    def part(self, lines: DataFrame, is_undecodable: Column) -> Part:
        """`lines` have a record as `value`, and the columns of partition folders."""
        roots = list(dict.fromkeys(self.roots.values()))
        schema = T.StructType([T.StructField(key, T.StringType()) for key in (*roots, _UNREADABLE)])
        parsed = F.from_json(F.make_valid_utf8("value"), schema, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _UNREADABLE})
        rows = lines.withColumn("parsed", parsed).select("*", *(F.col("parsed").getField(key).alias(f"_{i}") for i, key in enumerate(schema.names)))
        taken = {key.lower() for source_name in asdict(self.settings.columns).values() for key in _beginnings(source_name)}
        read = {key: SourceColumn(F.col(f"_{i}"), T.StringType()) for i, key in enumerate(roots)}
        unread = SourceColumn(F.lit(None).cast("string"), T.StringType())  # for the message about a missing key
        available = {key: read.get(key, unread) for key in self.keys if key in read or key.lower() not in taken} | read
        available |= typed_columns(T.StructType([field for field in lines.schema if field.name != "value"]))  # partition folders
        columns = mapped_columns(available, self.settings, self.place)
        return Part(
            self.settings,
            *self._with_inner(rows.drop("parsed"), columns),
            record=F.make_valid_utf8("value"),
            is_unreadable=F.isnotnull(F.col(f"_{len(roots)}")) | _has_rest(F.col("value")),
            is_undecodable=is_undecodable | _has_half_characters(F.col("value")),
            is_container={name: self._is_container(name, source) for name, source in columns.items() if name not in LISTS and name in self.roots},
        )

    def _with_inner(self, rows: DataFrame, columns: Mapping[str, SourceColumn]) -> tuple[DataFrame, dict[str, SourceColumn]]:
        """The rows and columns, so that an object that holds several fields is parsed once."""
        inner: dict[str, list[str]] = {}
        for name, source in columns.items():
            if source.path and name not in LISTS:
                inner.setdefault(self.roots[name], []).append(name)
        columns = dict(columns)
        for number, names in enumerate(names for names in inner.values() if len(names) > 1):
            keys = list(dict.fromkeys(columns[name].path[0] for name in names))
            kind = T.StructType([T.StructField(key, T.StringType()) for key in keys])
            rows = rows.withColumn(f"inner{number}", F.from_json(columns[names[0]].column, kind))
            for name in names:
                path = columns[name].path
                columns[name] = SourceColumn(F.col(f"inner{number}").getField(path[0]), T.StringType(), path[1:])
        return rows, columns

    def _is_container(self, name: str, source: SourceColumn) -> Column:
        """Whether the field's value is an object or a list: only a value that looks like one is parsed once more."""
        value, around = reduce(field, source.path, source.column), F.col("value")
        *path, key = (self.roots[name], *self.settings_path(name))
        around = reduce(field, path, around)
        as_list, as_object = (F.from_json(around, T.StructType([T.StructField(key, kind)])).getField(key) for kind in (_LIST, _OBJECT))
        looks_like_one = F.startswith(value, F.lit("[")) | F.startswith(value, F.lit("{"))
        return F.when(looks_like_one, F.isnotnull(as_list) | F.isnotnull(as_object))

    def settings_path(self, name: str) -> tuple[str, ...]:
        """The keys that lead from the field's root to its value."""
        source_name, root = getattr(self.settings.columns, name), self.roots[name]
        return tuple(source_name[len(root) + 1 :].split(".")) if len(source_name) > len(root) else ()


def _has_rest(line: Column) -> Column:
    """Whether something follows the record on its line, such as a second record, which Spark would drop."""
    may_have = ~F.rlike(line, F.lit(r"\}\s*$")) | F.contains(line, F.lit("}{")) | F.contains(line, F.lit("} {")) | F.contains(line, F.lit("},{"))
    return F.when(may_have, F.isnull(F.from_json(F.concat(F.lit("["), line, F.lit("]")), "array<string>"))).otherwise(F.lit(False))


def _has_half_characters(line: Column) -> Column:
    escapes = F.contains(line, F.lit("\\ud")) | F.contains(line, F.lit("\\uD"))
    return F.when(escapes, F.rlike(line, F.lit(_LONE_SURROGATE))).otherwise(F.lit(False))
