"""The catalogue into the lake, only what is new or changed, exactly once: plan, chunks, commits, resume.

A run compares source and lake (`pending.py`), writes down what is to do as a plan (`lake/plans.py`), and does it chunk by
chunk; a chunk is the videos whose id's hash falls to it. What a chunk makes is staged first and then committed in the order
rejected_videos, videos, embeddings, predictions, prediction_log: a reader may see a video before its prediction, never the
other way round. A killed run is gone on with by the next one. One run at a time holds the lake (`lake/lease.py`).
"""

from __future__ import annotations

import dataclasses
import logging
import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.catalog import load_preparation
from xlclass.catalog.channels import channel_profiles
from xlclass.catalog.rules import COUNTED_LATER, ENCODING
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.chunks import Chunks
from xlclass.config import settings_digest
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import LakeError
from xlclass.lake.lease import Lease
from xlclass.lake.plans import Plan, Plans, require_same
from xlclass.lake.runs import Counts, Run, last_source_version, seconds_per_video
from xlclass.lake.sources import Catalogue
from xlclass.model.bundle import ModelVersion
from xlclass.pending import (
    Comparison,
    Input,
    are_embedded,
    chunk_of,
    compare,
    gone_ids,
    pending_ids,
    pending_rows,
    rejected_rows,
    stale_embeddings,
    stale_videos,
)
from xlclass.plan import SECONDS_PER_ROW
from xlclass.rescoring import Scorer, end_rescoring
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS

log = logging.getLogger(__name__)
_CHANGED = (REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG)


@dataclass(frozen=True)
class Request:
    """What one run does differently: `jobs/backfill.py --help`."""

    full: bool = False
    allow_deletes: bool = False
    abandon: bool = False
    dry_run: bool = False
    since: Any = None  # an aware datetime
    limit: int | None = None
    languages: tuple[str, ...] = ()


_AS_USUAL = Request()


def backfill(run: Run, catalogue: Catalogue, encoder: EncoderSpec, version: ModelVersion | None, request: Request = _AS_USUAL) -> None:
    """Brings the lake up to the catalogue: prepares, encodes and, where there is a model version, classifies.

    Raises:
        ModelError: the model version does not fit the encoder or the preparation.
        LakeError: another run holds the lake, an unfinished plan differs from this run, or too much would be deleted.
    """
    preparation = load_preparation(run.settings)
    run.source, run.source_version = catalogue.shown_name, catalogue.version
    with _holding(run) as lease:
        plans = Plans(run.lake.spark, run.lake.root)
        if not request.dry_run:
            end_rescoring(run.lake, plans)
        if request.abandon:
            plans.drop()
        intent = _intent(run, preparation.version, encoder, version, request)
        plan = plans.unfinished()
        if plan:
            require_same(plan, intent)
            log.info("going on with plan %s", plan.plan_id)
            run.source, run.source_version = plan.source, plan.source_version
        else:
            if version:  # only now: where settings changed since a kill, what changed is the better answer
                version.load().require(encoder.encoder_id, preparation.version)
            if not request.dry_run:
                plans.drop()  # what a run left that was killed while it planned
            plan = _planned(run, catalogue, plans, intent, encoder, request)
        run.counts, run.rules = Counts(**plan.counts), dict(plan.rules)
        if not request.dry_run:
            chunks = Chunks(run, plans, lease, encoder, version, request.languages)
            scorer = Scorer(run, plans, lease, version, request.languages) if version else None
            _carry_out(plan, chunks, scorer)


def classify(run: Run, version: ModelVersion) -> None:
    """Scores every embedding that `version` has not scored in its present form; reads `embeddings` only."""
    with _holding(run) as lease:
        plans = Plans(run.lake.spark, run.lake.root)
        end_rescoring(run.lake, plans)
        Scorer(run, plans, lease, version).score_stale()


def _holding(run: Run) -> Lease:
    """The lease of the run's lake, whose tables are there."""
    run.lake.ensure(CHANNELS, *_CHANGED)
    return Lease(run.lake.root, run.run_id, run.job, run.settings.backfill.lease_seconds)


