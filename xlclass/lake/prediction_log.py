"""Predictions and their log. The rows of `predictions` are owed to `prediction_log` until they are written, whatever happens between.

A run may be killed between the two commits. Afterwards its rows are up to date, so no later run scores and logs them again. Therefore
whoever takes the lease (backfill, classify, maintenance, a stream) first calls `settle`, before it drops, deletes or scores anything.
"""

from __future__ import annotations

from pyspark.sql import DataFrame

from xlclass.lake.lease import Lease
from xlclass.lake.staging import Plans, Rescoring, Staged, change_sums
from xlclass.lake.tables import Lake
from xlclass.schemas import PREDICTION_LOG, PREDICTIONS


def commit_predictions(lake: Lake, lease: Lease, predictions: Staged, app_id: str, version: int = 1) -> None:
    """Commits staged predictions, which have the sums of `change_sums`, and then their log; Delta skips the commits that are in.

    Raises:
        LakeError: another run took over the lease.
    """
    if predictions.num_rows:
        lease.check()
        lake.commit(PREDICTIONS, predictions, app_id, version)
        _log(lake, lease, predictions.rows(lake.spark), app_id, version)


def end_rescoring(lake: Lake, lease: Lease, plans: Plans, rescoring: Rescoring) -> None:
    """Finishes a recorded rescoring: commits the staged rows and their log, or logs the rows of a table that was replaced as a whole.

    Raises:
        LakeError: another run took over the lease.
    """
    staged = plans.staged(rescoring.rescoring_id, "rescored")
    if staged:
        commit_predictions(lake, lease, staged.summed(lake.spark, change_sums()), rescoring.app_id)
    elif _has_begun(lake, rescoring.app_id):
        _log(lake, lease, lake.read(PREDICTIONS), rescoring.app_id)
    plans.rescoring_done(rescoring)


def settle(lake: Lake, lease: Lease, plans: Plans, finish_rescoring: bool = True) -> None:
    """Writes the log's rows that a killed run owes: finishes its rescoring, and the chunk whose predictions it had begun to commit.

    A chunk without a commit of predictions owes nothing: the plan, or a later one, scores its videos. Nor does a rescoring without one;
    it is left as it is unless `finish_rescoring`, which saves scoring its rows again.

    Raises:
        LakeError: the note of the rescoring is damaged, or another run took over the lease.
    """
    rescoring = plans.unfinished_rescoring()
    if rescoring and (finish_rescoring or _has_begun(lake, rescoring.app_id)):
        end_rescoring(lake, lease, plans, rescoring)
    for app_id, predictions in plans.scored_chunks():
        if _has_begun(lake, app_id):
            commit_predictions(lake, lease, predictions.summed(lake.spark, change_sums()), app_id)


def _has_begun(lake: Lake, app_id: str) -> bool:
    """Whether a commit of predictions with this id is in: of all rows, or of the new or the changed ones (`Lake.commit`)."""
    return lake.exists(PREDICTIONS) and any(lake.has_commit(PREDICTIONS, name) for name in (app_id, f"{app_id}/new", f"{app_id}/changed"))


def _log(lake: Lake, lease: Lease, predictions: DataFrame, app_id: str, version: int = 1) -> None:
    lease.check()
    lake.append(PREDICTION_LOG, predictions.select(*PREDICTION_LOG.names), app_id, version)
