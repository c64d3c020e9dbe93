"""A backfill planned: the source compared with the lake, and the work staged. No table changes but `channels`, the channels' profiles."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.catalog.channels import channel_profiles
from xlclass.catalog.rules import ENCODING_RULES, LANGUAGE_RULES
from xlclass.config import settings_digest
from xlclass.encoders.capacity import SECONDS_PER_ROW
from xlclass.encoders.pair import Route
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
from xlclass.pipeline.readability import require_readable
from xlclass.schemas import CHANNELS, VIDEOS


@dataclass(frozen=True)
class BackfillOptions:
    """The arguments of one run: see `jobs/backfill.py --help`."""

    full: bool = False
    allow_deletes: bool = False
    allow_unreadable: bool = False
    abandon: bool = False
    dry_run: bool = False
    since: Any = None  # an aware datetime
    limit: int | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planner:
    """Plans one backfill, whose embeddings are those on `routes`."""

    run: Run
    catalogue: Catalogue
    plans: Plans
    routes: tuple[Route, ...]
    version: ModelVersion | None
    options: BackfillOptions

    def planned(self, intent: dict[str, Any]) -> tuple[Plan, bool]:
        """The plan, its rows staged, and whether the version has scored all existing embeddings. A plan without work is not recorded.

        Raises:
            LakeError: too many videos would be deleted.
            SourceError: the source was not read right.
        """
        run = self.run
        with run.step("channels") as step:
            profile_version, step.num_rows, profiles = self._profile_channels()
        with run.step("plan") as step:
            visual_dim = run.settings.source.visual_dim
            source = Input(self.catalogue, run.preparation, run.taxonomy, profile_version, visual_dim, run.started_at, self.options.since)
            with in_background(run.lake.spark, up_to_date, run.lake, self.routes, self.version) as checking:
                comparison = compare(source, run.lake)
            step.num_rows = comparison.states.total()
            try:
                are_embedded, are_scored = checking.result()
                require_readable(source, comparison, self.options.allow_unreadable)
                if profiles:
                    run.lake.replace(CHANNELS, profiles.withColumn("profile_version", F.lit(profile_version)))
                    profiles.unpersist()
                return self._staged(source, comparison, intent, are_embedded), are_scored
            finally:
                comparison.rows.unpersist()

    def _staged(self, source: Input, comparison: Comparison, intent: dict[str, Any], are_embedded: bool) -> Plan:
        """The plan, its rows staged unless this is a dry run."""
        limit = self.options.limit
        num_pending = comparison.num_pending if limit is None else min(comparison.num_pending, limit)
        plan_id = uuid.uuid4().hex[:16]  # not a digest: after an --abandon the same work gets a new id, because Delta skips ids that it knows
        ids = pending_ids(comparison, limit) if num_pending else None
        stale = None if are_embedded else self._stale(ids)
        num_stale = stale.count() if stale else 0
        num_gone = self._stage_gone(source, comparison, plan_id)
        plan = self._plan(source, comparison, plan_id, intent, (num_pending, num_stale, num_gone))
        if self.options.dry_run:
            self._print(plan)
            self.plans.drop_rows(plan_id)
        else:
            if ids is not None:
                self._stage_chunks(pending_rows(source, self.run.lake, ids, comparison), plan, "pending")
            if stale and num_stale:
                self._stage_chunks(stale_videos(self.run.lake, stale, num_stale), plan, "stale")
            if comparison.states["rejected"]:
                self.plans.stage(rejected_rows(source, comparison), {}, plan_id, "rejected")
            source.catalogue.require_unchanged()
            if num_pending or num_stale or num_gone:
                self.plans.begin(plan)
        if stale:
            stale.unpersist()
        return plan

    def _plan(self, source: Input, comparison: Comparison, plan_id: str, intent: dict[str, Any], nums: tuple[int, int, int]) -> Plan:
        """The plan, with its numbers of pending, stale and gone videos."""
        num_pending, num_stale, num_gone = nums
        counts = {"rows_ok": num_pending, "rows_rejected": comparison.states["rejected"], "rows_reused": comparison.states["same"]}
        return Plan(
            plan_id,
            intent,
            max(1, -(-(num_pending + num_stale) // self.run.settings.backfill.chunk_videos)),
            num_pending,
            num_stale,
            num_gone,
            {"rows_in": sum(counts.values()), **counts},
            {**comparison.rules, **dict.fromkeys((*ENCODING_RULES, *LANGUAGE_RULES), 0)},
            source.catalogue.shown_name,
            source.catalogue.version,
            source.profile_version,
        )

    def _stale(self, ids: DataFrame | None) -> DataFrame:
        """The `stale_embeddings` of videos that are not among `ids`, cached."""
        stale = stale_embeddings(self.run.lake, self.routes)
        return (stale.join(ids, "video_id", how="left_anti") if ids is not None else stale).persist()

    def _stage_chunks(self, rows: DataFrame, plan: Plan, name: str) -> None:
        """Stages rows by chunk, each chunk in enough files for all cores."""
        num_files = 2 * rows.sparkSession.sparkContext.defaultParallelism
        chunked = rows.withColumn("chunk", chunk_of(plan.num_chunks))
        if plan.num_chunks == 1:
            chunked = chunked.repartition(num_files, "video_id")  # by a column: without one Spark sorts the texts first, to make a retried task deterministic
        else:
            chunked = chunked.repartition(plan.num_chunks * num_files, "chunk", F.pmod(F.xxhash64(F.lit(1), "video_id"), F.lit(num_files)))
        chunked.write.partitionBy("chunk").parquet(self.plans.path(plan.plan_id, name))

    def _stage_gone(self, source: Input, comparison: Comparison, plan_id: str) -> int:
        """The number of videos to delete, their ids staged: those that the change feed reports, or with --full those that a snapshot lacks.

        Raises:
            LakeError: a snapshot lacks a larger share than backfill.max_deleted_share.
        """
        lake, catalogue = self.run.lake, source.catalogue
        version_before = last_source_version(lake, catalogue.shown_name) if catalogue.is_pinned else None
        deleted = catalogue.deleted_since(version_before) if version_before else None
        if deleted is None and not (self.options.full and self.options.since is None):
            return 0
        gone = lake.read(VIDEOS).select("video_id").join(deleted, "video_id", how="left_semi") if deleted is not None else gone_ids(comparison, lake)
        num_gone = self.plans.stage(gone, {"num_gone": F.count("*")}, plan_id, "gone").sums["num_gone"]
        num_videos, max_share = lake.num_rows(VIDEOS), self.run.settings.backfill.max_deleted_share
        if deleted is None and num_gone > max_share * num_videos and not self.options.allow_deletes:
            raise LakeError(
                f"the source {catalogue.shown_name} lacks {num_gone:,} of the lake's {num_videos:,} videos, more than backfill.max_deleted_share "
                f"({max_share:.0%}): nothing was changed; is it complete? If so, run it again with --allow-deletes"
            )
        return num_gone

    def _print(self, plan: Plan) -> None:
        """Prints what a run without --dry-run would do."""
        lake, counts = self.run.lake, plan.counts
        seconds = seconds_per_video(lake) or SECONDS_PER_ROW / lake.spark.sparkContext.defaultParallelism
        hours = plan.num_pending * seconds / 3600
        num_read, num_same, num_rejected = (f"{counts[name]:,}" for name in ("rows_in", "rows_reused", "rows_rejected"))
        work = f"{plan.num_pending:,} to prepare, up to {plan.num_pending + plan.num_stale:,} to encode, {plan.num_gone:,} to delete"
        lines = [
            f"rows: {num_read} read, {counts['rows_ok']:,} new or changed, {num_same} unchanged, {num_rejected} rejected",
            f"to do: {work}, in {plan.num_chunks} chunk(s)",
            f"time: about {hours:.1f} h to encode at {1000 * seconds:.2f} ms a video; memory and machines: xlclass plan --rows {plan.num_pending}",
        ]
        print("\n".join(lines))  # noqa: T201  the answer of --dry-run

    def _profile_channels(self) -> tuple[str | None, int, DataFrame | None]:
        """The version of the channels' profiles, their number, and the profiles if they are to be written: with --full, or if there are none yet."""
        lake = self.run.lake
        rows = lake.scan(CHANNELS, "profile_version", limit=1)  # all rows have the same version
        version_before = rows[0]["profile_version"] if rows else None
        if self.options.dry_run or version_before and not self.options.full:
            return version_before, 0, None
        require_workers(lake.spark)
        profiles = channel_profiles(self.catalogue.rows.where(~F.col("unreadable"))).persist()
        contents = profiles.agg(F.count("*"), F.bit_xor(F.xxhash64("channel_id", "tags", "language", "num_videos"))).first()
        version = settings_digest(list(contents))
        if contents[0] and version != version_before:
            return version, contents[0], profiles
        profiles.unpersist()
        return version_before, contents[0], None
