"""Tables read by the names of their files: the rows are Delta's, whatever feature of Delta a table uses."""

from pathlib import Path

import pytest
from delta.tables import DeltaTable

from xlclass.lake import table_files
from xlclass.lake.table_files import read_rows


def _same_rows(spark, path):
    rows, by_delta = read_rows(spark, path), spark.read.format("delta").load(path)
    assert rows.schema == by_delta.schema
    assert sorted(map(tuple, rows.collect())) == sorted(map(tuple, by_delta.collect()))
    return rows


@pytest.fixture
def path(spark, tmp_path):
    """A table after an append, an update, a deletion, and a column that was added later."""
    place = str(tmp_path / "table")
    spark.range(10).selectExpr("id", "cast(id AS string) AS name").write.format("delta").save(place)
    spark.range(10, 20).selectExpr("id", "'new' AS name", "id / 2 AS half").write.format("delta").mode("append").option("mergeSchema", "true").save(place)
    table = DeltaTable.forPath(spark, place)
    table.update("id = 3", {"name": "'three'"})
    table.delete("id = 12")
    return place


def test_read_rows_gives_deltas_rows_by_the_names_of_the_files(spark, path):
    assert _same_rows(spark, path).count() == 19
    names, delta_names = ({Path(file).name for file in rows.inputFiles()} for rows in (read_rows(spark, path), spark.read.format("delta").load(path)))
    assert names == delta_names


def test_read_rows_keeps_the_version_that_it_read(spark, path):
    rows = read_rows(spark, path)
    DeltaTable.forPath(spark, path).delete("id > 5")
    assert rows.count() == 19
    assert read_rows(spark, path).count() == 6


def test_read_rows_leaves_other_tables_to_delta(spark, tmp_path, monkeypatch):
    """By the files alone, deleted rows would appear again, and partitions and renamed columns would be null."""
    deletions, renamed, partitioned, empty = (str(tmp_path / name) for name in ("deletions", "renamed", "partitioned", "empty"))
    vectors, mapping = {"delta.enableDeletionVectors": "true"}, {"delta.columnMapping.mode": "name"}
    for place, properties in ((deletions, vectors), (renamed, mapping)):
        spark.range(9).coalesce(1).write.format("delta").options(**properties).save(place)
    DeltaTable.forPath(spark, deletions).delete("id = 4")
    spark.sql(f"ALTER TABLE delta.`{renamed}` RENAME COLUMN id TO number")
    spark.range(9).selectExpr("id", "id % 2 AS part").write.format("delta").partitionBy("part").save(partitioned)
    spark.range(0).write.format("delta").save(empty)
    for place in (deletions, renamed, partitioned, empty):
        _same_rows(spark, place)
    monkeypatch.setattr(table_files, "_MAX_FILES", 0)
    _same_rows(spark, partitioned)
