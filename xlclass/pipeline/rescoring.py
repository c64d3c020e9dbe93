"""Every embedding scored that the model version has not scored in its present form, from `embeddings` alone, exactly once.

A rescoring is noted (`lake/plans.py`) before it changes a table, and its commits have its id, so that the next run ends what a
killed one left between the predictions and their log.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.lake.lease import Lease
from xlclass.lake.runs import Run, Step
from xlclass.lake.session import in_background
from xlclass.lake.staging import Plans, Rescoring
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import FEW, broadcast_if_small, have_same_rows, of_languages
from xlclass.pipeline.transforms import classification_digest, classify_embeddings, log_rows, threads_of
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS


@dataclass
class Scorer:
    """What a rescoring is done with; `languages` are the only ones that are scored, empty for all."""

    run: Run
    plans: Plans
    lease: Lease
    version: ModelVersion
    languages: tuple[str, ...] = ()

    def score_stale(self) -> int:
        """Scores what the version has not scored as it is now, and gives how many rows it scored."""
        with self.run.step("classify") as step:
            is_new = not self.languages and not self.run.lake.may_contain(PREDICTIONS, "model_version", self.version.name)
            num_scored = self._score_all() if is_new else self._score_changed(step)
            step.num_rows += num_scored
        return num_scored

    def _score_changed(self, step: Step) -> int:
        if self._are_scored():
            return 0
        embeddings, stale = self.run.lake.read(EMBEDDINGS), self._stale().persist()
        try:
            step.num_expected = num_stale = stale.count()
            if not self.languages and num_stale and (num_stale > FEW or 2 * num_stale > self.run.lake.num_rows(EMBEDDINGS)):
                return self._score_all()
            if num_stale:
                self._score_some(embeddings.join(broadcast_if_small(stale, num_stale), "video_id", how="inner"))
            return num_stale
        finally:
            stale.unpersist()

    def _are_scored(self) -> bool:
        """Whether the version has scored every embedding as it is: by one pass over each table."""
        return have_same_rows(self._digests(), self.run.lake.read(PREDICTIONS).select("video_id", "input_digest"))

    def _stale(self) -> DataFrame:
        """video_id and is_new of the embeddings that the version has not scored as they are."""
        known = self.run.lake.read(PREDICTIONS).select("video_id", F.col("input_digest").alias("known_digest"))
        joined = of_languages(self._digests("language"), self.languages).join(known, "video_id", how="left")
        unlike = joined.where(~F.col("known_digest").eqNullSafe(F.col("input_digest")))
        return unlike.select("video_id", F.col("known_digest").isNull().alias("is_new"))

    def _digests(self, *names: str) -> DataFrame:
        """video_id, input_digest and these columns of every embedding."""
        return self.run.lake.read(EMBEDDINGS).select("video_id", classification_digest(self.version).alias("input_digest"), *names)

    def _score_some(self, rows: DataFrame) -> None:
        """Scores the rows, which have `is_new`, stages and merges them."""
        noted = Rescoring(uuid.uuid4().hex[:16], self.version.name)
        self.plans.stage(self._scored(rows), noted.rescoring_id, "rescored")
        self._carry_out(noted)

    def _score_all(self) -> int:
        """How many embeddings there are: `predictions` is written anew in one commit, which the log then takes its rows from; nothing is staged."""
        num_rows = self.run.lake.num_rows(EMBEDDINGS)
        if num_rows:
            noted = Rescoring(uuid.uuid4().hex[:16], self.version.name)
            self._carry_out(noted, self._scored(self.run.lake.read(EMBEDDINGS)))
        return num_rows

    def _carry_out(self, noted: Rescoring, all_rows: DataFrame | None = None) -> None:
        self.plans.begin_rescoring(noted)
        self.lease.check()
        lake = self.run.lake
        with in_background(lake.spark, lake.warm_snapshots, EMBEDDINGS, PREDICTION_LOG) as read:
            if all_rows is not None:
                lake.replace(PREDICTIONS, all_rows, noted.commit_id)
            end_rescoring(lake, self.plans)
        read.result()

    def _scored(self, rows: DataFrame) -> DataFrame:
        return classify_embeddings(rows, self.version, self.run.run_id, threads_of(rows.sparkSession))


def end_rescoring(lake: Lake, plans: Plans) -> None:
    """Ends the rescoring that is noted, if one is: what was staged is committed, what was committed is logged; each commit is taken once."""
    noted = plans.unfinished_rescoring()
    if noted is None:
        return
    staged = plans.rows(noted.rescoring_id, "rescored")
    if staged is not None:
        lake.commit(PREDICTIONS, staged, noted.commit_id)
        lake.append(PREDICTION_LOG, log_rows(staged), noted.commit_id)
    elif lake.has_commit(PREDICTIONS, noted.commit_id):
        lake.append(PREDICTION_LOG, log_rows(lake.read(PREDICTIONS)), noted.commit_id)  # written anew: all of it
    plans.rescoring_done(noted)
