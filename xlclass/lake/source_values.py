"""Values of a source converted to text, numbers, times and lists, as Spark expressions that judge each row alone.

A value means the same in every format: CSV and JSON give texts, Parquet and Delta typed columns, and a text is treated like the typed
value that it spells. A value that says that there is none (`source.missing`) is null.

Why a conversion is a list of steps, each applied in a projection of its own: Spark expressions have no local variables, and an
expression that uses its argument four times, nested thrice, is computed and compiled 64 times. A projection costs 20 ms, so steps are few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from pyspark.sql import Column
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


def text_steps(kind: T.DataType, path: Sequence[str], missing: Sequence[str], is_identifier: bool = False) -> list[Step]:
    """Make a text, or a number, valid UTF-8 without white space around it; null if it is missing. A whole number has no decimal point.

    `path` leads into a text that is an object in JSON. Of an identifier, 10.0, which tools make of the number 10 beside missing ones, is 10.
    """
    if not isinstance(kind, T.StringType):
        return [_number_text if isinstance(kind, T.FractionalType) else _as_text]
    return [_valid_at(path), _trimmed, _present(missing, _identifier if is_identifier else None)]


def time_steps(kind: T.DataType, path: Sequence[str], missing: Sequence[str]) -> list[Step]:
    """Make a struct of `time`, a timestamp or null, and `is_given`, whether there is a value; from a timestamp, a date, or a text or number."""
    if isinstance(kind, T.DatetimeType):
        return [lambda column: F.struct(column.cast("timestamp").alias("time"), F.isnotnull(column).alias("is_given"))]
    steps = text_steps(kind, path, missing, is_identifier=True)
    return [*steps, lambda value: F.struct(_time(value).alias("time"), F.isnotnull(value).alias("is_given"))]


def list_steps(kind: T.DataType, missing: Sequence[str], is_identifier: bool = False) -> list[Step]:
    """Make the texts of a typed list, or a list of one number; null if there are none. Missing elements are left out."""
    if not isinstance(kind, T.ArrayType):
        return [*text_steps(kind, (), missing), F.array, _with_joined, _tidied(missing, is_identifier)]
    if isinstance(kind.elementType, T.StringType):
        return [_with_joined, _tidied(missing, is_identifier)]
    as_text = _number_text if isinstance(kind.elementType, T.FractionalType) else _as_text
    return [lambda column: F.transform(column, as_text), _with_joined, _tidied(missing, is_identifier)]


def text_list_steps(path: Sequence[str], delimiter: str, missing: Sequence[str], is_identifier: bool = False) -> list[Step]:
    """Make a struct of `parts`, as `list_steps` gives them, and `is_odd`, whether it holds something else than texts and numbers.

    The text is a list in JSON or Python, or parts between delimiters. With a path its elements are objects, and the path leads to their
    texts: ["name"] for [{"name": "cats"}, ...]; a single object, such as {"tags": ["cats"]}, is read too.
    """
    at_path = [_valid_at(path[:-1]), _objects_as_list(path[-1]), _short_trimmed] if path else [lambda value: _short_trimmed(F.make_valid_utf8(value))]
    tidied = _tidied(missing, is_identifier)

    def result(value: Column) -> Column:
        return F.struct(tidied(value).alias("parts"), value.getField("is_odd").alias("is_odd"))

    return [*at_path, _present(missing), _parsed, _split(delimiter), _with_joined_odd, result]


def vector_steps(kind: T.DataType, path: Sequence[str], delimiter: str) -> list[Step]:
    """Make an array of float of a list, with null for an element that is no number; of a text the struct of `text_list_steps` with it as `parts`."""

    def numbers(parts: Column) -> Column:
        return F.transform(parts, lambda part: part.try_cast("float"))

    def result(value: Column) -> Column:
        return F.struct(numbers(value.getField("parts")).alias("parts"), value.getField("is_odd").alias("is_odd"))

    if isinstance(kind, T.StringType):
        return [_valid_at(path), _short_trimmed, _present(()), _parsed, _split(delimiter), result]
    return [numbers if isinstance(kind, T.ArrayType) else lambda column: numbers(F.array(column))]


def _as_text(column: Column) -> Column:
    return column.cast("string")


def _number_text(column: Column) -> Column:
    number = column.cast("double")
    is_whole = (number % 1 == 0) & (F.abs(number) < 2**53)
    return F.when(is_whole, number.cast("bigint").cast("string")).when(F.abs(number) < float("inf"), column.cast("string"))


def _valid_at(path: Sequence[str]) -> Step:
    """The text at the path inside objects in JSON, as valid UTF-8."""
    return lambda value: F.make_valid_utf8(reduce(field, path, value))


def _trimmed(value: Column) -> Column:
    ends = F.concat(F.substring(value, 1, 1), F.substring(value, -1, 1))  # most texts have none, and trimming reads a text to its end
    return F.when(F.rlike(ends, F.lit(_SPACE)), F.btrim(value, F.lit(SPACES))).otherwise(value)


def _short_trimmed(value: Column) -> Column:
    return F.btrim(value, F.lit(SPACES))


def _present(missing: Sequence[str], then: Step | None = None) -> Step:
    """The text after `then`; null if it is empty or one of the words, in any case, that stand for a missing value."""
    words = ["", *(word.lower() for word in missing), *(word.lower() for word in NOT_NUMBERS)]
    longest = max(len(word.encode()) for word in words)
    return lambda value: F.when(~((F.octet_length(value) <= longest) & F.lower(value).isin(words)), then(value) if then else value)


def _identifier(value: Column) -> Column:
    return F.when(F.endswith(value, F.lit(".0")) & F.rlike(value, F.lit(r"^-?\d+\.0$")), F.substring_index(value, ".", 1)).otherwise(value)


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


def _parsed(value: Column) -> Column:
    """The text as `value`, and as `parsed` the texts of the list in JSON or Python that it is, or null."""
    is_list = F.startswith(value, F.lit("[")) & F.endswith(value, F.lit("]"))
    parsed = F.when(is_list, F.from_json(F.regexp_replace(value, _PYTHON_NOTHING, "null"), "array<string>", _JSON_OPTIONS))
    return F.struct(value.alias("value"), parsed.alias("parsed"))


def _split(delimiter: str) -> Step:
    """The texts of the list, else the parts between delimiters, as `parts`; and `is_odd`."""

    def split(parsed: Column) -> Column:
        value, texts = parsed.getField("value"), parsed.getField("parsed")
        is_object = F.startswith(value, F.lit("{")) & F.isnotnull(F.from_json(value, "map<string,string>", _JSON_OPTIONS))
        may_hold_containers = F.isnotnull(texts) & F.rlike(value, F.lit(_MAY_HOLD_CONTAINERS))
        holds_containers = F.when(may_hold_containers, F.exists(texts, lambda part: F.rlike(part, F.lit(_IN_CONTAINER))))
        is_odd = F.coalesce(is_object, F.lit(False)) | F.coalesce(holds_containers, F.lit(False))
        return F.struct(F.coalesce(texts, F.split(value, "\\Q" + delimiter + "\\E")).alias("parts"), is_odd.alias("is_odd"))

    return split


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


def _with_joined(parts: Column) -> Column:
    """The parts, and as `text` one text of them all between separators; a null part is a space there, which `_tidied` finds."""
    text = F.concat(F.lit(_SEPARATOR), F.array_join(parts, _SEPARATOR, " "), F.lit(_SEPARATOR))
    return F.struct(parts.alias("parts"), text.alias("text"))


def _with_joined_odd(value: Column) -> Column:
    """`_with_joined` of the parts; an odd list has none."""
    parts, is_odd = F.when(~value.getField("is_odd"), value.getField("parts")), value.getField("is_odd")
    return _with_joined(parts).withField("is_odd", is_odd)


def _tidied(missing: Sequence[str], is_identifier: bool) -> Step:
    """The parts as valid UTF-8 without white space and quotes around them, and without missing ones; null if none is left.

    Spark interprets the functions that it applies to each part, and calls `make_valid_utf8` by reflection. So the parts are joined
    and checked once, and only lists that need it take this slow path.
    """
    words = "|".join("\\Q" + word.replace("\\E", "") + "\\E" for word in (*missing, *NOT_NUMBERS))
    after_number = r"(?<=[.]0\x1e)|" if is_identifier else ""
    untidy = rf"\x1e(?:(?<={_EDGE}\x1e)|{after_number}{_EDGE}|\x1e|(?i:{words})\x1e)"
    steps = (F.make_valid_utf8, _short_trimmed, _present(missing), _without_quotes, *([_identifier] if is_identifier else ()))

    def tidied(value: Column) -> Column:
        parts, text = value.getField("parts"), value.getField("text")
        is_tidy = F.is_valid_utf8(text) & ~F.rlike(text, F.lit(untidy))
        tidy = F.filter(reduce(F.transform, steps, parts), lambda part: part != "")
        return F.nullif(F.when(is_tidy, parts).otherwise(tidy), F.array().cast("array<string>"))

    return tidied


def _without_quotes(part: Column) -> Column:
    """A part without double quotes around it, as some exports write tags."""
    is_quoted = F.startswith(part, F.lit('"')) & F.endswith(part, F.lit('"')) & (F.length(part) > 1)
    return F.when(is_quoted, F.btrim(F.substr(part, F.lit(2), F.length(part) - 2), F.lit(SPACES))).otherwise(part)
