"""The catalogue in every format, as rows of one shape."""

import dataclasses
import itertools
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import VIDEOS, write_catalogue

from xlclass.config import Columns, SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.sources import read_catalogue

COLUMNS = Columns(tags="tags", description="description", channel_id="channel", language="language", labels="labels", updated_at="updated_at")


def _settings(settings_in, folder, path, **changes):
    source = dataclasses.replace(SourceSettings(str(path), columns=COLUMNS), **changes)
    return dataclasses.replace(settings_in(folder), source=source)


def _shape(catalogue):
    return sorted(map(str, (row.asDict() for row in catalogue.rows.drop("row", "row_digest").collect())))


def test_read_catalogue_gives_same_rows_from_every_format(spark, settings_in, tmp_path):
    lines = write_catalogue(tmp_path, VIDEOS)
    expected = read_catalogue(spark, _settings(settings_in, tmp_path, lines))
    raw = spark.read.schema(
        "video_id string, title string, tags array<string>, description string, channel string, language string, labels array<string>, updated_at string"
    ).json(str(lines))
    raw.write.parquet(str(tmp_path / "parquet"))
    raw.write.format("delta").save(str(tmp_path / "delta"))
    raw.write.format("delta").saveAsTable("catalogue_of_test", path=str(tmp_path / "named"))
    try:
        for path, changes in [
            (tmp_path / "parquet", {}),
            (tmp_path / "delta", {}),
            (tmp_path / "delta", {"format": "delta"}),
            ("catalogue_of_test", {"format": "table"}),
        ]:
            assert _shape(read_catalogue(spark, _settings(settings_in, tmp_path, path, **changes))) == _shape(expected)
    finally:
        spark.sql("DROP TABLE catalogue_of_test")


def test_read_catalogue_trims_the_parts_of_lists_and_passes_over_those_that_say_nothing(spark, settings_in, tmp_path):
    """Every list of at most three of these; what stands between the parts when they are looked at together is among them."""
    pieces = [None, "", " ", "a", " b", "c ", "d e", "\x1f", "\x1f f", "é"]
    lists = [list(parts) for num in range(4) for parts in itertools.product(pieces, repeat=num)]
    file = tmp_path / "lists.parquet"
    pq.write_table(pa.table({"video_id": [str(i) for i in range(len(lists))], "title": ["t"] * len(lists), "tags": lists}), file)
    rows = read_catalogue(spark, _settings(settings_in, tmp_path, file, columns=Columns(tags="tags"))).rows.select("video_id", "tags").collect()
    expected = [[part.strip(" ") for part in parts if part and part.strip(" ")] for parts in lists]
    assert {int(row["video_id"]): row["tags"] for row in rows} == dict(enumerate(expected))


def test_read_catalogue_reads_csv_with_quotes_newlines_and_delimited_tags(spark, settings_in, tmp_path):
    file = tmp_path / "catalogue.csv"
    file.write_text(
        "video_id,title,tags,description,channel,language,labels,updated_at\n"
        'v1,"says ""hi"", twice",a| b |,"two\nlines",c1,en,Music,2026-01-01 00:00:00\nv2,plain,,,c2,fr,,not a time\n',
        encoding="utf-8",
    )
    rows = {row["video_id"]: row for row in read_catalogue(spark, _settings(settings_in, tmp_path, file)).rows.collect()}
    assert rows["v1"]["title"] == 'says "hi", twice'
    assert rows["v1"]["description"] == "two\nlines"
    assert rows["v1"]["tags"] == ["a", "b"]
    assert rows["v1"]["updated_at"] == datetime(2026, 1, 1)
    assert (rows["v2"]["tags"], rows["v2"]["labels"], rows["v2"]["updated_at"]) == (None, None, None)


def test_read_catalogue_reads_nested_columns_and_numbers(spark, settings_in, tmp_path):
    file = tmp_path / "nested.jsonl"
    file.write_text('{"id": 12, "snippet": {"title": 2026, "tags": ["x"]}}\n{"id": 13, "snippet": {"title": "text"}}\n', encoding="utf-8")
    columns = Columns(video_id="id", title="snippet.title", tags="snippet.tags")
    rows = read_catalogue(spark, _settings(settings_in, tmp_path, file, columns=columns)).rows.orderBy("video_id").collect()
    assert [(row["video_id"], row["title"], row["tags"], row["channel_id"]) for row in rows] == [("12", "2026", ["x"], None), ("13", "text", None, None)]


def test_read_catalogue_names_missing_column_and_what_is_there(spark, settings_in, tmp_path):
    lines = write_catalogue(tmp_path, VIDEOS)
    columns = dataclasses.replace(COLUMNS, title="headline")
    with pytest.raises(SourceError, match=r"settings.toml: source.columns.title: the source has no column headline; it has channel string, .*title string"):
        read_catalogue(spark, _settings(settings_in, tmp_path, lines, columns=columns))


def test_read_catalogue_names_mistyped_column(spark, settings_in, tmp_path):
    lines = write_catalogue(tmp_path, VIDEOS)
    with pytest.raises(SourceError, match="source.columns.title: the column tags is array<string>; expected text or a number"):
        read_catalogue(spark, _settings(settings_in, tmp_path, lines, columns=dataclasses.replace(COLUMNS, title="tags")))


def test_read_catalogue_names_missing_path(spark, settings_in, tmp_path):
    with pytest.raises(SourceError, match="source.path: cannot read .*nowhere.parquet as parquet"):
        read_catalogue(spark, _settings(settings_in, tmp_path, tmp_path / "nowhere.parquet"))


def test_read_catalogue_version_changes_with_the_files(spark, settings_in, tmp_path):
    settings = _settings(settings_in, tmp_path, write_catalogue(tmp_path, VIDEOS))
    before = read_catalogue(spark, settings).version
    assert read_catalogue(spark, settings).version == before
    write_catalogue(tmp_path, VIDEOS[:-1])
    assert read_catalogue(spark, settings).version != before
