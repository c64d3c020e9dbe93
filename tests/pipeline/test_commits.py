"""Slices of videos, committed in one order and exactly once: under an id of their own, and as the batches of a stream."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from pyspark.sql import functions as F
from samples import completed

from xlclass.errors import LakeError
from xlclass.lake.lease import Lease
from xlclass.lake.staging import Plans, change_sums
from xlclass.lake.tables import Lake
from xlclass.pipeline.commits import SliceRows, commit_slice, delete_videos
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS

TABLES = (REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG)
GIVEN = {"text_quality": "ok", "language_source": "declared", "encoder_id": "e", "status": "ok", "rule": "null_video_id"}


@pytest.fixture
def lake(spark, empty_copy):
    return Lake(spark, empty_copy)


@pytest.fixture
def empty_copy(empty_lake, tmp_path):
    import shutil

    return shutil.copytree(empty_lake, tmp_path / "lake").as_posix()


@pytest.fixture
def lease(lake):
    with Lease(lake.root, "r", "test", 60) as lease:
        yield lease


def _staged(lake, table, batch, ids, **columns):
    """Rows of the table by id and whether they are new, staged."""
    rows = lake.spark.createDataFrame(ids, "id string, is_new boolean").withColumnRenamed("id", table.keys[0])
    values = {name: F.lit(value) for name, value in (GIVEN | columns).items() if name in table.names}
    if table is EMBEDDINGS:
        values["encode_key"] = F.struct(*(F.lit(name).alias(name) for name in ("text_hash", "preparation_version", "encoder_id", "part")))
    return Plans(lake.spark, lake.root).stage(completed(rows.withColumns(values), table), change_sums(), "plan", batch, table.name)


def _slice(lake, batch, ids, rejected=()):
    """A slice whose videos have the number of the batch as their title, language and model version."""
    rows = {table: _staged(lake, table, batch, ids, title=f"t{batch}", language=f"l{batch}", model_version=f"m{batch}") for table in TABLES[1:4]}
    return SliceRows(_staged(lake, REJECTED_VIDEOS, batch, rejected) if rejected else None, rows[VIDEOS], rows[EMBEDDINGS], lambda: rows[PREDICTIONS])


def _versions(lake):
    return {table.name: lake.version(table) for table in TABLES}


def _column(lake, table, column):
    return dict(lake.read(table).select(table.keys[0], column).collect())


def _num_ids(lake, table):
    """Ids of commits in the table's log."""
    lines = [json.loads(line) for file in Path(lake.path(table), "_delta_log").glob("*.json") for line in file.read_text().splitlines()]
    return len({line["txn"]["appId"] for line in lines if "txn" in line})


def test_commit_slice_of_an_id_adds_its_rows_once(lake, lease):
    commit_slice(lake, lease, _slice(lake, 0, [("a", True), ("b", True)]), "plan/0")
    rows = _slice(lake, 1, [("a", False), ("c", True)], [("digest", True)])
    assert commit_slice(lake, lease, rows, "plan/1") == set(TABLES)
    expected = {"a": "t1", "b": "t0", "c": "t1"}
    before = _versions(lake)
    for _ in range(2):
        assert _column(lake, VIDEOS, "title") == expected
        assert _column(lake, EMBEDDINGS, "language") == _column(lake, PREDICTIONS, "language") == {"a": "l1", "b": "l0", "c": "l1"}
        assert _column(lake, REJECTED_VIDEOS, "rule") == {"digest": "null_video_id"}
        assert sorted(tuple(row) for row in lake.read(PREDICTION_LOG).select("video_id", "model_version").collect()) == [
            ("a", "m0"), ("a", "m1"), ("b", "m0"), ("c", "m1")
        ]  # fmt: skip
        commit_slice(lake, lease, rows, "plan/1")
        assert _versions(lake) == before


