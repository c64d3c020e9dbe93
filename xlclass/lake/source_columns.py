"""The source's columns converted to the names and types that the program works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import SourceSettings
from xlclass.errors import SourceError
from xlclass.lake import source_values

LISTS = ("tags", "countries", "labels", "visual_vector")
IDENTIFIERS = ("video_id", "channel_id", "labels")
FIELDS = ("video_id", "title", "tags", "description", "channel_id", "language", "countries", "labels", "updated_at", "visual_vector")
_TYPES = {"updated_at": "timestamp", "visual_vector": "array<float>"} | dict.fromkeys(("tags", "countries", "labels"), "array<string>")
_READABLE_TYPES = T.StringType | T.NumericType | T.DatetimeType | T.NullType
_IS_CONTAINER = "_is_container"  # ends the name of a column that tells this of a field
_MAX_LISTED = 30


@dataclass(frozen=True)
class SourceColumn:
    """A column of the source, its type, and the keys that lead on inside it, if it is a text that holds objects in JSON."""

    column: Column
    type: T.DataType
    path: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """Files of a source that have one layout, or all of it: `rows` with the source's `columns` by field, and what else the reader knows of a row.

    `record` is the row as text, for `rejected_videos`. `is_unreadable` marks a row that could not be parsed, `is_undecodable` one with
    bytes that are no text in its encoding. `is_container` tells of a field whether its value in JSON is an object or a list.
    """

    settings: SourceSettings
    rows: DataFrame
    columns: Mapping[str, SourceColumn]
    record: Column
    is_unreadable: Column
    is_undecodable: Column
    is_container: Mapping[str, Column]

    def canonical(self, rows: DataFrame | None = None) -> DataFrame:
        """`Catalogue.rows` of the part, or of `rows` of it."""
        converted = self.rows if rows is None else rows
        for projection in self._projections:
            converted = converted.select(*projection)
        return converted

    def with_video_id(self, rows: DataFrame, name: str) -> DataFrame:
        """`rows` of the part with the video's id, as in `canonical`, under a name."""
        source = self.columns["video_id"]
        rows = rows.withColumn(name, source.column)
        for step in _steps("video_id", source, self.settings):
            rows = rows.withColumn(name, step(F.col(name)))
        return rows

    @cached_property
    def _projections(self) -> list[list[Column]]:
        """The columns of each projection: one for each step, at last the results. To make them takes a thousand calls of the JVM."""
        flags = {"row": self.record, "unreadable": self.is_unreadable, "invalid_text": F.coalesce(self.is_undecodable, F.lit(False))}
        flags |= {f"{name}{_IS_CONTAINER}": F.coalesce(is_container, F.lit(False)) for name, is_container in self.is_container.items()}
        steps = {name: _steps(name, source, self.settings) for name, source in self.columns.items()}
        first = [todo[0](self.columns[name].column).alias(name) for name, todo in steps.items()]
        projections = [[*first, *(column.alias(name) for name, column in flags.items())]]
        for number in range(1, max(map(len, steps.values()))):
            changed = [todo[number](F.col(name)).alias(name) if number < len(todo) else F.col(name) for name, todo in steps.items()]
            projections.append([*changed, *map(F.col, flags)])
        return [*projections, [*self._results(), "row", "unreadable", "invalid_text", F.sha2("row", 256).alias("row_digest")]]

    def _results(self) -> list[Column]:
        """The converted columns, `has_time` and `wrong_types`, from the columns after their steps."""
        values: dict[str, Column] = {}
        wrong_types: dict[str, Column] = {}
        for name in FIELDS:
            value = F.col(name)
            if name not in self.columns:
                values[name] = F.lit(None).cast(_TYPES.get(name, "string"))
            elif name in LISTS:
                is_text = isinstance(self.columns[name].type, T.StringType)
                values[name] = value.getField("parts") if is_text else value
                wrong_types |= {name: value.getField("is_odd")} if is_text else {}
            else:
                values[name] = value.getField("time") if name == "updated_at" else value
            if name in self.is_container:
                wrong_types[name] = F.col(f"{name}{_IS_CONTAINER}")
                values[name] = F.when(~wrong_types[name], values[name])
        has_time = F.col("updated_at").getField("is_given") if "updated_at" in self.columns else F.lit(False)
        wrong = [F.when(is_wrong, F.lit(name)) for name, is_wrong in wrong_types.items()]
        wrong_column = F.array_compact(F.array(*wrong)) if wrong else F.array().cast("array<string>")
        return [*(value.alias(name) for name, value in values.items()), has_time.alias("has_time"), wrong_column.alias("wrong_types")]


