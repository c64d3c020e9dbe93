"""The source's columns in the names and types of the program."""

import itertools
from pathlib import Path

import pytest

from xlclass.config import Columns, LakeSettings, Settings, SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.source_columns import canonical_columns, canonical_rows


def _settings(**names):
    return Settings(SourceSettings("catalogue", columns=Columns(**names)), LakeSettings("lake"), file=Path("settings.toml"))


@pytest.fixture(scope="module")
def raw(spark):
    """A source with a column of each kind that may be named wrongly."""
    return spark.createDataFrame([("v1", "a title", ["a"])], "video_id string, title string, tags array<string>")


def test_canonical_rows_trims_the_parts_of_lists_and_leaves_out_those_without_text(spark):
    """Every list of at most three of these parts; two of them contain the separator with which the parts are joined for the check."""
    parts = [None, "", " ", "a", " b", "c ", "d e", "\x1f", "\x1f f", "é"]
    lists = [None, *(list(chosen) for length in range(4) for chosen in itertools.product(parts, repeat=length))]
    raw = spark.createDataFrame([(str(i), "t", tags) for i, tags in enumerate(lists)], "video_id string, title string, tags array<string>")
    rows = canonical_rows(raw, canonical_columns(raw, _settings(tags="tags"))).select("video_id", "tags").collect()
    expected = [tags if tags is None else [part.strip(" ") for part in tags if part and part.strip(" ")] for tags in lists]
    assert {int(row["video_id"]): row["tags"] for row in rows} == dict(enumerate(expected))


def test_canonical_columns_refuses_a_missing_column_and_lists_those_of_the_source(raw):
    sentence = r"settings.toml: source.columns.title: the source has no column headline; it has video_id string, title string, tags array<string>"
    with pytest.raises(SourceError, match=sentence):
        canonical_columns(raw, _settings(title="headline"))


def test_canonical_columns_refuses_a_column_of_another_type(raw):
    with pytest.raises(SourceError, match="source.columns.title: the column tags is array<string>; expected text or a number"):
        canonical_columns(raw, _settings(title="tags"))
