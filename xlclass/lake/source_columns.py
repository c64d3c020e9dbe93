"""The source's columns converted to the names and types that the program works with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import reduce

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import Settings
from xlclass.errors import SourceError

CORRUPT_COLUMN = "_corrupt_record"  # added by the reader: the text of a row that Spark cannot parse, else null
LINE_COLUMN = "_line"  # added by the reader of JSON lines: the unchanged line
_LISTS = ("tags", "countries", "labels", "visual_vector")
_TEXTS = ("video_id", "title", "description", "channel_id")
_TYPES = {"updated_at": "timestamp", "visual_vector": "array<float>"} | dict.fromkeys(("tags", "countries", "labels"), "array<string>")
_SEPARATOR = "\x1f"  # joins the parts of a list for one check; a part that contains it only takes the slower path
_LONE_SURROGATE = r"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]"  # half a character, which JSON allows


@dataclass(frozen=True)
class _SourceColumn:
    """A column of the source and its type."""

    column: Column
    type: T.DataType


def canonical_columns(raw: DataFrame, settings: Settings) -> list[Column]:
    """All columns of `Catalogue.rows` except row_digest, computed from the source's rows `raw`; video_id comes first.

    Raises:
        SourceError: the source lacks a column that the settings name, or has it in another type.
    """
    names = asdict(settings.source.columns)
    columns = {name: _source_column(raw, source_name, name, settings) for name, source_name in names.items() if source_name}
    row = F.make_valid_utf8(LINE_COLUMN) if LINE_COLUMN in raw.columns else F.to_json(F.struct(*(F.col(f"`{name}`") for name in raw.columns)))
    flags = {
        "unreadable": F.col(CORRUPT_COLUMN).isNotNull() if CORRUPT_COLUMN in raw.columns else F.lit(False),
        "has_time": columns["updated_at"].column.isNotNull() if "updated_at" in columns else F.lit(False),
        "invalid_text": _has_invalid_text(raw, columns),
    }
    values = [_converted(name, columns.get(name), settings.source.delimiter).alias(name) for name in names]
    return [*values, row.alias("row"), *(flag.alias(name) for name, flag in flags.items())]


def canonical_rows(raw: DataFrame, columns: list[Column]) -> DataFrame:
    """`Catalogue.rows` for the source's rows `raw`; `columns` come from `canonical_columns`."""
    return raw.select(*columns).withColumn("row_digest", F.sha2("row", 256))


def _source_column(raw: DataFrame, source_name: str, name: str, settings: Settings) -> _SourceColumn:
    """The column of the source that the settings give for `name`."""
    column = F.col(f"`{source_name}`" if source_name in raw.columns else source_name)
    try:  # only a field of a struct, or a name in another case, needs Spark's analyser, which takes 20 ms
        column_type = raw.schema[source_name].dataType if source_name in raw.columns else raw.select(column).schema[0].dataType
    except PySparkException:
        available = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in raw.schema.fields)
        raise SourceError(f"{settings.file}: source.columns.{name}: the source has no column {source_name}; it has {available}") from None
    is_list = isinstance(column_type, T.ArrayType)
    if isinstance(column_type, T.MapType | T.StructType | T.BinaryType | T.BooleanType) or (is_list and name not in _LISTS):
        expected = ("a list of numbers" if name == "visual_vector" else "text or a list of texts") if name in _LISTS else "text or a number"
        raise SourceError(f"{settings.file}: source.columns.{name}: the column {source_name} is {column_type.simpleString()}; expected {expected}")
    return _SourceColumn(column, column_type)


def _has_invalid_text(raw: DataFrame, columns: dict[str, _SourceColumn]) -> Column:
    """True if the row holds bytes that are not UTF-8, or half a character."""
    if LINE_COLUMN in raw.columns:
        return ~F.is_valid_utf8(LINE_COLUMN) | F.coalesce(F.rlike(LINE_COLUMN, F.lit(_LONE_SURROGATE)), F.lit(False))
    texts = [columns[name].column.cast("string") for name in _TEXTS if name in columns]
    return F.greatest(F.lit(False), *(~F.coalesce(F.is_valid_utf8(text), F.lit(True)) for text in texts))


def _converted(name: str, source: _SourceColumn | None, delimiter: str) -> Column:
    """The source's column in the type of `name`; null if the source lacks it or a value cannot be cast."""
    if source is None:
        return F.lit(None).cast(_TYPES.get(name, "string"))
    if name == "updated_at":
        return source.column.try_cast("timestamp")
    if name in _LISTS:
        parts = _parts(source, delimiter)
        return F.transform(parts, lambda part: part.try_cast("float")) if name == "visual_vector" else _trimmed_parts(parts)
    text = F.make_valid_utf8(source.column.cast("string"))
    return F.nullif(F.trim(text), F.lit("")) if name.endswith("_id") else text  # videos with an empty channel_id do not share a channel


def _parts(source: _SourceColumn, delimiter: str) -> Column:
    """The elements of a list, or of a text with delimiters, as an array of strings."""
    if isinstance(source.type, T.ArrayType):
        return source.column.cast("array<string>")
    return F.split(source.column.cast("string"), "\\Q" + delimiter + "\\E")


def _trimmed_parts(parts: Column) -> Column:
    """The parts of a list as valid UTF-8 without outer spaces; null and empty parts are left out.

    Spark interprets the functions that it applies to each part, and calls `make_valid_utf8` by reflection. So the parts are joined
    and checked once, and only lists that need it take this slow path.
    """
    joined = F.concat(F.lit(_SEPARATOR), F.array_join(parts, _SEPARATOR, " "), F.lit(_SEPARATOR))  # a null part becomes a space, which the check finds
    is_valid = F.is_valid_utf8(joined)
    untrimmed_marks = (_SEPARATOR * 2, _SEPARATOR + " ", " " + _SEPARATOR)
    is_trimmed = ~reduce(Column.__or__, (F.contains(joined, F.lit(mark)) for mark in untrimmed_marks))
    valid_parts = F.when(is_valid, parts).otherwise(F.transform(parts, F.make_valid_utf8))
    trimmed = F.filter(F.transform(valid_parts, lambda part: F.trim(part)), lambda part: part != "")
    return F.when((F.size(parts) == 0) | (is_valid & is_trimmed), parts).otherwise(trimmed)
