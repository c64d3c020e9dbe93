"""Maintenance: old rows and leftovers are deleted, everything that may still be needed stays, a second run changes nothing."""

import os
import time
from datetime import UTC, datetime, timedelta

import deltalake
import pytest

from xlclass.errors import LakeError
from xlclass.lake.lease import Lease
from xlclass.lake.maintenance import MaintenanceResult, maintain
from xlclass.lake.staging import Plan, Plans, Rescoring
from xlclass.schemas import MODELS, PREDICTION_LOG, RUNS

NOW = datetime.now(UTC)


def _log(video_id, days):
    return (video_id, "en", "music", 0.9, [("music", 0.9)], "m1", "r1", NOW - timedelta(days=days))


def _run_row(run_id, outcome, source, days):
    moment = NOW - timedelta(days=days)
    return (run_id, "backfill", outcome, None, moment, moment, "{}", "f", source, "1", None, None, None, None, None, [], "0")


def _ids(lake, table):
    return sorted(row[0] for row in lake.read(table).select(table.keys[0]).collect())


def _versions(lake):
    return {table.name: lake.version(table) for table in (PREDICTION_LOG, RUNS) if lake.exists(table)}


def _add_to_log(lake, rows, num_files=1):
    """One commit, by Spark, because delta-rs does not write clustered tables."""
    lake.ensure(PREDICTION_LOG)
    lake.append(PREDICTION_LOG, lake.spark.createDataFrame(lake.spark.sparkContext.parallelize(rows, num_files), lake.read(PREDICTION_LOG).schema))


@pytest.fixture
def old_run(new_run, tmp_path):
    """A run on a lake whose prediction_log has rows that are 400, 364 and 0 days old, each in its own commit."""
    run = new_run(tmp_path)
    for video_id, days in (("old", 400), ("young", 364), ("new", 0)):
        _add_to_log(run.lake, [_log(video_id, days)])
    return run


def test_maintain_deletes_old_rows_of_the_log_and_keeps_new_ones(old_run):
    opened_before = deltalake.DeltaTable(old_run.lake.path(PREDICTION_LOG)).to_pyarrow_dataset()
    result = maintain(old_run)
    assert (result.log_rows, result.run_rows, result.folders, result.files) == (1, 0, 0, 0)
    assert _ids(old_run.lake, PREDICTION_LOG) == ["new", "young"]
    assert sorted(opened_before.to_table(columns=["video_id"])["video_id"].to_pylist()) == ["new", "old", "young"]


def test_maintain_a_second_time_changes_no_table(old_run, new_run):
    maintain(old_run)
    before = _versions(old_run.lake)
    assert maintain(new_run.again(old_run)) == MaintenanceResult(0, 0, 0, 0, 0, 0)
    assert _versions(old_run.lake) == before


def test_maintain_compacts_many_small_files_and_deletes_files_older_than_the_setting(new_run, tmp_path):
    run = new_run(tmp_path, more="[retention]\nfiles_hours = 0\n")
    _add_to_log(run.lake, [_log(f"v{i:02}", 0) for i in range(18)], num_files=18)
    result = maintain(run)
    assert result.tables_compacted == 1
    table = deltalake.DeltaTable(run.lake.path(PREDICTION_LOG))
    assert result.files >= 18
    assert len(list((tmp_path / "lake" / "prediction_log").glob("*.parquet"))) == len(table.file_uris())
    assert _ids(run.lake, PREDICTION_LOG) == [f"v{i:02}" for i in range(18)]
    assert table.to_pyarrow_table().num_rows == 18


def test_maintain_deletes_old_runs_if_the_settings_say_so_but_never_the_last_successful_one_of_a_source(new_run, tmp_path):
    rows = [("a1", "done", "a", 90), ("a2", "done", "a", 80), ("a3", "failed", "a", 70), ("b1", "done", "b", 5), ("n1", "done", None, 90)]
    run = new_run(tmp_path)
    run.lake.append_values(RUNS, [_run_row(*row) for row in rows])
    assert maintain(run).run_rows == 0
    (tmp_path / "settings.toml").write_text((tmp_path / "settings.toml").read_text() + "[retention]\nruns_days = 30\n")
    assert maintain(new_run.again(run)).run_rows == 3
    assert _ids(run.lake, RUNS) == ["a2", "b1"]


def test_maintain_removes_leftovers_of_killed_runs_but_not_the_unfinished_plan(new_run, tmp_path):
    run = new_run(tmp_path)
    lake = tmp_path / "lake"
    row = ("f", {"videos": 1}, 7, {"top1": 0.5}, "d", "r1", NOW, None)
    run.lake.append_values(MODELS, [(1, "registered", "candidate", *row)])
    for name in (
        "_plan/unfinished/pending",
        "_plan/other/pending",
        "_plan/scored/rescored",
        "model_versions/registered",
        "model_versions/unregistered",
        "model_versions/.registered.draft",
        "model_versions/young",
    ):
        (lake / name).mkdir(parents=True)
    for name in ("registered", "unregistered", ".registered.draft"):
        os.utime(lake / "model_versions" / name, (time.time() - 90_000,) * 2)
    plans = Plans(run.lake.spark, run.lake.root)
    plans.begin(Plan("unfinished", {}, 1))
    plans.begin_rescoring(Rescoring("scored", "a"))  # killed: the next run commits what it staged
    assert maintain(run).folders == 3
    assert sorted(path.name for path in (lake / "_plan").iterdir()) == ["plan.json", "rescoring.json", "scored", "unfinished"]
    assert sorted(path.name for path in (lake / "model_versions").iterdir()) == ["registered", "young"]


def test_maintain_deletes_nothing_behind_a_link(new_run, tmp_path):
    run = new_run(tmp_path)
    old = time.time() - 90_000
    for name in ("rows", "models/version"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
    os.utime(tmp_path / "elsewhere" / "models" / "version", (old, old))
    run.lake.append_values(RUNS, [])
    (tmp_path / "lake" / "_plan").mkdir()
    (tmp_path / "lake" / "_plan" / "link").symlink_to(tmp_path / "elsewhere" / "rows")
    (tmp_path / "lake" / "model_versions").symlink_to(tmp_path / "elsewhere" / "models")
    assert maintain(run).folders == 1  # the link itself
    assert sorted(path.name for path in (tmp_path / "elsewhere").rglob("*")) == ["models", "rows", "version"]


def test_maintain_changes_nothing_in_a_lake_that_another_run_holds(old_run):
    with Lease(old_run.lake.root, "other", "backfill", 60), pytest.raises(LakeError, match="is being changed by run other"):
        maintain(old_run)
    assert _ids(old_run.lake, PREDICTION_LOG) == ["new", "old", "young"]


def test_summary_has_every_count():
    assert MaintenanceResult(1_500, 2, 5, 3, 1, 40).summary == (
        "deleted 1,500 rows of prediction_log, 2 rows of runs, 5 vectors of encoders that are no longer used, 3 leftover folders and 40 data files; "
        "tables compacted: 1"
    )
