"""Evaluation of a model version: one set of accuracy and confidence rows per model version, labels and split."""

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
from xlclass.quality.calibration_error import Bin, debiased_ece
from xlclass.quality.metrics import LanguageScore, ratio, wilson
from xlclass.quality.scoring import confidence_by_language, confusion, score_languages
from xlclass.quality.selective import COVERAGES
from xlclass.quality.test_set import scored_videos
from xlclass.schemas import CATEGORY_ACCURACY, CONFUSION, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, PREDICTIONS, VIDEOS

_TABLES = (
    LANGUAGE_ACCURACY,
    CATEGORY_ACCURACY,
    CONFUSION,
    LANGUAGE_CONFIDENCE,
)  # in the order of writing; the rows of the last table mark an evaluation as complete


def evaluate(run: Run, version: ModelVersion) -> str:
    """The id of the evaluation of `version`, whose rows are in the accuracy and confidence tables; equal inputs reuse existing rows.

    Raises:
        ModelError: the lake has no predictions of `version`.
    """
    with run.step("evaluate") as step:
        manifest = version.manifest()
        videos = run.lake.read(VIDEOS)
        predictions = run.lake.read(PREDICTIONS).where(F.col("model_version") == version.name)
        predictions_digest = _digest(predictions, "input_digest")
        if not predictions_digest[0]:
            raise ModelError(f"the lake {run.lake.root} has no predictions of the model version {version.name}: run jobs/backfill.py first")
        evaluation_id = settings_digest(version.name, manifest["split"], _digest(videos, "language", "labels", "text_hash", "channel_id"), predictions_digest)
        run.lake.ensure(*_TABLES)
        if not evaluations.has_rows(run.lake, _TABLES[-1], evaluation_id):
            step.num_rows = _evaluate(run, evaluation_id, version, predictions, videos)
        publish_latest(run.lake, evaluation_id, version.name)
    return evaluation_id


def _digest(rows: DataFrame, *columns: str) -> list[int | None]:
    """Number of rows, and a digest of video_id and `columns` that does not depend on the order of the rows."""
    return list(rows.agg(F.count("*"), F.bit_xor(F.xxhash64("video_id", *columns))).first())


def _evaluate(run: Run, evaluation_id: str, version: ModelVersion, predictions: DataFrame, videos: DataFrame) -> int:
    """Number of scored test videos, after their scores have been counted on the cluster and written to the tables."""
    manifest = version.manifest()
    scored = scored_videos(predictions, videos, manifest).persist()
    try:
        scores = score_languages(scored, manifest["categories"])
        pairs = [tuple(row) for row in confusion(scored).collect()]
    finally:
        scored.unpersist()
    source = (version.name, run.run_id)
    training = [score for score in scores if score.language in manifest["languages"]]
    training_top1 = ratio(sum(score.num_correct for score in training), sum(score.support for score in training))
    by_language = {score.language: score for score in scores}
    rows = (
        [_accuracy_row(evaluation_id, score, training_top1, source) for score in scores],
        [row for score in scores for row in _category_rows(evaluation_id, score, manifest["categories"], source)],
        [(evaluation_id, *pair) for pair in pairs],
        [_confidence_row(evaluation_id, row, by_language.get(row["language"]), source) for row in confidence_by_language(predictions).collect()],
    )
    for table, values in zip(_TABLES, rows, strict=True):
        evaluations.add_rows(run.lake, table, values, evaluation_id)
    return sum(score.support for score in scores)


def _accuracy_row(evaluation_id: str, score: LanguageScore, training_top1: float | None, source: tuple[str, str]) -> tuple[object, ...]:
    precision, recall, micro_f1 = score.counts.micro()
    macro_precision, macro_recall, macro_f1 = score.counts.macro()
    gap = None if training_top1 is None else training_top1 - score.top1
    return (
        evaluation_id,
        score.language,
        score.support,
        score.top1,
        *wilson(score.num_correct, score.support),
        macro_f1,
        micro_f1,
        precision,
        recall,
        score.majority_baseline,
        gap,
        *source,
        utc_now(),
        score.subset_accuracy,
        macro_precision,
        macro_recall,
        *(score.top1_at[percent] for percent in COVERAGES),
    )


def _category_rows(evaluation_id: str, score: LanguageScore, categories: list[str], source: tuple[str, str]) -> list[tuple[object, ...]]:
    """One row per category: the counts, then precision, recall and F1, each null if its denominator is 0."""
    counts = score.counts
    columns = zip(categories, counts.support.tolist(), counts.predicted.tolist(), counts.correct.tolist(), counts.per_category().T.tolist(), strict=True)
    return [(evaluation_id, score.language, *numbers, *(None if math.isnan(share) else share for share in shares), *source) for *numbers, shares in columns]


def _confidence_row(evaluation_id: str, confidence: Row, score: LanguageScore | None, source: tuple[str, str]) -> tuple[object, ...]:
    """Confidence over all videos of a language, and calibration on its test videos, null if it has none."""
    *shares, abstained = confidence
    if score is None:
        return evaluation_id, *shares, None, None, None, [], *source, None, [], abstained
    calibration = debiased_ece(score.bins), score.brier, score.log_loss, _structs(score.bins)
    return evaluation_id, *shares, *calibration, *source, debiased_ece(score.uncalibrated_bins), _structs(score.uncalibrated_bins), abstained


def _structs(bins: list[Bin]) -> list[dict[str, object]]:
    return [dataclasses.asdict(b) for b in bins]
