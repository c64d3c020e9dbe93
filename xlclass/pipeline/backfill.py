"""The catalogue into the lake, only what is new or changed, exactly once: plan, chunks, commits, resume.

A run compares source and lake (`pending.py`), writes down what is to do as a plan (`planning.py`), and does it chunk by
chunk (`chunks.py`); a chunk is the videos whose id's hash falls to it. What a chunk makes is staged first and then committed
in the order rejected_videos, videos, embeddings, predictions, prediction_log: a reader may see a video before its prediction, never the
other way round. A killed run is gone on with by the next one. One run at a time holds the lake (`lake/lease.py`).
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from xlclass.catalog import load_preparation
from xlclass.encoders.contract import EncoderSpec
from xlclass.lake.lease import Lease
from xlclass.lake.runs import Counts, Run
from xlclass.lake.sources import Catalogue
from xlclass.lake.staging import Plan, Plans, require_same
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.chunks import Chunks
from xlclass.pipeline.planner import BackfillOptions, Planner
from xlclass.pipeline.rescoring import Scorer, end_rescoring
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, VIDEOS

log = logging.getLogger(__name__)
_CHANGED = (REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG)
_AS_USUAL = BackfillOptions()


def backfill(run: Run, catalogue: Catalogue, encoder: EncoderSpec, version: ModelVersion | None, request: BackfillOptions = _AS_USUAL) -> None:
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
        plan, are_scored = plans.unfinished(), False
        if plan:
            require_same(plan, intent)
            log.info("going on with plan %s", plan.plan_id)
            run.source, run.source_version = plan.source, plan.source_version
        else:
            if version:  # only now: where settings changed since a kill, what changed is the better answer
                version.require(encoder.encoder_id, preparation.version)
            if not request.dry_run:
                plans.drop()  # what a run left that was killed while it planned
            plan, are_scored = Planner(run, catalogue, plans, encoder, version, request).planned(intent)
        run.counts, run.rules = Counts(**plan.counts), dict(plan.rules)
        if not request.dry_run:
            chunks = Chunks(run, plans, lease, encoder, version, request.languages, are_scored)
            scorer = Scorer(run, plans, lease, version, request.languages) if version and not are_scored else None
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


def _intent(run: Run, preparation_version: str, encoder: EncoderSpec, version: ModelVersion | None, request: BackfillOptions) -> dict[str, Any]:
    """Everything that decides the results, by dotted name; not the source's version, for a plan has its rows."""
    sections = dataclasses.asdict(run.settings)
    settings = {f"{name}.{key}": value for name in ("source", "encoder", "text", "taxonomy") for key, value in sections[name].items()}
    asked = {f"--{name.replace('_', '-')}": getattr(request, name) for name in ("full", "since", "limit", "languages")}
    made_by = {"preparation": preparation_version, "encoder_id": encoder.encoder_id, "model_version": version.name if version else None}
    return settings | asked | made_by


def _carry_out(plan: Plan, chunks: Chunks, scorer: Scorer | None) -> None:
    chunks.reject(plan)
    for chunk in range(plan.num_chunks):
        chunks.do(plan, chunk)
    chunks.delete_gone(plan)
    if scorer and scorer.score_stale():
        chunks.changed |= {PREDICTIONS.name, PREDICTION_LOG.name}
    chunks.finish()
