"""A chunk committed to a lake in which some of its videos have no prediction."""

import pytest
from conftest import write_catalogue
from pyspark.sql import functions as F
from samples import ROWS

from xlclass.encoders import resolve_encoders
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import backfill
from xlclass.schemas import PREDICTION_LOG, PREDICTIONS


@pytest.mark.slow
def test_an_edited_video_without_a_prediction_is_scored_and_logged_once(classified_in, new_run, tmp_path):
    """Its embedding is changed, its prediction is new: a run on other languages left one of two edited videos without a prediction."""
    rows = [row for row in ROWS if row["language"] in ("en", "fr") and row["labels"] != ["gaming"]]
    run, version = classified_in(tmp_path, rows)
    unscored, scored = (row["video_id"] for row in rows[:2])
    run.lake.delete_where(PREDICTIONS, F.col("video_id") == unscored)
    write_catalogue(tmp_path, [{**row, "title": row["title"] + " again"} if row["video_id"] in (unscored, scored) else row for row in rows])
    second = new_run.again(run)
    backfill(second, read_catalogue(run.lake.spark, second.settings), [resolve_encoders(second.settings)], version)
    predictions = run.lake.read(PREDICTIONS).collect()
    assert sorted(row["video_id"] for row in predictions) == sorted(row["video_id"] for row in rows)
    assert {row["video_id"] for row in predictions if row["run_id"] == second.run_id} == {unscored, scored}
    assert sorted(row["video_id"] for row in run.lake.read(PREDICTION_LOG).where(F.col("run_id") == second.run_id).collect()) == sorted((unscored, scored))
