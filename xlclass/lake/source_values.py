"""Values of a source converted to text, numbers, times and lists, as Spark expressions that judge each row alone.

A value means the same in every format: CSV and JSON give texts, Parquet and Delta typed columns, and a text is treated like the typed
value that it spells. A value that says that there is none (`source.missing`) is null.

Why a conversion is a list of steps, each applied in a projection of its own: Spark expressions have no local variables, and an
expression that uses its argument four times, nested thrice, is computed and compiled 64 times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

Step = Callable[[Column], Column]
NOT_NUMBERS = ('"NaN"', '"Infinity"', '"-Infinity"')  # what Spark makes of a bare NaN in JSON that is read as text
SPACES = "".join(c for c in map(chr, range(0x3001)) if c.isspace()) + "\ufeff\u200b"  # every white space; and two that show as nothing
_SPACE = r"[\s\p{Z}\x1c-\x1f\x85\ufeff\u200b]"  # the same as a regular expression of Java
_EDGE = r'[\s\p{Z}"\x1c\x1d\x1f\x85\ufeff\u200b]'  # white space or a quote
_SEPARATOR = "\x1e"  # joins the parts of a list for one check; a part that contains it only takes the slower path
_JSON_OPTIONS = {"allowBackslashEscapingAnyCharacter": "true"}  # Python writes \' in a list; Spark reads its single quotes anyway
_PYTHON_NOTHING = r"\b(?:None|nan)\b(?=\s*[,\]])"
_MAY_HOLD_CONTAINERS = r"[\[,]\s*[\[{]"
_IN_CONTAINER = r'^(?:\{\s*["}]|\[\s*(?:["\[{\]\d-]|null|true|false))'  # the start of an object or a list, in JSON as Spark writes it


def converted(rows: DataFrame, steps: Mapping[str, Sequence[Step]]) -> DataFrame:
    """The rows with each column after its steps."""
    for number in range(max(map(len, steps.values()))):
        rows = rows.withColumns({name: column_steps[number](F.col(name)) for name, column_steps in steps.items() if number < len(column_steps)})
    return rows


def text_steps(kind: T.DataType, path: Sequence[str], missing: Sequence[str]) -> list[Step]:
    """Make a text, or a number, valid UTF-8 without white space around it; null if it is missing. A whole number has no decimal point.

    `path` leads into a text that is an object in JSON.
    """
    if isinstance(kind, T.StringType):
        return [*_path_steps(path), F.make_valid_utf8, _trimmed, _present(missing)]
    return [_number_text if isinstance(kind, T.FractionalType) else _as_text]


def time_steps(kind: T.DataType, path: Sequence[str], missing: Sequence[str]) -> list[Step]:
    """Make a struct of `time`, a timestamp or null, and `is_given`, whether there is a value; from a timestamp, a date, or a text or number."""
    if isinstance(kind, T.DatetimeType):
        return [lambda column: F.struct(column.cast("timestamp").alias("time"), F.isnotnull(column).alias("is_given"))]
    return [*text_steps(kind, path, missing), identifier, lambda value: F.struct(_time(value).alias("time"), F.isnotnull(value).alias("is_given"))]


def list_steps(kind: T.DataType, path: Sequence[str], delimiter: str, missing: Sequence[str]) -> list[Step]:
    """Make a struct of `parts`, the texts of a list, and `is_odd`, whether it holds something else than texts and numbers.

    A list that is written as a text is in JSON or Python, or has delimiters. With a path its elements are objects, and the path leads
    to their texts: ["name"] for [{"name": "cats"}, ...]; a single object, such as {"tags": ["cats"]}, is read too.
    """
    if isinstance(kind, T.StringType):
        return [F.make_valid_utf8, _present(missing), *_parse_steps(path, delimiter), *_tidy_steps(missing)]
    if not isinstance(kind, T.ArrayType):
        return [*text_steps(kind, path, missing), lambda value: _parts(F.array(value)), *_tidy_steps(missing)]
    if isinstance(kind.elementType, T.StringType):
        return [_parts, *_tidy_steps(missing)]
    as_text = _number_text if isinstance(kind.elementType, T.FractionalType) else _as_text
    return [lambda column: _parts(F.transform(column, as_text)), *_tidy_steps(missing)]


def _parts(parts: Column, is_odd: Column | None = None) -> Column:
    return F.struct(parts.alias("parts"), F.coalesce(F.lit(False) if is_odd is None else is_odd, F.lit(False)).alias("is_odd"))


def _as_text(column: Column) -> Column:
    return column.cast("string")


def _number_text(column: Column) -> Column:
    number = column.cast("double")
    is_whole = (number % 1 == 0) & (F.abs(number) < 2**53)
    return F.when(is_whole, number.cast("bigint").cast("string")).when(F.abs(number) < float("inf"), column.cast("string"))


def _path_steps(path: Sequence[str]) -> list[Step]:
    return [partial(field, key=key) for key in path]


def _trimmed(value: Column) -> Column:
    ends = F.concat(F.substring(value, 1, 1), F.substring(value, -1, 1))  # most texts have none, and trimming reads a text to its end
    return F.when(F.rlike(ends, F.lit(_SPACE)), F.btrim(value, F.lit(SPACES))).otherwise(value)


def _present(missing: Sequence[str]) -> Step:
    """The text; null if it is empty or one of the words, in any case, that stand for a missing value."""
    words = ["", *(word.lower() for word in missing), *(word.lower() for word in NOT_NUMBERS)]
    longest = max(len(word.encode()) for word in words)
    return lambda value: F.when(~((F.octet_length(value) <= longest) & F.lower(value).isin(words)), value)


def identifier(value: Column) -> Column:
    """A text that names something: 10.0, which tools make of the number 10 beside missing ones, is 10."""
    return F.when(F.endswith(value, F.lit("0")) & F.rlike(value, F.lit(r"^-?\d+\.0+$")), F.substring_index(value, ".", 1)).otherwise(value)


def identifiers(value: Column) -> Column:
    """The result of `list_steps` with each part an `identifier`."""
    parts = value.getField("parts")
    ends_in_zero = F.contains(F.concat(F.array_join(parts, _SEPARATOR), F.lit(_SEPARATOR)), F.lit(".0" + _SEPARATOR))
    return _parts(F.when(ends_in_zero, F.transform(parts, identifier)).otherwise(parts), value.getField("is_odd"))


def _time(value: Column) -> Column:
    """ISO 8601, 20171114, 20171114093000, or seconds since 1970 or thousandths, millionths or billionths as a timestamp; else null."""
    number = value.try_cast("double")
    units = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))  # times from 1973 to 5138 in each unit, which do not overlap
    seconds = reduce(lambda otherwise, unit: F.when(F.abs(number) < unit[0], number / unit[1]).otherwise(otherwise), reversed(units), F.lit(None))
    is_number = F.rlike(value, F.lit(r"^[+-]?\d{9,}(?:\.\d+)?$|^[+-]?\d(?:\.\d+)?[eE]\+?\d+$"))
    return (
        F.when(F.rlike(value, F.lit(r"^(?:19|20)\d{6}$")), F.try_to_timestamp(value, F.lit("yyyyMMdd")))
        .when(F.rlike(value, F.lit(r"^(?:19|20)\d{12}$")), F.try_to_timestamp(value, F.lit("yyyyMMddHHmmss")))
        .when(is_number, F.timestamp_seconds(seconds))
        .otherwise(value.try_cast("timestamp"))
    )


def _parse_steps(path: Sequence[str], delimiter: str) -> list[Step]:
    """Make parts of a text: of a list in JSON or Python, or of a text with delimiters."""

    def split(value: Column) -> Column:
        is_list = F.rlike(value, F.lit(r"^\s*\[")) & F.rlike(value, F.lit(r"\]\s*$"))
        parsed = F.when(is_list, F.from_json(F.regexp_replace(value, _PYTHON_NOTHING, "null"), "array<string>", _JSON_OPTIONS))
        return F.struct(value.alias("value"), parsed.alias("parsed"))

    def joined(split_value: Column) -> Column:
        value, parsed = split_value.getField("value"), split_value.getField("parsed")
        is_object = F.when(F.rlike(value, F.lit(r"^\s*\{")), F.isnotnull(F.from_json(value, "map<string,string>", _JSON_OPTIONS)))
        holds_containers = F.when(F.rlike(value, F.lit(_MAY_HOLD_CONTAINERS)), F.exists(parsed, lambda part: F.rlike(part, F.lit(_IN_CONTAINER))))
        parts = F.coalesce(parsed, F.split(value, "\\Q" + delimiter + "\\E"))
        return _parts(parts, F.coalesce(is_object, F.lit(False)) | F.coalesce(holds_containers, F.lit(False)))

    def without_odd(parts: Column) -> Column:
        return _parts(F.when(~parts.getField("is_odd"), parts.getField("parts")), parts.getField("is_odd"))

    return [*(_path_steps(path[:-1]) + [_objects_as_list(path[-1])] if path else []), split, joined, without_odd]


def _objects_as_list(key: str) -> Step:
    """The values under `key` of a list of objects, as a list in JSON; of a single object its value; a list without such values stays, to be found odd."""
    kind = T.ArrayType(T.StructType([T.StructField(key, T.StringType())]))

    def values(value: Column) -> Column:
        found = F.array_compact(F.from_json(value, kind, _JSON_OPTIONS).getField(key))
        of_list = F.when(F.rlike(value, F.lit(r"^\s*\[\s*\{")), F.when(F.size(found) > 0, F.to_json(found)).otherwise(value))
        return F.coalesce(of_list, field(value, key))

    return values


def field(value: Column, key: str) -> Column:
    """The value under `key`, as text, of an object in JSON; null if the text is no object."""
    kind = T.StructType([T.StructField(key, T.StringType())])
    return F.when(F.rlike(value, F.lit(r"^\s*\{")), F.from_json(value, kind, _JSON_OPTIONS).getField(key))


def _tidy_steps(missing: Sequence[str]) -> list[Step]:
    """Make the parts valid UTF-8 without white space and quotes around them, leave out missing ones, and make a list without any null.

    Spark interprets the functions that it applies to each part, and calls `make_valid_utf8` by reflection. So the parts are joined
    and checked once, and only lists that need it take this slow path.
    """
    words = "|".join(_quoted(word) for word in (*missing, *NOT_NUMBERS))
    untidy = rf"\x1e(?:(?<={_EDGE}\x1e)|{_EDGE}|\x1e|(?i:{words})\x1e)"

    def tidy(parts: Column) -> Column:
        for step in (F.make_valid_utf8, lambda part: F.btrim(part, F.lit(SPACES)), _present(missing), _without_quotes):
            parts = F.transform(parts, step)
        return F.filter(parts, lambda part: part != "")

    def joined(value: Column) -> Column:
        # a null part becomes a space, which the check finds
        text = F.concat(F.lit(_SEPARATOR), F.array_join(value.getField("parts"), _SEPARATOR, " "), F.lit(_SEPARATOR))
        return F.struct(value.getField("parts").alias("parts"), value.getField("is_odd").alias("is_odd"), text.alias("text"))

    def tidied(value: Column) -> Column:
        parts, text = value.getField("parts"), value.getField("text")
        is_tidy = F.is_valid_utf8(text) & ~F.rlike(text, F.lit(untidy))
        return _parts(F.when(is_tidy, parts).otherwise(tidy(parts)), value.getField("is_odd"))

    def not_empty(value: Column) -> Column:
        return _parts(F.when(F.size(value.getField("parts")) > 0, value.getField("parts")), value.getField("is_odd"))

    return [joined, tidied, not_empty]


def _without_quotes(part: Column) -> Column:
    """A part without double quotes around it, as some exports write tags."""
    is_quoted = F.startswith(part, F.lit('"')) & F.endswith(part, F.lit('"')) & (F.length(part) > 1)
    return F.when(is_quoted, F.btrim(F.substr(part, F.lit(2), F.length(part) - 2), F.lit(SPACES))).otherwise(part)


def _quoted(word: str) -> str:
    return "\\Q" + word.replace("\\E", "") + "\\E"