def _intent(run: Run, preparation_version: str, encoder: EncoderSpec, version: ModelVersion | None, request: Request) -> dict[str, Any]:
    """Everything that decides the results, by dotted name; not the source's version, for a plan has its rows."""
    sections = dataclasses.asdict(run.settings)
    settings = {f"{name}.{key}": value for name in ("source", "encoder", "text", "taxonomy") for key, value in sections[name].items()}
    asked = {f"--{name.replace('_', '-')}": getattr(request, name) for name in ("full", "since", "limit", "languages")}
    made_by = {"preparation": preparation_version, "encoder_id": encoder.encoder_id, "model_version": version.name if version else None}
    return settings | asked | made_by


def _planned(run: Run, catalogue: Catalogue, plans: Plans, intent: dict[str, Any], encoder: EncoderSpec, request: Request) -> Plan:
    """The plan for what is to do, its rows staged; one without work is not begun."""
    with run.step("channels") as step:
        profile_version, step.num_rows = _profile_channels(run, catalogue, request)
    with run.step("plan") as step:
        taxonomy = load_taxonomy(run.settings.resolve(run.settings.taxonomy.file))
        visual_dim = run.settings.source.visual_dim
        given = Input(catalogue, load_preparation(run.settings), taxonomy, profile_version, visual_dim, run.started_at, request.since)
        comparison = compare(given, run.lake)
        step.num_rows = comparison.states.total()
        try:
            plan = _staged(run, given, comparison, plans, intent, encoder, request)
        finally:
            comparison.rows.unpersist()
    return plan