def test_commit_slice_of_a_stream_takes_one_id_and_rising_versions(lake, lease):
    batches = [_slice(lake, 0, [("a", True), ("b", True)]), _slice(lake, 1, [("a", False), ("c", True)]), _slice(lake, 2, [("b", False)])]
    for version, rows in enumerate(batches):
        commit_slice(lake, lease, rows, "stream/s", version)
    expected = {"a": "t1", "b": "t2", "c": "t1"}
    assert _column(lake, VIDEOS, "title") == expected
    before = _versions(lake)
    for version in (2, 1, 0):  # repeated, and late
        commit_slice(lake, lease, batches[version], "stream/s", version)
    assert _versions(lake) == before
    assert _column(lake, VIDEOS, "title") == expected
    assert lake.num_rows(PREDICTION_LOG) == 5
    assert [_num_ids(lake, table) for table in TABLES] == [0, 2, 2, 2, 1]  # one to append and one to merge, however many batches
    assert lake.has_commit(PREDICTION_LOG, "stream/s", 2)
    assert not lake.has_commit(PREDICTION_LOG, "stream/s", 3)


def test_commit_slice_goes_on_where_a_killed_one_stopped(lake, lease, monkeypatch):
    rows, commit = _slice(lake, 0, [("a", True)]), lake.commit

    def killed(table, *arguments):
        if table is EMBEDDINGS:
            raise KeyboardInterrupt
        commit(table, *arguments)

    monkeypatch.setattr(lake, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        commit_slice(lake, lease, rows, "plan/0")
    monkeypatch.undo()
    version = lake.version(VIDEOS)
    commit_slice(lake, lease, rows, "plan/0")
    assert lake.version(VIDEOS) == version
    assert [lake.num_rows(table) for table in TABLES] == [0, 1, 1, 1, 1]


def test_commit_slice_keeps_the_order_of_the_tables_and_scores_beside_the_first():
    done, lake = [], Mock()
    lake.commit.side_effect = lambda table, *_: done.append(table)
    lake.append.side_effect = lambda table, *_: done.append(table)
    staged = Mock(sums={"num_new": 1, "num_changed": 0})

    def scored():
        done.append("scored")
        return staged

    commit_slice(lake, Mock(), SliceRows(staged, staged, staged, scored), "plan/0")
    assert done == [REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, "scored", PREDICTIONS, PREDICTION_LOG]


def test_commit_slice_without_rows_adds_no_version(lake, lease):
    before = _versions(lake)
    assert commit_slice(lake, lease, _slice(lake, 0, []), "plan/0") == set()
    assert commit_slice(lake, lease, SliceRows(), "plan/1") == set()
    assert _versions(lake) == before


def test_commit_slice_writes_nothing_once_the_lease_is_lost(lake, lease):
    rows, before = _slice(lake, 0, [("a", True)]), _versions(lake)
    (Path(lake.root) / "_lease.json").write_text('{"run_id": "another"}')
    with pytest.raises(LakeError, match="was taken over by another run"):
        commit_slice(lake, lease, rows, "plan/0")
    with pytest.raises(LakeError, match="was taken over by another run"):
        delete_videos(lake, lease, rows.videos, "plan/gone")
    assert _versions(lake) == before


def test_delete_videos_takes_predictions_and_vectors_of_every_encoder_along(lake, lease):
    commit_slice(lake, lease, _slice(lake, 0, [("a", True), ("b", True)]), "plan/0")
    commit_slice(lake, lease, SliceRows(embeddings=_staged(lake, EMBEDDINGS, 1, [("a", True), ("b", True)], encoder_id="second")), "plan/1")
    ids = Plans(lake.spark, lake.root).stage(lake.spark.createDataFrame([("a",)], "video_id string"), {}, "plan", "gone")
    assert delete_videos(lake, lease, ids, "plan/gone") == {PREDICTIONS, EMBEDDINGS, VIDEOS}
    before = _versions(lake)
    delete_videos(lake, lease, ids, "plan/gone")
    assert _versions(lake) == before
    assert {row["video_id"] for table in (VIDEOS, PREDICTIONS) for row in lake.read(table).collect()} == {"b"}
    assert sorted(tuple(row) for row in lake.read(EMBEDDINGS).select("video_id", "encoder_id").collect()) == [("b", "e"), ("b", "second")]
