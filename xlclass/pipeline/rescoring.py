"""Rescoring: a model version scores, from `embeddings` alone, every embedding that it has not scored as it is now. Exactly once.

A rescoring is recorded (`lake/staging.py`) before it changes a table, and its commits carry its id. Therefore `lake/prediction_log.py`
can finish a rescoring that was killed between the commit of the predictions and that of their log.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.encoders.pair import Route
from xlclass.lake.lease import Lease
from xlclass.lake.prediction_log import commit_predictions, end_rescoring
from xlclass.lake.runs import Run, Step
from xlclass.lake.session import in_background
from xlclass.lake.staging import Plans, Rescoring, change_sums
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import FEW, broadcast_if_small, have_same_rows, of_languages
from xlclass.pipeline.transforms import classification_digest, classify_embeddings, threads_of
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS


@dataclass
class Scorer:
    """Rescores with one model version the embeddings on its route; only those in `languages`, unless that is empty."""

    run: Run
    plans: Plans
    lease: Lease
    version: ModelVersion
    languages: tuple[str, ...] = ()

    def score_stale(self) -> int:
        """Scores the embeddings without an up-to-date prediction by the version, and gives how many rows it scored."""
        with self.run.step("classify") as step:
            is_new = not self.languages and not self.run.lake.may_contain(PREDICTIONS, "model_version", self.version.name)
            num_scored = self._score_all() if is_new else self._score_changed(step)
            step.num_rows += num_scored
        return num_scored

    def _score_changed(self, step: Step) -> int:
        if self._are_scored():
            return 0
        stale = self._stale().persist()
        try:
            step.num_expected = num_stale = stale.count()
            if not self.languages and num_stale and (num_stale > FEW or 2 * num_stale > self.run.lake.num_rows(PREDICTIONS)):
                return self._score_all()
            if num_stale:
                self._score_some(self._embeddings().join(broadcast_if_small(stale, num_stale), "video_id", how="inner"))
            return num_stale
        finally:
            stale.unpersist()

    def _are_scored(self) -> bool:
        """Whether the version has scored all embeddings on its route as they are: by one pass over each table."""
        return have_same_rows(self._digests(), self.run.lake.read(PREDICTIONS).select("video_id", "input_digest"))

    def _stale(self) -> DataFrame:
        """video_id and is_new of the embeddings without an up-to-date prediction by the version; is_new: without any prediction."""
        predictions = self.run.lake.read(PREDICTIONS).select("video_id", F.col("input_digest").alias("scored_digest"))
        joined = of_languages(self._digests("language"), self.languages).join(predictions, "video_id", how="left")
        stale = joined.where(~F.col("scored_digest").eqNullSafe(F.col("input_digest")))
        return stale.select("video_id", F.col("scored_digest").isNull().alias("is_new"))

    def _digests(self, *names: str) -> DataFrame:
        """video_id, input_digest and these columns of the embeddings on the route."""
        return self._embeddings().select("video_id", classification_digest(self.version).alias("input_digest"), *names)

    def _embeddings(self) -> DataFrame:
        return self.run.lake.embeddings_on(self._route)

    @cached_property
    def _route(self) -> Route:
        return Route.of(self.version.manifest())

    def _score_some(self, rows: DataFrame) -> None:
        """Scores the rows, which have `is_new`, stages and merges them."""
        rescoring = self._new_rescoring()
        staged = self.plans.stage(self._scored(rows), change_sums(), rescoring.rescoring_id, "rescored")
        self.plans.begin_rescoring(rescoring)
        with in_background(self.run.lake.spark, self.run.lake.warm_snapshots, PREDICTION_LOG) as warming:
            commit_predictions(self.run.lake, self.lease, staged, rescoring.app_id)
        warming.result()
        self.plans.rescoring_done(rescoring)

    def _score_all(self) -> int:
        """Replaces `predictions` in one commit, from which the log is then filled, and gives the number of rows; nothing is staged."""
        lake = self.run.lake
        if not lake.scan(EMBEDDINGS, "video_id", where=self._route.expression(), limit=1):
            return 0
        rescoring = self._new_rescoring()
        self.plans.begin_rescoring(rescoring)
        self.lease.check()
        with in_background(lake.spark, lake.warm_snapshots, EMBEDDINGS, PREDICTION_LOG) as warming:
            lake.replace(PREDICTIONS, self._scored(self._embeddings()), rescoring.app_id)
            end_rescoring(lake, self.lease, self.plans, rescoring)
        warming.result()
        return lake.num_rows(PREDICTIONS)

    def _new_rescoring(self) -> Rescoring:
        return Rescoring(uuid.uuid4().hex[:16], self.version.name)

    def _scored(self, rows: DataFrame) -> DataFrame:
        return classify_embeddings(rows, self.version, self.run.run_id, threads_of(rows.sparkSession))
