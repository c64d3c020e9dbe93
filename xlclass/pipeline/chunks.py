"""The chunks of a plan carried out: prepared, encoded, classified, staged, and committed table by table."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.catalog import load_preparation
from xlclass.catalog.rules import ENCODING_RULES, LANGUAGE_RULES
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.encoders.batches import FAILED, NOT_FINITE
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import EncoderError
from xlclass.lake.lease import Lease
from xlclass.lake.runs import Run, utc_now
from xlclass.lake.session import in_background
from xlclass.lake.staging import Plan, Plans, Staged
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import CARRIED, of_languages, videos_to_embed
from xlclass.pipeline.transforms import classify_embeddings, encode_key, encode_videos, log_rows, prepare_videos, threads_of
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS, Table

log = logging.getLogger(__name__)
_TASK_VIDEOS = 2_000  # videos a task encodes: seconds, so that progress shows and a lost worker costs little
_MOST_FAILED = 0.5  # share of a chunk's texts that may fail before it is the encoder that is broken
_ENCODED = "rows_encoded"
_NEW, _CHANGED = "rows_new", "rows_changed"
_FRESH, _KEPT = "rows_to_encode", "rows_with_vector"
_FAILED_ROWS = "rows_failed"  # of the source, beside the rules in a chunk's tally
_FAILURES = dict(zip(ENCODING_RULES, (FAILED, NOT_FINITE), strict=True))


@dataclass
class Chunks:
    """What all chunks are done with; `languages` are the only ones that are encoded and classified, empty for all.

    `are_scored`: before them the version had scored every embedding as it was, so that it has when they are done.
    """

    run: Run
    plans: Plans
    lease: Lease
    encoder: EncoderSpec
    version: ModelVersion | None
    languages: tuple[str, ...]
    are_scored: bool
    changed: set[str] = field(default_factory=set)

    def do(self, plan: Plan, chunk: int) -> None:
        """One chunk, unless it is done."""
        tally = self.plans.tally(plan, chunk)
        if tally is None and (plan.num_pending or plan.num_stale):
            tally = self._done(plan, chunk)
            self.plans.chunk_done(plan, chunk, tally)
        self._add(tally or {})

    def _done(self, plan: Plan, chunk: int) -> dict[str, int]:
        """What was counted in the chunk, once it is prepared, encoded and committed."""
        log.info("chunk %d of %d", chunk + 1, plan.num_chunks)
        with self.run.step("prepare") as step:
            step.num_expected = -(-plan.num_pending // plan.num_chunks)
            videos = self._prepare(plan, chunk)
            step.num_rows += sum(_counts(videos)) if videos else 0
        with self.run.step("encode") as step:
            step.num_expected = -(-(plan.num_pending + plan.num_stale) // plan.num_chunks)
            embeddings = self._encode(plan, chunk, videos)
            step.num_rows += embeddings.sums[_ENCODED] if embeddings else 0
        with self.run.step("commit"):
            return self._commit_chunk(plan, chunk, videos, embeddings)

    def reject(self, plan: Plan) -> None:
        """Records the plan's rejected rows that are not recorded yet."""
        rejected = self.plans.rows(plan.plan_id, "rejected")
        if rejected is not None:
            self._record(rejected, plan, f"{plan.plan_id}/source")

    def delete_gone(self, plan: Plan) -> None:
        """Deletes what the source no longer has: predictions first, so that none is without its video."""
        gone = self.plans.rows(plan.plan_id, "gone")
        num_gone = gone.count() if gone is not None else 0
        if num_gone:
            with self.run.step("delete") as step:
                step.num_rows = num_gone
                for table in (PREDICTIONS, EMBEDDINGS, VIDEOS):
                    self.lease.check()
                    self.run.lake.delete(table, gone, f"{plan.plan_id}/gone")
                    self.changed.add(table.name)

    def finish(self) -> None:
        """The plan is done: nothing of it is kept; tables of many small files are put together."""
        self.plans.drop()
        with self.run.step("optimize") as step:
            step.num_rows = sum(self.run.lake.optimize(table) for table in (VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG) if table.name in self.changed)

    def _prepare(self, plan: Plan, chunk: int) -> Staged | None:
        """The chunk's videos, staged."""
        rows = self.plans.rows(plan.plan_id, "pending", f"chunk={chunk}")
        if rows is None:
            return None
        settings = self.run.settings
        preparation, taxonomy = load_preparation(settings), load_taxonomy(settings.resolve(settings.taxonomy.file))
        return self.plans.stage_summed(prepare_videos(rows, preparation, taxonomy), _video_sums(), plan.plan_id, chunk, "videos")

    def _encode(self, plan: Plan, chunk: int, videos: Staged | None) -> Staged | None:
        """The chunk's rows of `embeddings`, with `is_new` and `is_encoded`; a vector that is right already is copied."""
        found = self._to_encode(plan, chunk, videos)
        if found is None:
            return None
        todo, num_fresh, num_kept = found.rows, found.sums[_FRESH], found.sums[_KEPT]
        encoded = self._encoded(todo.where("NOT has_vector"), num_fresh)
        if num_kept:
            vectors, kept = self.run.lake.read(EMBEDDINGS).select("video_id", "vector"), todo.where("has_vector").drop("text")
            copied = vectors.join(kept, "video_id", how="inner").withColumn("encode_key", encode_key(self.encoder.encoder_id))
            encoded = encoded.unionByName(copied.select(*EMBEDDINGS.names, "is_new", F.lit(False).alias("is_encoded")))
        staged = self.plans.stage_summed(encoded, _embedding_sums(), plan.plan_id, chunk, "embeddings")
        num_failed = sum(staged.sums[rule] for rule in ENCODING_RULES)
        if num_failed > max(_MOST_FAILED * num_fresh, 10):
            self.plans.forget(plan.plan_id, chunk, "embeddings")  # so that a run with a mended encoder tries again
            raise EncoderError(
                f"the encoder {self.encoder.path} failed on {num_failed:,} of {num_fresh:,} texts: it is the encoder that is broken, not the texts"
            )
        return staged

    def _encoded(self, fresh: DataFrame, num_fresh: int) -> DataFrame:
        num_tasks = encoding_tasks(num_fresh, self.run.lake.spark.sparkContext.defaultParallelism)
        rows = encode_videos(fresh, self.encoder, num_tasks, threads_of(self.run.lake.spark))
        return rows.withColumn("is_encoded", F.lit(True))

    def _to_encode(self, plan: Plan, chunk: int, videos: Staged | None) -> Staged | None:
        """The chunk's videos whose row of `embeddings` is not right, with `is_new` and `has_vector` as it has it; null where none was planned."""
        pending = self._pending(plan, chunk, videos) if videos else None
        stale = self.plans.rows(plan.plan_id, "stale", f"chunk={chunk}")
        names = ("video_id", "text", "text_hash", "preparation_version", *CARRIED, "is_new", "has_vector")
        both = [rows.select(*names) for rows in (pending and pending.rows, stale) if rows]
        if not both:
            return None
        rows = of_languages(both[0] if len(both) == 1 else both[0].unionByName(both[1]), self.languages)
        return Staged(rows, pending.sums) if pending and stale is None and not self.languages else Staged.of(rows, _vector_sums())

    def _pending(self, plan: Plan, chunk: int, videos: Staged) -> Staged:
        """Of the chunk's videos the new ones, and of the changed ones, which are staged, those whose row of `embeddings` is not right."""
        num_new = videos.sums[_NEW]
        new = Staged(videos.rows.where("is_new").withColumn("has_vector", F.lit(False)), {_FRESH: num_new, _KEPT: 0})
        if not videos.sums[_CHANGED]:
            return new
        changed = videos.rows.where("NOT is_new")
        known = self.run.lake.read(EMBEDDINGS).join(F.broadcast(changed.select("video_id")), "video_id", how="left_semi")
        unlike = videos_to_embed(changed, known, self.encoder.encoder_id).select(new.rows.columns)
        staged = self.plans.stage_summed(unlike, _vector_sums(), plan.plan_id, chunk, "changed")
        if not num_new:
            return staged
        return Staged(new.rows.unionByName(staged.rows), {name: new.sums[name] + staged.sums[name] for name in new.sums})

    def _commit_chunk(self, plan: Plan, chunk: int, videos: Staged | None, embeddings: Staged | None) -> dict[str, int]:
        commit_id = f"{plan.plan_id}/{chunk}"
        tally = {rule: embeddings.sums[rule] for rule in ENCODING_RULES if embeddings.sums[rule]} if embeddings else {}
        if embeddings and tally:
            failed = embeddings.rows.select("video_id", _failure().alias("rule")).where(F.col("rule").isNotNull())
            tally[_FAILED_ROWS] = self._reject_failed(plan, chunk, videos.rows if videos else None, failed)
            embeddings = Staged.of(embeddings.rows.where(_failure().isNull()), _sums())
            if videos:
                videos = Staged.of(videos.rows.join(F.broadcast(failed.select("video_id")), "video_id", how="left_anti"), _video_sums())
        with in_background(self.run.lake.spark, self._score, plan, chunk, embeddings) as scored:
            if videos:
                tally |= {name: videos.sums[name] for name in LANGUAGE_RULES}
                self._commit(VIDEOS, videos, commit_id)
            if embeddings:
                self._commit(EMBEDDINGS, Staged(embeddings.rows.drop("is_encoded"), embeddings.sums), commit_id)
        predictions = scored.result()
        if predictions:
            self._commit(PREDICTIONS, predictions, commit_id)
            self.run.lake.append(PREDICTION_LOG, log_rows(predictions.rows), commit_id)
        return tally

    def _score(self, plan: Plan, chunk: int, embeddings: Staged | None) -> Staged | None:
        """The chunk's rows of `predictions`, staged; null where there is nothing to score, or nothing to score it with."""
        if not embeddings or not self.version:
            return None
        self.run.lake.warm_snapshots(PREDICTION_LOG)
        rows = embeddings.rows if self.are_scored else self._as_predicted(embeddings.rows)
        scored = classify_embeddings(rows, self.version, self.run.run_id, threads_of(self.run.lake.spark))
        return self.plans.stage_summed(scored, _sums(), plan.plan_id, chunk, "predictions")

    def _as_predicted(self, embeddings: DataFrame) -> DataFrame:
        """The rows with `is_new` as `predictions` has it: a video whose embedding is changed may have been passed over there."""
        changed = embeddings.where("NOT is_new").select("video_id")
        if changed.isEmpty():
            return embeddings
        known = self.run.lake.read(PREDICTIONS).select("video_id", F.lit(True).alias("is_known")).join(F.broadcast(changed), "video_id", how="left_semi")
        return embeddings.drop("is_new").join(F.broadcast(known), "video_id", how="left").withColumn("is_new", F.col("is_known").isNull()).drop("is_known")

    def _add(self, tally: dict[str, int]) -> None:
        """Adds what was counted in a chunk to the run's counts."""
        assert self.run.counts
        for rule in (*ENCODING_RULES, *LANGUAGE_RULES):
            self.run.rules[rule] += tally.get(rule, 0)
        self.run.counts.rows_ok -= tally.get(_FAILED_ROWS, 0)
        self.run.counts.rows_rejected += tally.get(_FAILED_ROWS, 0)

    def _reject_failed(self, plan: Plan, chunk: int, videos: DataFrame | None, failed: DataFrame) -> int:
        """Records the videos that the encoder fails on, and gives how many of them are rows of the source: they do not reach `videos`."""
        shown = ("video_id", "title", "text", "language")
        given = [rows.select(*shown) for rows in (videos, self.plans.rows(plan.plan_id, "stale", f"chunk={chunk}")) if rows is not None]
        both = given[0] if len(given) == 1 else given[0].unionByName(given[1])
        row = F.to_json(F.struct(*shown))
        rows = both.join(F.broadcast(failed), "video_id", how="inner").select(F.sha2(row, 256).alias("row_digest"), "rule", row.alias("row"))
        self._record(rows, plan, f"{plan.plan_id}/{chunk}")
        return videos.join(F.broadcast(failed), "video_id", how="left_semi").count() if videos is not None else 0

    def _record(self, rejected: DataFrame, plan: Plan, commit_id: str) -> None:
        known = self.run.lake.read(REJECTED_VIDEOS).select("row_digest", "rule")
        fresh = rejected.join(known, ["row_digest", "rule"], how="left_anti").select(
            "row_digest", "rule", "row", F.lit(plan.source).alias("source"), F.lit(self.run.run_id).alias("run_id"), F.lit(utc_now()).alias("rejected_at")
        )
        if not fresh.isEmpty():
            self.lease.check()
            self.run.lake.append(REJECTED_VIDEOS, fresh, commit_id)

    def _commit(self, table: Table, staged: Staged, commit_id: str) -> None:
        self.lease.check()
        self.run.lake.commit(table, staged.rows, commit_id, _counts(staged))
        self.changed.add(table.name)


