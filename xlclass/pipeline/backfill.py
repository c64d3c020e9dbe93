"""Brings the lake up to the catalogue, exactly once and only what is new or changed: plan, chunks, commits, resume.

A run compares source and lake (`changes.py`), stages the work as a plan (`planner.py`), and carries the plan out chunk by chunk
(`chunks.py`); a chunk holds the videos whose id hashes to it. The output of a chunk is staged first and then committed in one order
(`commits.py`). The next run resumes a killed run's plan. One run at a time changes a lake (`lake/lease.py`).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from xlclass.encoders.pair import Encoders, Route
from xlclass.lake.lease import Lease
from xlclass.lake.prediction_log import settle
from xlclass.lake.runs import Counts, Run
from xlclass.lake.sources import Catalogue
from xlclass.lake.staging import Plan, Plans, require_same
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.chunks import Chunks
from xlclass.pipeline.planner import BackfillOptions, Planner
from xlclass.pipeline.rescoring import Scorer
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS

log = logging.getLogger(__name__)
_TABLES = (CHANNELS, REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG)
_DEFAULTS = BackfillOptions()


def backfill(run: Run, catalogue: Catalogue, feeds: Sequence[Encoders], version: ModelVersion | None, options: BackfillOptions = _DEFAULTS) -> None:
    """Brings the lake up to the catalogue: prepares, encodes and, if there is a model version, classifies.

    Each of `feeds` gets all its vectors; the first are those that `version` was trained on.

    Raises:
        ModelError: the model version does not fit the preparation.
        LakeError: another run holds the lake, an unfinished plan differs from this run, or too many videos would be deleted.
    """
    run.source, run.source_version = catalogue.shown_name, catalogue.version
    with _lease(run) as lease:
        plans = Plans(run.lake.spark, run.lake.root)
        if not options.dry_run:
            settle(run.lake, lease, plans)
            if options.abandon:
                plans.drop()
        routes = tuple({feed.route.encoder_ids: feed.route for feed in feeds}.values())
        specs = {spec.encoder_id: spec for feed in feeds for spec in feed.specs}
        intent = _intent(run, routes, version, options)
        plan, are_scored = None if options.abandon else plans.unfinished(), False
        if plan:
            require_same(plan, intent)
            log.info("resuming plan %s of %d chunks", plan.plan_id, plan.num_chunks)
            run.source, run.source_version = plan.source, plan.source_version
        else:
            if version:  # after `require_same`: if the settings changed since a kill, the names of the changed settings say more
                version.require(run.preparation.version)
            if not options.dry_run:
                plans.drop()  # rows staged by a run that was killed while it planned
            plan, are_scored = Planner(run, catalogue, plans, routes, version, options).planned(intent)
        run.counts, run.rules = Counts(**plan.counts), dict(plan.rules)
        if not options.dry_run:
            chunks = Chunks(run, plans, lease, routes, specs, version, options.languages, are_scored)
            scorer = Scorer(run, plans, lease, version, options.languages) if version and not are_scored else None
            _carry_out(plan, chunks, scorer)


def classify(run: Run, version: ModelVersion) -> None:
    """Scores every embedding of the version's encoder that `version` has not scored as it is now; reads `embeddings` only."""
    with _lease(run) as lease:
        plans = Plans(run.lake.spark, run.lake.root)
        settle(run.lake, lease, plans)
        Scorer(run, plans, lease, version).score_stale()


def _lease(run: Run) -> Lease:
    """The lease of the run's lake, which has all tables then."""
    run.lake.ensure(*_TABLES)
    return Lease(run.lake.root, run.run_id, run.job, run.settings.backfill.lease_seconds)


def _intent(run: Run, routes: Sequence[Route], version: ModelVersion | None, options: BackfillOptions) -> dict[str, Any]:
    """Everything that decides the results, by dotted name, except the source's version: the plan holds the source's rows."""
    sections = dataclasses.asdict(run.settings)
    settings = {f"{name}.{key}": value for name in ("source", "encoder", "text", "taxonomy") for key, value in sections[name].items()}
    arguments = {f"--{name.replace('_', '-')}": getattr(options, name) for name in ("full", "since", "limit", "languages")}
    encoder_ids = sorted({encoder_id for route in routes for encoder_id in route.encoder_ids})
    versions = {"preparation": run.preparation.version, "encoder_id": encoder_ids, "model_version": version.name if version else None}
    return settings | arguments | versions


def _carry_out(plan: Plan, chunks: Chunks, scorer: Scorer | None) -> None:
    chunks.reject(plan)
    for chunk in range(plan.num_chunks):
        chunks.carry_out(plan, chunk)
    chunks.delete_gone(plan)
    if scorer and scorer.score_stale():
        chunks.changed |= {PREDICTIONS, PREDICTION_LOG}
    chunks.finish()
