"""A lake kept in order: old rows and files that no reader needs any more, and what killed runs left, removed.

Everything goes by the settings' [retention] and under the lake's lease. A second run changes no table but `runs`: rows are deleted
only where there are old ones, small files joined only where there are many, and VACUUM removes files without a commit.

Why files stay for a week: a reader that opened a table's version before it was changed reads its files until it ends, and a
copy of the table by delta-rs or DuckDB does so without telling anybody.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

from xlclass.lake.lease import Lease
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.staging import Plans
from xlclass.lake.tables import Lake
from xlclass.schemas import PREDICTION_LOG, RUNS, TABLES, Table

log = logging.getLogger(__name__)
_DRAFT_SECONDS = 24 * 3600  # a folder without an event that is younger may be of a training under way
_WEEK_HOURS = 168


@dataclass(frozen=True)
class Tidied:
    """What one run of maintenance removed, and how many tables it wrote anew."""

    log_rows: int
    run_rows: int
    folders: int
    tables_optimized: int
    files: int


def maintain(run: Run) -> Tidied:
    """Deletes old rows and leftovers, joins small files, removes files of old versions; in this order, so that each frees what the next sees.

    Raises:
        LakeError: another run holds the lake.
    """
    lake, keep = run.lake, run.settings.retention
    tables = [table for table in TABLES if lake.exists(table)]
    with Lease(lake.root, run.run_id, run.job, run.settings.backfill.lease_seconds) as lease:
        with run.step("old rows") as step:
            log_rows = _forget(lake, PREDICTION_LOG, F.col("predicted_at") < _before(run, keep.log_days)) if keep.log_days else 0
            run_rows = _forget_runs(run) if keep.runs_days else 0
            step.num_rows = log_rows + run_rows
        with run.step("leftovers") as step:
            step.num_rows = folders = _remove_plans(lake) + _remove_models(lake)
        with run.step("optimize") as step:
            step.num_rows = num_optimized = sum(map(lake.optimize, tables))
        with run.step("vacuum") as step:
            if keep.files_hours < _WEEK_HOURS:
                log.warning("retention.files_hours is %d: a reader that has been at a table for longer than that will fail", keep.files_hours)
            for table in tables:
                lease.check()
                step.num_rows += lake.vacuum(table, keep.files_hours)
    return Tidied(log_rows, run_rows, folders, num_optimized, step.num_rows)


def described(done: Tidied) -> str:
    """What was done, to print."""
    return (
        f"deleted: {done.log_rows:,} rows of prediction_log, {done.run_rows:,} of runs, {done.folders:,} leftover folders, {done.files:,} data files; "
        f"tables written anew: {done.tables_optimized}"
    )


def _before(run: Run, days: int) -> datetime:
    return run.started_at - timedelta(days=days)


def _forget(lake: Lake, table: Table, condition: Column) -> int:
    """Deletes the rows of `condition`, and gives how many they were; without any there is no commit."""
    if not lake.exists(table):
        return 0
    num_old = lake.read(table).where(condition).count()
    if num_old:
        lake.delete_where(table, condition)
    return num_old


def _forget_runs(run: Run) -> int:
    """Old runs go, but for the last that ended well of each source: a source's change feed is read from there."""
    if not run.lake.exists(RUNS):
        return 0
    newest_first = Window.partitionBy("source").orderBy(F.desc("finished_at"))
    done = run.lake.read(RUNS).where("outcome = 'done' AND source IS NOT NULL").withColumn("place", F.row_number().over(newest_first))
    kept = [row["run_id"] for row in done.where("place = 1").select("run_id").collect()]
    return _forget(run.lake, RUNS, (F.col("finished_at") < _before(run, run.settings.retention.runs_days)) & ~F.col("run_id").isin(kept))


def _remove_plans(lake: Lake) -> int:
    """Staged rows of no plan or rescoring that is under way; the lease makes sure that nobody is staging."""
    folder = Path(lake.root) / "_plan"
    kept = Plans(lake.spark, lake.root).unfinished_ids()
    return _removed([path for path in _folders(folder) if path.name not in kept])


def _remove_models(lake: Lake) -> int:
    """Folders of model versions that no event names, and drafts of killed runs, after a day."""
    known = {event.model_version for event in Registry(lake.root).history().events}
    strangers = [path for path in _folders(Path(lake.root) / "model_versions") if path.name not in known]
    return _removed([path for path in strangers if time.time() - path.stat().st_mtime > _DRAFT_SECONDS])


def _folders(parent: Path) -> list[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def _removed(folders: list[Path]) -> int:
    for path in folders:
        log.info("removing %s", path)
        shutil.rmtree(path)
    return len(folders)
