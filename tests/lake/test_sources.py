"""The catalogue in every format, as rows of one schema."""

import dataclasses
from datetime import datetime

import pytest
from conftest import VIDEOS, write_catalogue

from xlclass.config import Columns, SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.sources import read_catalogue

COLUMNS = Columns(tags="tags", description="description", channel_id="channel", language="language", labels="labels", updated_at="updated_at")


def _settings(settings_in, folder, path, **changes):
    source = dataclasses.replace(SourceSettings(str(path), columns=COLUMNS), **changes)
    return dataclasses.replace(settings_in(folder), source=source)


def _contents(catalogue):
    return sorted(map(str, (row.asDict() for row in catalogue.rows.drop("row", "row_digest").collect())))


def test_read_catalogue_gives_the_same_rows_from_every_format(spark, settings_in, tmp_path):
    lines = write_catalogue(tmp_path, VIDEOS)
    expected = _contents(read_catalogue(spark, _settings(settings_in, tmp_path, lines)))
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
            assert _contents(read_catalogue(spark, _settings(settings_in, tmp_path, path, **changes))) == expected
    finally:
        spark.sql("DROP TABLE catalogue_of_test")


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


def test_read_catalogue_refuses_a_missing_path(spark, settings_in, tmp_path):
    with pytest.raises(SourceError, match="source.path: cannot read .*nowhere.parquet as parquet"):
        read_catalogue(spark, _settings(settings_in, tmp_path, tmp_path / "nowhere.parquet"))


def test_version_changes_if_the_files_change(spark, settings_in, tmp_path):
    settings = _settings(settings_in, tmp_path, write_catalogue(tmp_path, VIDEOS))
    before = read_catalogue(spark, settings).version
    assert read_catalogue(spark, settings).version == before
    write_catalogue(tmp_path, VIDEOS[:-1])
    assert read_catalogue(spark, settings).version != before