def _steps(name: str, source: SourceColumn, settings: SourceSettings) -> list[source_values.Step]:
    """The steps that convert a source's column to the field `name`."""
    kind, path, missing, is_identifier = source.type, source.path, settings.missing, name in IDENTIFIERS
    if name == "updated_at":
        return source_values.time_steps(kind, path, missing)
    if name == "visual_vector":
        return source_values.vector_steps(kind, path, settings.delimiter)
    if name not in LISTS:
        return source_values.text_steps(kind, path, missing, is_identifier)
    if isinstance(kind, T.StringType):
        return source_values.text_list_steps(path, settings.delimiter, missing, is_identifier)
    return source_values.list_steps(kind, missing, is_identifier)


def mapped_columns(available: Mapping[str, SourceColumn], settings: SourceSettings, place: str) -> dict[str, SourceColumn]:
    """The column of each field that the settings map, among those that a file or table has; without those that it may lack.

    Raises:
        SourceError: `place`, which names the file or table, lacks a column, or has it in a type that cannot be read.
    """
    columns = {}
    for name, source_name in asdict(settings.columns).items():
        column = resolve(available, source_name) if source_name else None
        if column:
            columns[name] = column
            _require_type(name, column, source_name, place)
        elif source_name and (settings.missing_columns == "refuse" or name == "video_id"):
            advice = "" if name == "video_id" else ', or set source.missing_columns = "null" to read it without'
            raise SourceError(f"source.columns.{name}: {place} has no column {source_name}; it has {_listed(available)}: correct the name{advice}")
    return columns


def _listed(available: Mapping[str, SourceColumn]) -> str:
    names = [f"{name} ({column.type.simpleString()})" if not isinstance(column.type, T.StringType) else name for name, column in available.items()]
    return ", ".join(names[:_MAX_LISTED]) + (f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else "") or "no columns"


def typed_columns(schema: T.StructType) -> dict[str, SourceColumn]:
    """The columns of a DataFrame of this schema, by name."""
    return {field.name: SourceColumn(F.col(quoted(field.name)), field.dataType) for field in schema}


def resolve(available: Mapping[str, SourceColumn], name: str) -> SourceColumn | None:
    """The column of that name, or to which the dotted path leads; null if there is none. A name in another case is found if it is the only one.

    The path leads into structs, lists of structs, and texts that hold objects in JSON.
    """
    words = name.split(".")
    for end in range(len(words), 0, -1):
        root = named(list(available), ".".join(words[:end]))
        if root is not None:
            return _descend(available[root], tuple(words[end:]))
    return None


def _descend(source: SourceColumn, path: tuple[str, ...]) -> SourceColumn | None:
    """The field to which `path` leads inside the column."""
    if not path or isinstance(source.type, T.StringType):
        return SourceColumn(source.column, source.type, path)
    struct = source.type.elementType if isinstance(source.type, T.ArrayType) else source.type
    key = named(struct.names, path[0]) if isinstance(struct, T.StructType) else None
    if key is None:
        return None
    kind = struct[key].dataType
    return _descend(SourceColumn(source.column.getField(key), T.ArrayType(kind) if isinstance(source.type, T.ArrayType) else kind), path[1:])


def named(names: Sequence[str], name: str) -> str | None:
    """The name among `names`, else the only one that differs from it by case; null if there is none."""
    alike = [other for other in names if other.lower() == name.lower()]
    return name if name in names else alike[0] if len(alike) == 1 else None


def quoted(name: str) -> str:
    """A column's name as Spark's SQL takes it, whatever characters it has."""
    return "`" + name.replace("`", "``") + "`"


def _require_type(name: str, source: SourceColumn, source_name: str, place: str) -> None:
    """Passes if a column of this type can hold the field `name`.

    Raises:
        SourceError: it cannot.
    """
    kind = source.type
    is_list = name in LISTS
    if not isinstance(kind.elementType if isinstance(kind, T.ArrayType) and is_list else kind, _READABLE_TYPES):
        expected = ("a list of numbers" if name == "visual_vector" else "text or a list of texts") if name in LISTS else "text or a number"
        advice = "; a field inside is named with a dot, such as tags.name" if "struct" in kind.simpleString() else ""
        raise SourceError(f"source.columns.{name}: the column {source_name} of {place} is {kind.simpleString()}; expected {expected}{advice}")
