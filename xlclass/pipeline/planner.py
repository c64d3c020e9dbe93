"""A backfill planned: source and lake compared, what is to do staged and written down, nothing of the tables changed but the channels' profiles."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.catalog import load_preparation
from xlclass.catalog.channels import channel_profiles
from xlclass.catalog.rules import COUNTED_LATER, ENCODING
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import settings_digest
from xlclass.encoders.capacity import SECONDS_PER_ROW
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import LakeError
from xlclass.lake.runs import Run, last_source_version, seconds_per_video
from xlclass.lake.session import in_background, require_workers
from xlclass.lake.sources import Catalogue
from xlclass.lake.staging import Plan, Plans
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import (
    Comparison,
    Input,
    chunk_of,
    compare,
    gone_ids,
    pending_ids,
    pending_rows,
    rejected_rows,
    stale_embeddings,
    stale_videos,
    up_to_date,
)
from xlclass.schemas import CHANNELS, VIDEOS


@dataclass(frozen=True)
class BackfillOptions:
    """What one run does differently: `jobs/backfill.py --help`."""

    full: bool = False
    allow_deletes: bool = False
    abandon: bool = False
    dry_run: bool = False
    since: Any = None  # an aware datetime
    limit: int | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planner:
    """What a plan is made of."""

    run: Run
    catalogue: Catalogue
    plans: Plans
    encoder: EncoderSpec
    version: ModelVersion | None
    request: BackfillOptions

    def planned(self, intent: dict[str, Any]) -> tuple[Plan, bool]:
        """The plan for what is to do, its rows staged, and whether all that is embedded already is scored; one without work is not begun.

        Raises:
            LakeError: too much would be deleted.
        """
        with self.run.step("channels") as step:
            profile_version, step.num_rows = self._profile_channels()
        with self.run.step("plan") as step:
            settings = self.run.settings
            taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
            preparation, since = load_preparation(settings), self.request.since
            given = Input(self.catalogue, preparation, taxonomy, profile_version, settings.source.visual_dim, self.run.started_at, since)
            with in_background(self.run.lake.spark, up_to_date, self.run.lake, self.encoder.encoder_id, self.version) as looked:
                comparison = compare(given, self.run.lake)
            step.num_rows = comparison.states.total()
            try:
                return self._staged(given, comparison, intent, *looked.result())
            finally:
                comparison.rows.unpersist()

    def _staged(self, given: Input, comparison: Comparison, intent: dict[str, Any], are_embedded: bool, are_scored: bool) -> tuple[Plan, bool]:
        limit = self.request.limit
        num_pending = comparison.num_pending if limit is None else min(comparison.num_pending, limit)
        counts = {"rows_ok": num_pending, "rows_rejected": comparison.states["rejected"], "rows_reused": comparison.states["same"]}
        plan_id = uuid.uuid4().hex[:16]  # not a digest alone: the same work may be planned again after an --abandon, and ids of commits are taken once
        ids = pending_ids(comparison, limit) if num_pending else None
        stale = None if are_embedded else self._stale(ids)
        num_stale = stale.count() if stale else 0
        num_gone = self._stage_gone(given, comparison, plan_id)
        plan = Plan(
            plan_id,
            intent,
            max(1, -(-(num_pending + num_stale) // self.run.settings.backfill.chunk_videos)),
            num_pending,
            num_stale,
            {"rows_in": sum(counts.values()), **counts},
            {**comparison.rules, **dict.fromkeys((*ENCODING, *COUNTED_LATER), 0)},
            given.catalogue.shown_name,
            given.catalogue.version,
            given.profile_version,
        )
        if self.request.dry_run:
            self._print(plan, num_gone)
            self.plans.drop_rows(plan_id)
        else:
            if ids is not None:
                self._stage_chunks(pending_rows(given, self.run.lake, ids, comparison), plan, "pending")
            if stale and num_stale:
                self._stage_chunks(stale_videos(self.run.lake, stale, num_stale), plan, "stale")
            if comparison.states["rejected"]:
                self.plans.stage(rejected_rows(given, comparison), plan_id, "rejected")
            given.catalogue.require_unchanged()
            if num_pending or num_stale or num_gone:
                self.plans.begin(plan)
        if stale:
            stale.unpersist()
        return plan, are_scored

    def _stale(self, ids: DataFrame | None) -> DataFrame:
        """The `stale_embeddings` that are not among `ids`, kept in memory."""
        stale = stale_embeddings(self.run.lake, self.encoder.encoder_id)
        return (stale.join(ids, "video_id", how="left_anti") if ids is not None else stale).persist()

    def _stage_chunks(self, rows: DataFrame, plan: Plan, name: str) -> None:
        """Rows by chunk, those of a chunk in files enough for all cores."""
        num_files = 2 * rows.sparkSession.sparkContext.defaultParallelism
        chunked = rows.withColumn("chunk", chunk_of(plan.num_chunks))
        if plan.num_chunks == 1:
            chunked = chunked.repartition(num_files, "video_id")  # by a column: else Spark sorts the texts first, so that a task tried again gives the same
        else:
            chunked = chunked.repartition(plan.num_chunks * num_files, "chunk", F.pmod(F.xxhash64(F.lit(1), "video_id"), F.lit(num_files)))
        chunked.write.partitionBy("chunk").parquet(self.plans.staged(plan.plan_id, name))

    def _stage_gone(self, given: Input, comparison: Comparison, plan_id: str) -> int:
        """Ids to delete: what a change feed tells, or with --full what a whole snapshot lacks.

        Raises:
            LakeError: a snapshot lacks more than the settings let a run delete.
        """
        lake, source = self.run.lake, given.catalogue
        before = last_source_version(lake, source.shown_name) if source.is_pinned else None
        gone = source.deleted_since(before) if before else None
        if gone is None and not (self.request.full and self.request.since is None):
            return 0
        known, most = lake.read(VIDEOS).select("video_id"), self.run.settings.backfill.most_deleted
        staged = self.plans.stage(known.join(gone, "video_id", how="left_semi") if gone is not None else gone_ids(comparison, lake), plan_id, "gone")
        num_gone, num_known = staged.count(), known.count()
        if gone is None and num_gone > most * num_known and not self.request.allow_deletes:
            raise LakeError(
                f"the source {source.shown_name} lacks {num_gone:,} of the lake's {num_known:,} videos, more than backfill.most_deleted "
                f"({most:.0%}): nothing was changed; is it complete? If so, run it again with --allow-deletes"
            )
        return num_gone

    def _print(self, plan: Plan, num_gone: int) -> None:
        """What a run without --dry-run would do, on standard output."""
        lake, counts = self.run.lake, plan.counts
        seconds = seconds_per_video(lake) or SECONDS_PER_ROW / lake.spark.sparkContext.defaultParallelism
        hours = plan.num_pending * seconds / 3600
        num_read, num_done, num_rejected = (f"{counts[name]:,}" for name in ("rows_in", "rows_reused", "rows_rejected"))
        todo = f"{plan.num_pending:,} to prepare, up to {plan.num_pending + plan.num_stale:,} to encode, {num_gone:,} to delete"
        lines = [
            f"rows: {num_read} read, {counts['rows_ok']:,} new or changed, {num_done} unchanged, {num_rejected} rejected",
            f"to do: {todo}, in {plan.num_chunks} chunk(s)",
            f"time: about {hours:.1f} h to encode at {1000 * seconds:.2f} ms a video; memory and machines: xlclass plan --rows {plan.num_pending}",
        ]
        print("\n".join(lines))  # noqa: T201  the answer of --dry-run

    def _profile_channels(self) -> tuple[str | None, int]:
        """The version of the profiles, and how many were written: built where there are none yet, or on request."""
        lake = self.run.lake
        rows = lake.scan(CHANNELS, "profile_version", most=1)  # all rows are of one version
        known = rows[0]["profile_version"] if rows else None
        if self.request.dry_run or known and not self.request.full:
            return known, 0
        require_workers(lake.spark)
        profiles = channel_profiles(self.catalogue.rows.where(~F.col("unreadable"))).persist()
        contents = profiles.agg(F.count("*"), F.bit_xor(F.xxhash64("channel_id", "tags", "language", "num_videos"))).first()
        version = settings_digest(list(contents))
        if contents[0] and version != known:
            lake.replace(CHANNELS, profiles.withColumn("profile_version", F.lit(version)))
        profiles.unpersist()
        return (version, contents[0]) if contents[0] else (known, 0)
