"""Predictions to the tables that say how good they are, once per model version, labels and split."""

from __future__ import annotations

import dataclasses
import math

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from xlclass.config import settings_digest
from xlclass.errors import ModelError
from xlclass.lake import evaluations
from xlclass.lake.evaluations import publish_latest
from xlclass.lake.runs import Run, utc_now
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.transforms import scored_videos
from xlclass.quality.calibration_error import Bin, debiased_ece
from xlclass.quality.metrics import LanguageScore, ratio, wilson
from xlclass.quality.scoring import confidence_by_language, confusion, score_languages
from xlclass.quality.selective import COVERAGES
from xlclass.schemas import CATEGORY_ACCURACY, CONFUSION, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, PREDICTIONS, VIDEOS

_TABLES = (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE)  # in this order: an evaluation is done when it is in the last one


def evaluate(run: Run, version: ModelVersion) -> str:
    """Writes the accuracy and confidence tables for `version` and gives the evaluation's id; equal inputs reuse their rows."""
    with run.step("evaluate") as step:
        manifest = version.manifest()
        videos = run.lake.read(VIDEOS)
        predictions = run.lake.read(PREDICTIONS).where(F.col("model_version") == version.name)
        contents = _contents(predictions, "input_digest")
        if not contents[0]:
            raise ModelError(f"the lake {run.lake.root} has no predictions of the model version {version.name}: run jobs/backfill.py first")
        measured = [table.names for table in _TABLES]  # so that what an older xlclass did not measure is measured now
        evaluation_id = settings_digest(version.name, manifest["split"], _contents(videos), contents, measured)
        run.lake.ensure(*_TABLES)
        if not evaluations.has_rows(run.lake, _TABLES[-1], evaluation_id):
            step.num_rows = _evaluate(run, evaluation_id, version, predictions, videos)
        publish_latest(run.lake, evaluation_id, version.name)
    return evaluation_id


def _contents(rows: DataFrame, *columns: str) -> list[int | None]:
    """Number of rows and an order-free digest of what an evaluation reads of them."""
    row = rows.agg(F.count("*"), F.bit_xor(F.xxhash64("video_id", *(columns or ("language", "labels", "text_hash", "channel_id"))))).first()
    return list(row)


def _evaluate(run: Run, evaluation_id: str, version: ModelVersion, predictions: DataFrame, videos: DataFrame) -> int:
    """How many test videos were scored; their scores, counted on the cluster, are in the tables."""
    manifest = version.manifest()
    scored = scored_videos(predictions, videos, manifest).persist()
    try:
        scores = score_languages(scored, manifest["categories"])
        pairs = [tuple(row) for row in confusion(scored).collect()]
    finally:
        scored.unpersist()
    maker = (version.name, run.run_id)
    training = [score for score in scores if score.language in manifest["languages"]]
    reference = ratio(sum(score.num_right for score in training), sum(score.support for score in training))
    by_language = {score.language: score for score in scores}
    rows = (
        [_accuracy_row(evaluation_id, score, reference, maker) for score in scores],
        [row for score in scores for row in _category_rows(evaluation_id, score, manifest["categories"], maker)],
        [(evaluation_id, *pair) for pair in pairs],
        [_confidence_row(evaluation_id, seen, by_language.get(seen["language"]), maker) for seen in confidence_by_language(predictions).collect()],
    )
    for table, values in zip(_TABLES, rows, strict=True):
        evaluations.add_rows(run.lake, table, values, evaluation_id)
    return sum(score.support for score in scores)


def _accuracy_row(evaluation_id: str, score: LanguageScore, reference: float | None, maker: tuple[str, str]) -> tuple[object, ...]:
    precision, recall, micro_f1 = score.counts.micro()
    macro_precision, macro_recall, macro_f1 = score.counts.macro()
    gap = None if reference is None else reference - score.top1
    return (
        evaluation_id,
        score.language,
        score.support,
        score.top1,
        *wilson(score.num_right, score.support),
        macro_f1,
        micro_f1,
        precision,
        recall,
        score.majority_baseline,
        gap,
        *maker,
        utc_now(),
        score.subset_accuracy,
        macro_precision,
        macro_recall,
        *(score.top1_at[percent] for percent in COVERAGES),
    )


def _category_rows(evaluation_id: str, score: LanguageScore, categories: list[str], maker: tuple[str, str]) -> list[tuple[object, ...]]:
    """A row per category: the counts, then precision, recall and F1, null where there is nothing to divide by."""
    counts = score.counts
    columns = zip(categories, counts.support.tolist(), counts.predicted.tolist(), counts.right.tolist(), counts.per_category().T.tolist(), strict=True)
    return [(evaluation_id, score.language, *numbers, *(None if math.isnan(share) else share for share in shares), *maker) for *numbers, shares in columns]


def _confidence_row(evaluation_id: str, seen: Row, score: LanguageScore | None, maker: tuple[str, str]) -> tuple[object, ...]:
    """What was seen of all videos of a language, and how it fits its test videos; nothing of that without any."""
    *shares, abstained = seen
    if score is None:
        return evaluation_id, *shares, None, None, None, [], *maker, None, [], abstained
    fit = debiased_ece(score.bins), score.brier, score.log_loss, _structs(score.bins)
    return evaluation_id, *shares, *fit, *maker, debiased_ece(score.uncalibrated_bins), _structs(score.uncalibrated_bins), abstained


def _structs(bins: list[Bin]) -> list[dict[str, object]]:
    return [dataclasses.asdict(b) for b in bins]
