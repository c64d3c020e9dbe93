"""Maintenance of a lake: deletes old rows, leftovers of killed runs and files of old table versions, and compacts small files.

The settings' [retention] says how long things are kept; the lake's lease is held meanwhile. A second run changes no table but `runs`:
rows are deleted only if there are old ones, files compacted only if there are many small ones, and VACUUM makes no commit.

Why files are kept for a week: a reader that opened a version of a table reads its files until it ends, and delta-rs or DuckDB may copy
a table for a long time. The lake does not know its readers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

from xlclass.lake.lease import Lease
from xlclass.lake.notes import remove_within
from xlclass.lake.prediction_log import settle
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.staging import Plans
from xlclass.lake.tables import Lake
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, RUNS, TABLES, Table

log = logging.getLogger(__name__)
_MIN_FOLDER_SECONDS = 24 * 3600  # a younger folder without an event may belong to a training that still runs
_WEEK_HOURS = 168


@dataclass(frozen=True)
class MaintenanceResult:
    """How much one run of maintenance deleted, and how many tables it compacted."""

    log_rows: int
    run_rows: int
    vectors: int
    folders: int
    tables_compacted: int
    files: int

    @property
    def summary(self) -> str:
        """The result as a sentence to print."""
        return (
            f"deleted {self.log_rows:,} rows of prediction_log, {self.run_rows:,} rows of runs, {self.vectors:,} vectors of encoders "
            f"that are no longer used, {self.folders:,} leftover folders "
            f"and {self.files:,} data files; tables compacted: {self.tables_compacted}"
        )


def maintain(run: Run, needed_encoders: Collection[str] = ()) -> MaintenanceResult:
    """Deletes and compacts in this order: old rows, leftovers, small files, files of old versions; earlier steps free files for the last.

    Rows of `embeddings` by encoders that are not among `needed_encoders` are deleted too, unless that is empty.
    Before that it writes the log's rows that a killed run owes; the plan of that run stays.

    Raises:
        LakeError: another run holds the lake.
    """
    lake, retention = run.lake, run.settings.retention
    tables = [table for table in TABLES if lake.exists(table)]
    with Lease(lake.root, run.run_id, run.job, run.settings.backfill.lease_seconds) as lease:
        plans = Plans(lake.spark, lake.root)
        settle(lake, lease, plans, finish_rescoring=False)
        with run.step("old rows") as step:
            log_rows = _delete_rows(lake, PREDICTION_LOG, F.col("predicted_at") < _cutoff(run, retention.log_days)) if retention.log_days else 0
            run_rows = _delete_runs(run) if retention.runs_days else 0
            is_unused = ~F.col("encoder_id").isin(*needed_encoders)
            vectors = _delete_rows(lake, EMBEDDINGS, is_unused) if needed_encoders else 0
            step.num_rows = log_rows + run_rows + vectors
        with run.step("leftovers") as step:
            step.num_rows = num_folders = _remove_staged_rows(lake, plans) + _remove_model_folders(lake)
        with run.step("optimize") as step:
            step.num_rows = num_compacted = sum(map(lake.optimize, tables))
        with run.step("vacuum") as step:
            if retention.files_hours < _WEEK_HOURS:
                log.warning("retention.files_hours is %d: a reader that opened a table earlier than that will fail", retention.files_hours)
            for table in tables:
                lease.check()
                step.num_rows += lake.vacuum(table, retention.files_hours)
    return MaintenanceResult(log_rows, run_rows, vectors, num_folders, num_compacted, step.num_rows)


def _cutoff(run: Run, days: int) -> datetime:
    """The time that many days before the run."""
    return run.started_at - timedelta(days=days)


def _delete_rows(lake: Lake, table: Table, condition: Column) -> int:
    """Deletes the rows that match `condition` and returns their number; commits nothing if there are none."""
    if not lake.exists(table):
        return 0
    num_rows = lake.read(table).where(condition).count()
    if num_rows:
        lake.delete_where(table, condition)
    return num_rows


def _delete_runs(run: Run) -> int:
    """Deletes old runs, but keeps the last successful one of each source: the next run reads the source's change feed from its version on."""
    if not run.lake.exists(RUNS):
        return 0
    newest_first = Window.partitionBy("source").orderBy(F.desc("finished_at"))
    successful = run.lake.read(RUNS).where("outcome = 'done' AND source IS NOT NULL")
    last_of_source = successful.withColumn("place", F.row_number().over(newest_first)).where("place = 1")
    kept = [row["run_id"] for row in last_of_source.select("run_id").collect()]
    return _delete_rows(run.lake, RUNS, (F.col("finished_at") < _cutoff(run, run.settings.retention.runs_days)) & ~F.col("run_id").isin(kept))


def _remove_staged_rows(lake: Lake, plans: Plans) -> int:
    """Removes staged rows that belong to no unfinished plan or rescoring; while the lease is held, no other run stages rows."""
    unfinished_ids = plans.unfinished_ids()
    return _remove(lake, [path for path in _folders(lake, "_plan") if path.name not in unfinished_ids])


def _remove_model_folders(lake: Lake) -> int:
    """Removes folders of model versions without an event, drafts of killed runs included, once they are a day old."""
    names = Registry(lake.root).history().model_versions
    unregistered = [path for path in _folders(lake, "model_versions") if path.name not in names]
    return _remove(lake, [path for path in unregistered if time.time() - path.stat().st_mtime > _MIN_FOLDER_SECONDS])


def _folders(lake: Lake, name: str) -> list[Path]:
    """The folders in a folder of the lake; none if that is a link, because what lies behind a link is not the lake's."""
    parent = Path(lake.root) / name
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() and not parent.is_symlink() else []


def _remove(lake: Lake, folders: list[Path]) -> int:
    for path in folders:
        log.info("removing the leftover folder %s", path)
        remove_within(Path(lake.root), path)
    return len(folders)