def _staged(run: Run, given: Input, comparison: Comparison, plans: Plans, intent: dict[str, Any], encoder: EncoderSpec, request: Request) -> Plan:
    num_pending = comparison.num_pending if request.limit is None else min(comparison.num_pending, request.limit)
    counts = {"rows_ok": num_pending, "rows_rejected": comparison.states["rejected"], "rows_reused": comparison.states["same"]}
    plan_id = uuid.uuid4().hex[:16]  # not a digest alone: the same work may be planned again after an --abandon, and ids of commits are taken once
    ids = plans.stage(pending_ids(comparison, request.limit), plan_id, "ids") if num_pending else None
    stale = _stale(run, encoder, ids)
    num_stale = stale.count() if stale else 0
    num_gone = _stage_gone(run, given, comparison, plans, plan_id, request)
    plan = Plan(
        plan_id,
        intent,
        max(1, -(-(num_pending + num_stale) // run.settings.backfill.chunk_videos)),
        num_pending,
        num_stale,
        {"rows_in": sum(counts.values()), **counts},
        {**comparison.rules, **dict.fromkeys((*ENCODING, *COUNTED_LATER), 0)},
        given.catalogue.shown_name,
        given.catalogue.version,
        given.profile_version,
    )
    if request.dry_run:
        _print_plan(run, plan, num_gone)
        plans.drop_rows(plan_id)
    else:
        if ids is not None:
            _stage_chunks(run, plans, pending_rows(given, run.lake, ids, comparison), plan, "pending")
        if stale and num_stale:
            _stage_chunks(run, plans, stale_videos(run.lake, stale, num_stale), plan, "stale")
        if comparison.states["rejected"]:
            plans.stage(rejected_rows(given, comparison), plan_id, "rejected")
        given.catalogue.require_unchanged()
        if num_pending or num_stale or num_gone:
            plans.begin(plan)
    if stale:
        stale.unpersist()
    return plan


def _stale(run: Run, encoder: EncoderSpec, ids: DataFrame | None) -> DataFrame | None:
    """The `stale_embeddings` that are not among `ids`, kept in memory; null where a look shows that there are none."""
    if are_embedded(run.lake, encoder.encoder_id):
        return None
    stale = stale_embeddings(run.lake, encoder.encoder_id)
    return (stale.join(ids, "video_id", how="left_anti") if ids is not None else stale).persist()


def _stage_chunks(run: Run, plans: Plans, rows: DataFrame, plan: Plan, name: str) -> None:
    """Rows by chunk, those of a chunk in files enough for all cores."""
    num_files = 2 * run.lake.spark.sparkContext.defaultParallelism
    chunked = rows.withColumn("chunk", chunk_of(plan.num_chunks))
    if plan.num_chunks == 1:
        chunked = chunked.repartition(num_files, "video_id")  # by a column: else Spark sorts the texts first, so that a task tried again gives the same
    else:
        chunked = chunked.repartition(plan.num_chunks * num_files, "chunk", F.pmod(F.xxhash64(F.lit(1), "video_id"), F.lit(num_files)))
    chunked.write.partitionBy("chunk").parquet(plans.staged(plan.plan_id, name))


def _stage_gone(run: Run, given: Input, comparison: Comparison, plans: Plans, plan_id: str, request: Request) -> int:
    """Ids to delete: what a change feed tells, or with --full what a whole snapshot lacks.

    Raises:
        LakeError: a snapshot lacks more than the settings let a run delete.
    """
    before = last_source_version(run.lake, given.catalogue.shown_name) if given.catalogue.is_pinned else None
    gone = given.catalogue.deleted_since(before) if before else None
    if gone is None and not (request.full and request.since is None):
        return 0
    known = run.lake.read(VIDEOS).select("video_id")
    staged = plans.stage(known.join(gone, "video_id", how="left_semi") if gone is not None else gone_ids(comparison, run.lake), plan_id, "gone")
    num_gone, num_known = staged.count(), known.count()
    if gone is None and num_gone > run.settings.backfill.most_deleted * num_known and not request.allow_deletes:
        raise LakeError(
            f"the source {given.catalogue.shown_name} lacks {num_gone:,} of the lake's {num_known:,} videos, more than backfill.most_deleted "
            f"({run.settings.backfill.most_deleted:.0%}): nothing was changed; is it complete? If so, run it again with --allow-deletes"
        )
    return num_gone


def _print_plan(run: Run, plan: Plan, num_gone: int) -> None:
    """What a run without --dry-run would do, on standard output."""
    seconds = seconds_per_video(run.lake) or SECONDS_PER_ROW / run.lake.spark.sparkContext.defaultParallelism
    hours = plan.num_pending * seconds / 3600
    counts = plan.counts
    lines = [
        f"rows: {counts['rows_in']:,} read, {counts['rows_ok']:,} new or changed, {counts['rows_reused']:,} unchanged, {counts['rows_rejected']:,} rejected",
        f"to do: {plan.num_pending:,} to prepare, up to {plan.num_pending + plan.num_stale:,} to encode, {num_gone:,} to delete, in {plan.num_chunks} chunk(s)",
        f"time: about {hours:.1f} h to encode at {1000 * seconds:.2f} ms a video; memory and machines: xlclass plan --rows {plan.num_pending}",
    ]
    print("\n".join(lines))  # noqa: T201  the answer of --dry-run


def _carry_out(plan: Plan, chunks: Chunks, scorer: Scorer | None) -> None:
    chunks.reject(plan)
    for chunk in range(plan.num_chunks):
        chunks.do(plan, chunk)
    chunks.delete_gone(plan)
    if scorer and scorer.score_stale():
        chunks.changed |= {PREDICTIONS.name, PREDICTION_LOG.name}
    chunks.finish()


def _profile_channels(run: Run, catalogue: Catalogue, request: Request) -> tuple[str | None, int]:
    """The version of the profiles, and how many were written: built where there are none yet, or on request."""
    known = run.lake.read(CHANNELS).agg(F.max("profile_version")).first()[0]
    if request.dry_run or known and not request.full:
        return known, 0
    profiles = channel_profiles(catalogue.rows.where(~F.col("unreadable"))).persist()
    contents = profiles.agg(F.count("*"), F.bit_xor(F.xxhash64("channel_id", "tags", "language", "num_videos"))).first()
    version = settings_digest(list(contents))
    if contents[0] and version != known:
        run.lake.replace(CHANNELS, profiles.withColumn("profile_version", F.lit(version)))
    profiles.unpersist()
    return (version, contents[0]) if contents[0] else (known, 0)