def encoding_tasks(num_texts: int, cores: int) -> int:
    """Tasks that the texts are spread over: as many for each core, so that none idles while the last ones run.

    >>> encoding_tasks(0, 2), encoding_tasks(4_001, 2)
    (2, 4)
    """
    return cores * max(1, -(-num_texts // (cores * _TASK_VIDEOS)))


def _sums() -> dict[str, Column]:
    """What is counted in all staged rows that have `is_new`."""
    return {_NEW: F.count_if("is_new"), _CHANGED: F.count_if(~F.col("is_new"))}


def _video_sums() -> dict[str, Column]:
    """And in those of `videos`: how often the detector overruled a declaration, and how many languages are unknown."""
    overruled = (F.col("language_source") == "detected") & F.col("declared_language").isNotNull()
    return _sums() | dict(zip(LANGUAGE_RULES, (F.count_if(overruled), F.count_if(F.col("language_source") == "unknown")), strict=True))


def _embedding_sums() -> dict[str, Column]:
    """And in those of `embeddings`: how many were encoded, and how many break each rule."""
    return _sums() | {_ENCODED: F.count_if("is_encoded"), **{rule: F.count_if(_failure() == rule) for rule in ENCODING_RULES}}


def _vector_sums() -> dict[str, Column]:
    """What is counted in rows that have `has_vector`."""
    return {_FRESH: F.count_if(~F.col("has_vector")), _KEPT: F.count_if("has_vector")}


def _counts(staged: Staged) -> tuple[int, int]:
    """How many rows are new, and how many changed."""
    return staged.sums[_NEW], staged.sums[_CHANGED]


def _failure() -> Column:
    """The rule that a row of embeddings breaks, null when it has its vector."""
    return F.coalesce(*(F.when(F.col("vector") == F.lit(mark), F.lit(rule)) for rule, mark in _FAILURES.items()))
