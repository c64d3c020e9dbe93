"""The chunks of a plan: each prepared, encoded, classified, staged, and committed in the order of `commits.py`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.catalog.rules import ENCODING_RULES, LANGUAGE_RULES
from xlclass.encoders.batches import FAILED, NOT_FINITE
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.pair import Route
from xlclass.errors import EncoderError
from xlclass.lake.lease import Lease
from xlclass.lake.runs import Run, utc_now
from xlclass.lake.session import in_background
from xlclass.lake.staging import NUM_CHANGED, NUM_NEW, Plan, Plans, Staged, change_sums
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import CARRIED, encoders_for, of_languages, videos_to_embed, with_encoders
from xlclass.pipeline.commits import SliceRows, commit_slice, delete_videos
from xlclass.pipeline.transforms import classify_embeddings, encode_videos, prepare_videos, threads_of
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS, Table

log = logging.getLogger(__name__)
_MAX_FAILED = 0.5  # share of a chunk's texts that may fail; above it the encoder is broken, not the texts
_NUM_ENCODED, _NUM_KEPT = "num_encoded", "num_kept"
_NUM_FAILED_ROWS = "num_failed_rows"  # rows of the source, in a chunk's tally next to the rules
_FAILURES = dict(zip(ENCODING_RULES, (FAILED, NOT_FINITE), strict=True))


@dataclass(frozen=True)
class _ToEncode:
    """Videos whose embedding is missing or stale, with `encoder_id`, `is_new` and `has_vector`.

    `num_fresh`: how many need a new vector of each encoder; `num_kept`: how many keep theirs.
    """

    rows: DataFrame
    num_fresh: Mapping[str, int]
    num_kept: int


@dataclass
class Chunks:
    """Carries out the chunks of a plan; encodes and classifies only videos in `languages`, unless that is empty.

    `routes` say which encoders a language goes to, `specs` are these encoders by encoder_id.
    `are_scored`: before the plan, the version had scored every embedding of the encoder as it was. `changed`: tables with new commits.
    """

    run: Run
    plans: Plans
    lease: Lease
    routes: tuple[Route, ...]
    specs: Mapping[str, EncoderSpec]
    version: ModelVersion | None
    languages: tuple[str, ...]
    are_scored: bool
    changed: set[Table] = field(default_factory=set)

    def carry_out(self, plan: Plan, chunk: int) -> None:
        """Carries out one chunk, unless it is done, and adds its counts to the run's."""
        tally = self.plans.tally(plan, chunk)
        if tally is None and (plan.num_pending or plan.num_stale):
            tally = self._process(plan, chunk)
            self.plans.chunk_done(plan, chunk, tally)
        self._add(tally or {})

    def reject(self, plan: Plan) -> None:
        """Commits the plan's rejected rows that `rejected_videos` does not have yet."""
        rows = self.plans.staged(plan.plan_id, "rejected")
        if rows:
            rejected = self._stage_rejected(rows.rows(self.run.lake.spark), plan, "new_rejected")
            commit_slice(self.run.lake, self.lease, SliceRows(rejected), f"{plan.plan_id}/source")

    def delete_gone(self, plan: Plan) -> None:
        """Deletes the videos that the source no longer has."""
        ids = self.plans.staged(plan.plan_id, "gone") if plan.num_gone else None
        if ids:
            with self.run.step("delete") as step:
                step.num_rows = plan.num_gone
                self.changed |= delete_videos(self.run.lake, self.lease, ids, f"{plan.plan_id}/gone")

    def finish(self) -> None:
        """Ends the plan: deletes everything staged, and compacts changed tables that have many small files."""
        self.plans.drop()
        with self.run.step("optimize") as step:
            step.num_rows = sum(self.run.lake.optimize(table) for table in (VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG) if table in self.changed)

    def _process(self, plan: Plan, chunk: int) -> dict[str, int]:
        """The counts of the chunk, after it is prepared, encoded and committed."""
        log.info("chunk %d of %d", chunk + 1, plan.num_chunks)
        with self.run.step("prepare") as step:
            step.num_expected = -(-plan.num_pending // plan.num_chunks)
            videos = self._prepare(plan, chunk)
            step.num_rows += videos.num_rows if videos else 0
        with self.run.step("encode") as step:
            step.num_expected = -(-(plan.num_pending + plan.num_stale) // plan.num_chunks)
            embeddings = self._encode(plan, chunk, videos)
            step.num_rows += embeddings.sums[_NUM_ENCODED] if embeddings else 0
        with self.run.step("commit"):
            return self._commit(plan, chunk, videos, embeddings)

    def _prepare(self, plan: Plan, chunk: int) -> Staged | None:
        """The chunk's videos, staged."""
        pending = self.plans.staged(plan.plan_id, "pending", f"chunk={chunk}")
        if pending is None:
            return None
        videos = prepare_videos(pending.rows(self.run.lake.spark), self.run.preparation, self.run.taxonomy)
        return self.plans.stage(videos, self._video_sums(), plan.plan_id, chunk, "videos")

    def _encode(self, plan: Plan, chunk: int, videos: Staged | None) -> Staged | None:
        """The chunk's rows of `embeddings`, staged, with `is_new` and `is_encoded`; an up-to-date vector is copied."""
        todo = self._to_encode(plan, chunk, videos)
        if todo is None:
            return None
        parts = [self._encoded(todo, spec) for spec in self._slowest_first() if todo.num_fresh[spec.encoder_id]]
        if todo.num_kept or not parts:
            parts.append(self._copied(todo.rows.where("has_vector")))
        staged = self.plans.stage(reduce(DataFrame.unionByName, parts), _embedding_sums(), plan.plan_id, chunk, "embeddings")
        num_failed, num_fresh = sum(staged.sums[rule] for rule in ENCODING_RULES), sum(todo.num_fresh.values())
        if num_failed > max(_MAX_FAILED * num_fresh, 10):
            self.plans.drop_rows(plan.plan_id, chunk, "embeddings")  # a run with a repaired encoder encodes them again
            paths = " or ".join(spec.path for spec in self.specs.values())
            raise EncoderError(f"the encoder {paths} failed on {num_failed:,} of {num_fresh:,} texts: it is the encoder that is broken, not the texts")
        return staged

    def _slowest_first(self) -> list[EncoderSpec]:
        """The encoders, so that the longest tasks start first."""
        return sorted(self.specs.values(), key=lambda spec: spec.task_texts)

    def _encoded(self, todo: _ToEncode, spec: EncoderSpec) -> DataFrame:
        """Rows of `embeddings` with new vectors of one encoder."""
        spark = self.run.lake.spark
        num_tasks = encoding_tasks(todo.num_fresh[spec.encoder_id], spark.sparkContext.defaultParallelism, spec.task_texts)
        rows = todo.rows.where(~F.col("has_vector") & (F.col("encoder_id") == spec.encoder_id))
        return encode_videos(rows, spec, num_tasks, threads_of(spark)).withColumn("is_encoded", F.lit(True))

    def _copied(self, videos: DataFrame) -> DataFrame:
        """Rows of `embeddings` with the vectors that these videos have already."""
        vectors = self.run.lake.read(EMBEDDINGS).select("video_id", "encoder_id", "encode_key", "vector")
        copied = vectors.join(videos.drop("text"), ["video_id", "encoder_id"], how="inner")
        return copied.select(*EMBEDDINGS.names, "is_new", F.lit(False).alias("is_encoded"))

    def _to_encode(self, plan: Plan, chunk: int, videos: Staged | None) -> _ToEncode | None:
        """The chunk's videos whose embedding is missing or stale; null if the plan has none for the chunk."""
        pending = self._pending(plan, chunk, videos) if videos else None
        stale = self.plans.staged(plan.plan_id, "stale", f"chunk={chunk}")
        if pending and stale is None and not self.languages:
            return pending
        parts = ([pending.rows] if pending else []) + ([stale.rows(self.run.lake.spark)] if stale else [])
        if not parts:
            return None
        columns = ("video_id", "encoder_id", "text", "text_hash", "preparation_version", *CARRIED, "is_new", "has_vector")
        rows = [part.select(*columns) for part in parts]
        chosen = of_languages(rows[0] if len(rows) == 1 else rows[0].unionByName(rows[1]), self.languages)
        sums = chosen.agg(*(column.alias(name) for name, column in self._vector_sums().items())).first()
        assert sums
        return self._counted(chosen, sums.asDict())

    def _pending(self, plan: Plan, chunk: int, videos: Staged) -> _ToEncode:
        """The chunk's new videos, and its changed videos whose embedding is missing or stale; the latter are staged."""
        lake = self.run.lake
        rows = videos.rows(lake.spark)
        new = with_encoders(rows.where("is_new"), self.routes).withColumn("has_vector", F.lit(False))
        if not videos.sums[NUM_CHANGED]:
            return self._counted(new, {**videos.sums, _NUM_KEPT: 0})
        changed = rows.where("NOT is_new")
        embeddings = lake.read(EMBEDDINGS).join(F.broadcast(changed.select("video_id")), "video_id", how="left_semi")
        to_embed = videos_to_embed(changed, embeddings, self.routes).select(new.columns)
        staged = self.plans.stage(to_embed, self._vector_sums(), plan.plan_id, chunk, "changed")
        staged_rows = staged.rows(lake.spark)
        sums = {name: number + videos.sums.get(name, 0) for name, number in staged.sums.items()}
        return self._counted(new.unionByName(staged_rows) if videos.sums[NUM_NEW] else staged_rows, sums)

    def _counted(self, rows: DataFrame, sums: Mapping[str, int]) -> _ToEncode:
        return _ToEncode(rows, {encoder_id: sums[encoder_id] for encoder_id in self.specs}, sums[_NUM_KEPT])

    def _commit(self, plan: Plan, chunk: int, videos: Staged | None, embeddings: Staged | None) -> dict[str, int]:
        """The counts of the chunk, after its rows are scored and committed; videos on which the encoder failed are rejected."""
        tally = {rule: embeddings.sums[rule] for rule in ENCODING_RULES if embeddings.sums[rule]} if embeddings else {}
        rejected = None
        if embeddings and tally:
            rejected = self._reject_failed(plan, chunk, videos, embeddings)
            num_before = videos.num_rows if videos else 0
            videos, embeddings = self._without_failed(plan, chunk, videos, embeddings)
            tally[_NUM_FAILED_ROWS] = num_before - (videos.num_rows if videos else 0)
        if videos:
            tally |= {name: videos.sums[name] for name in LANGUAGE_RULES}
        can_move = len(self.specs) > 1  # then a changed video's embedding may be new, and its prediction not
        may_have_scores = bool(plan.num_stale or videos and videos.sums[NUM_CHANGED]) and (can_move or not self.are_scored)
        with in_background(self.run.lake.spark, self._score, plan, chunk, embeddings, may_have_scores) as scoring:
            rows = SliceRows(rejected, videos, embeddings and embeddings.without("is_encoded"), scoring.result)
            self.changed |= commit_slice(self.run.lake, self.lease, rows, f"{plan.plan_id}/{chunk}")
        return tally

    def _score(self, plan: Plan, chunk: int, embeddings: Staged | None, may_have_scores: bool) -> Staged | None:
        """The chunk's rows of `predictions`, staged; null if there are no rows to score, or no version to score them."""
        if not embeddings or not self.version:
            return None
        self.run.lake.warm_snapshots(PREDICTION_LOG)
        rows = embeddings.rows(self.run.lake.spark).where(Route.of(self.version.manifest()).is_on_it())
        if may_have_scores:
            rows = self._marked_by_predictions(rows)
        scored = classify_embeddings(rows, self.version, self.run.run_id, threads_of(rows.sparkSession))
        return self.plans.stage(scored, change_sums(), plan.plan_id, chunk, "predictions")

    def _marked_by_predictions(self, embeddings: DataFrame) -> DataFrame:
        """The rows with `is_new` for `predictions`.

        It can differ from that for `embeddings`: a run on other languages may have skipped the video, and a video that is new to this
        encoder may have a prediction from the vector of another.
        """
        predictions = self.run.lake.read(PREDICTIONS).select("video_id", F.lit(True).alias("is_scored"))
        scored = predictions.join(F.broadcast(embeddings.select("video_id")), "video_id", how="left_semi")
        marked = embeddings.drop("is_new").join(F.broadcast(scored), "video_id", how="left")
        return marked.withColumn("is_new", F.col("is_scored").isNull()).drop("is_scored")

    def _reject_failed(self, plan: Plan, chunk: int, videos: Staged | None, embeddings: Staged) -> Staged:
        """The rows of `rejected_videos` for the videos on which the encoder failed, staged."""
        columns = ("video_id", "title", "text", "language")
        stale = self.plans.staged(plan.plan_id, "stale", f"chunk={chunk}")
        parts = [part.rows(self.run.lake.spark).select(*columns).distinct() for part in (videos, stale) if part]
        row = F.to_json(F.struct(*columns))
        texts = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
        rows = texts.join(F.broadcast(self._failed(embeddings)), "video_id", how="inner")
        return self._stage_rejected(rows.select(F.sha2(row, 256).alias("row_digest"), "rule", row.alias("row")), plan, chunk, "rejected")

    def _without_failed(self, plan: Plan, chunk: int, videos: Staged | None, embeddings: Staged) -> tuple[Staged | None, Staged]:
        """The chunk's videos and embeddings without those on which the encoder failed, staged again."""
        spark, folder = self.run.lake.spark, (plan.plan_id, chunk)
        failed = F.broadcast(self._failed(embeddings).select("video_id"))
        if videos:
            kept = videos.rows(spark).join(failed, "video_id", how="left_anti")
            videos = self.plans.stage(kept, self._video_sums(), *folder, "kept_videos")
        return videos, self.plans.stage(embeddings.rows(spark).join(failed, "video_id", how="left_anti"), change_sums(), *folder, "kept_embeddings")

    def _failed(self, embeddings: Staged) -> DataFrame:
        """video_id and rule of the videos on which the encoder failed."""
        rows = embeddings.rows(self.run.lake.spark).select("video_id", _failure().alias("rule")).where(F.col("rule").isNotNull())
        return rows.groupBy("video_id").agg(F.min("rule").alias("rule")) if len(self.specs) > 1 else rows

    def _stage_rejected(self, rejected: DataFrame, plan: Plan, *names: object) -> Staged:
        """Those of the rows that `rejected_videos` does not have yet, staged as its new rows."""
        recorded = self.run.lake.read(REJECTED_VIDEOS).select("row_digest", "rule")
        made_by = {"source": F.lit(plan.source), "run_id": F.lit(self.run.run_id), "rejected_at": F.lit(utc_now()), "is_new": F.lit(True)}
        rows = rejected.join(recorded, ["row_digest", "rule"], how="left_anti").withColumns(made_by)
        return self.plans.stage(rows, change_sums(), plan.plan_id, *names)

    def _add(self, tally: dict[str, int]) -> None:
        """Adds the counts of a chunk to the run's."""
        assert self.run.counts
        for rule in (*ENCODING_RULES, *LANGUAGE_RULES):
            self.run.rules[rule] += tally.get(rule, 0)
        self.run.counts.rows_ok -= tally.get(_NUM_FAILED_ROWS, 0)
        self.run.counts.rows_rejected += tally.get(_NUM_FAILED_ROWS, 0)

    def _video_sums(self) -> dict[str, Column]:
        """Sums over rows of `videos`: also how many new ones each encoder gets, how often a declaration was overruled, how many languages are unknown."""
        overruled = (F.col("language_source") == "detected") & F.col("declared_language").isNotNull()
        languages = dict(zip(LANGUAGE_RULES, (F.count_if(overruled), F.count_if(F.col("language_source") == "unknown")), strict=True))
        chosen = encoders_for(self.routes)
        encoders = {encoder_id: F.count_if(F.col("is_new") & F.array_contains(chosen, F.lit(encoder_id))) for encoder_id in self.specs}
        return change_sums() | encoders | languages

    def _vector_sums(self) -> dict[str, Column]:
        """Sums over rows with `encoder_id` and `has_vector`: how many need a vector of each encoder, and how many keep theirs."""
        fresh = {encoder_id: F.count_if(~F.col("has_vector") & (F.col("encoder_id") == encoder_id)) for encoder_id in self.specs}
        return fresh | {_NUM_KEPT: F.count_if("has_vector")}


def encoding_tasks(num_texts: int, cores: int, task_texts: int) -> int:
    """The number of tasks that encode the texts: a multiple of the cores, so that no core idles while the last tasks run.

    >>> encoding_tasks(0, 2, 2_000), encoding_tasks(4_001, 2, 2_000)
    (2, 4)
    """
    return cores * max(1, -(-num_texts // (cores * task_texts)))


def _embedding_sums() -> dict[str, Column]:
    """Sums over rows of `embeddings`: also how many were encoded, and how many break each rule."""
    return change_sums() | {_NUM_ENCODED: F.count_if("is_encoded"), **{rule: F.count_if(_failure() == rule) for rule in ENCODING_RULES}}


def _failure() -> Column:
    """The rule that a row of embeddings breaks; null if it has its vector."""
    return F.coalesce(*(F.when(F.col("vector") == F.lit(mark), F.lit(rule)) for rule, mark in _FAILURES.items()))
