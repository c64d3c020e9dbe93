"""Values of a source as texts, numbers, times and lists: what a person would read in the file, in every format."""

import itertools
from datetime import date, datetime
from decimal import Decimal

import pytest
from pyspark.sql import types as T

from xlclass.config import SourceSettings
from xlclass.lake import source_values

MISSING = SourceSettings("x").missing
_TEXT = T.StringType()


@pytest.fixture(scope="module")
def given(spark):
    """The results of steps on a column of this type with these values."""

    def give(kind, values, steps):
        rows = spark.createDataFrame([(i, value) for i, value in enumerate(values)], T.StructType().add("i", T.LongType()).add("v", kind)).coalesce(1)
        for step in steps:
            rows = rows.withColumn("v", step(rows.v))
        results = {row[0]: row[1] for row in rows.collect()}
        return [results[i] for i in range(len(values))]

    return give


def _texts(kind):
    return source_values.text_steps(kind, (), MISSING)


def _times(kind):
    return [*source_values.time_steps(kind, (), MISSING), lambda value: value.getField("time")]


def _lists(path=()):
    return source_values.text_list_steps(path, "|", MISSING)


def test_text_trims_every_kind_of_white_space_and_knows_what_is_missing(given):
    texts = {
        "a title": "a title",
        "  \t a\u00a0 b \u3000\r\n": "a\u00a0 b",
        "\ufeffx\u200b": "x",
        "": None,
        " \u2003 ": None,
        "NaN": None,
        "null": None,
        "None": None,
        "n/a": None,
        " [None] ": None,
        '"NaN"': None,
        "Nan bread": "Nan bread",
        "none of it": "none of it",
        "0": "0",
        "10.0": "10.0",
        "\x1c\x85y": "y",
    }
    assert given(T.StringType(), texts, _texts(T.StringType())) == list(texts.values())


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (T.DoubleType(), [10.0, 1.5, float("nan"), float("inf"), None, 1e300], ["10", "1.5", None, None, None, "1.0E300"]),
        (T.DecimalType(10, 2), [Decimal("10.00"), Decimal("1.50"), None], ["10", "1.50", None]),
        (T.LongType(), [10, None], ["10", None]),
    ],
)
def test_text_of_a_number_has_no_needless_point(given, kind, values, expected):
    assert given(kind, values, _texts(kind)) == expected


def test_a_time_means_the_same_in_every_spelling(given):
    moment = datetime(2017, 11, 14, 17, 13, 1)
    seconds = "1510679581"
    spellings = [
        "2017-11-14T17:13:01Z", "2017-11-14T17:13:01.000Z", "2017-11-14 17:13:01", "2017-11-14T18:13:01+01:00", "2017-11-14T17:13:01+0000",
        " 2017-11-14 17:13:01 UTC ",
        seconds, f"{seconds}.0", f"{seconds}000", f"{seconds}000000", f"{seconds}000000000", "1.510679581E9", "20171114171301",
    ]  # fmt: skip
    assert given(T.StringType(), spellings, _times(T.StringType())) == [moment] * len(spellings)
    days = ["20171114", "2017-11-14", "20171114.0"]
    assert given(T.StringType(), days, _times(T.StringType())) == [datetime(2017, 11, 14)] * 3
    no_times = ["yesterday", "14/11/2017", "20171399", "NaN", "", None, "1e400", "123456789012345678901234567890", "-"]
    assert given(T.StringType(), no_times, _times(T.StringType())) == [None] * len(no_times)
    for kind, value in [(T.LongType(), 1510679581), (T.LongType(), 1510679581000), (T.DoubleType(), 1510679581.0), (T.TimestampType(), moment)]:
        assert given(kind, [value, None], _times(kind)) == [moment, None]
    assert given(T.DateType(), [date(2017, 11, 14)], _times(T.DateType())) == [datetime(2017, 11, 14)]
    assert given(T.IntegerType(), [20171114], _times(T.IntegerType())) == [datetime(2017, 11, 14)]


def test_a_list_is_read_however_it_is_written(given):
    lists = {
        "a|b": ["a", "b"],
        " a | |b|": ["a", "b"],
        "a": ["a"],
        '["a", "b"]': ["a", "b"],
        "['it\\'s', \"b\", None, nan]": ["it's", "b"],
        "[]": None,
        "[none]": None,
        "[Official]|music": ["[Official]", "music"],
        'last week|"john of the west"|"late show"': ["last week", "john of the west", "late show"],
        "[1, 2.5, NaN]": ["1", "2.5"],
        "a|N/A|b": ["a", "b"],
        "": None,
        "nan": None,
        "['a', 'b|c']": ["a", "b|c"],
        '["a"': ['["a"'],
        "a\u00a0|b": ["a", "b"],
    }
    assert [tuple(row) for row in given(T.StringType(), lists, _lists())] == [(parts, False) for parts in lists.values()]


def test_a_list_of_objects_is_read_at_its_path_and_odd_without_it(given):
    objects = [
        '[{"name": "cats", "id": 7}, {"name": "dogs"}]',
        "[{'id': 1, 'name': 'Action'}]",
        '{"name": "cats"}',
        "[]",
        None,
        '[{"other": 1}]',
        '["a", "b"]',
        "cats",
    ]
    at_path = given(T.StringType(), objects, _lists(path=("name",)))
    assert [row["parts"] for row in at_path] == [["cats", "dogs"], ["Action"], ["cats"], None, None, None, None, None]
    assert [row["is_odd"] for row in at_path[:6]] == [False, False, False, False, False, True]
    without = given(T.StringType(), objects[:5], _lists())
    assert [tuple(row) for row in without] == [(None, True), (None, True), (None, True), (None, False), (None, False)]
    assert given(T.StringType(), ['{"tags": ["a", "b"]}'], _lists(path=("tags",)))[0]["parts"] == ["a", "b"]


def test_a_vector_keeps_the_place_of_what_is_no_number(given):
    texts = {"0.5|-1e2|3": [0.5, -100.0, 3.0], "[1, null, 3]": [1.0, None, 3.0], "1||x": [1.0, None, None], "": None, None: None}
    assert [row and row["parts"] for row in given(_TEXT, list(texts), source_values.vector_steps(_TEXT, (), "|"))] == list(texts.values())
    doubles = T.ArrayType(T.DoubleType())
    assert given(doubles, [[0.5, None, 1e300], [], None], source_values.vector_steps(doubles, (), "|")) == [[0.5, None, float("inf")], [], None]


def test_a_typed_list_is_right_for_every_short_list(given):
    """Every list of at most three of these parts; two of them contain the separator with which the parts are joined for the check."""
    parts = [None, "", " ", "a", " b", "c\u00a0", "d e", "\x1e", '"q"', "\x1d f", "é", "NaN"]
    lists = [None, *(list(chosen) for length in range(4) for chosen in itertools.product(parts, repeat=length))]

    def expected(values):
        return [part.strip(source_values.SPACES).strip('"') for part in values if part and part.strip(source_values.SPACES) not in ("", "NaN")] or None

    found = given(T.ArrayType(T.StringType()), lists, source_values.list_steps(T.ArrayType(_TEXT), MISSING))
    assert found == [None if values is None else expected(values) for values in lists]
