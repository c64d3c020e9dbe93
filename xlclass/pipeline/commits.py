"""Commits of a slice of videos, in one order and exactly once: the chunks of a backfill, rescorings, deletions, the batches of a stream.

Rows are staged before they are committed: then a retry and a resumed run commit the same rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xlclass.lake.lease import Lease
from xlclass.lake.prediction_log import commit_predictions
from xlclass.lake.staging import Staged
from xlclass.lake.tables import Lake
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS, Table


@dataclass(frozen=True)
class SliceRows:
    """Staged rows of a slice of videos by table, with `is_new` and the sums of `staging.change_sums`; null for a table that gets none.

    `predictions` is a function that is called after the commits of the other tables: scoring overlaps them.
    """

    rejected: Staged | None = None
    videos: Staged | None = None
    embeddings: Staged | None = None
    predictions: Callable[[], Staged | None] | None = None


def commit_slice(lake: Lake, lease: Lease, rows: SliceRows, app_id: str, version: int = 1) -> set[Table]:
    """Commits rejected_videos, videos, embeddings, predictions and prediction_log in this order, and gives the tables that changed.

    A reader may see a video before its prediction, but never a prediction without its video. Every commit has the id `app_id`, extended
    by its table and kind, and `version`; Delta skips a commit whose version is not newer than the last one with its id. A chunk has an id
    of its own and version 1. A stream has one id for all batches, and its version is the number of the batch.

    Raises:
        LakeError: another run took over the lease.
    """
    changed = set()
    for table, staged in ((REJECTED_VIDEOS, rows.rejected), (VIDEOS, rows.videos), (EMBEDDINGS, rows.embeddings)):
        if staged and staged.num_rows:
            lease.check()
            lake.commit(table, staged, app_id, version)
            changed.add(table)
    predictions = rows.predictions() if rows.predictions else None
    if predictions and predictions.num_rows:
        commit_predictions(lake, lease, predictions, app_id, version)
        changed |= {PREDICTIONS, PREDICTION_LOG}
    return changed


def delete_videos(lake: Lake, lease: Lease, ids: Staged, app_id: str, version: int = 1) -> set[Table]:
    """Deletes the videos of the staged ids, with their predictions and the vectors of all encoders, and gives the tables that changed.

    Predictions are deleted first: none is ever without its video. Ids and versions as in `commit_slice`.

    Raises:
        LakeError: another run took over the lease.
    """
    tables = (PREDICTIONS, EMBEDDINGS, VIDEOS)
    for table in tables:
        lease.check()
        lake.delete(table, ids, app_id, version)
    return set(tables)
