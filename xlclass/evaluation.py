"""Predictions to the tables that say how good they are, once per model version, labels and split."""

from __future__ import annotations

import dataclasses

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.config import settings_digest
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import ModelError
from xlclass.lake.runs import Run, utc_now
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline import scored_videos
from xlclass.quality.metrics import LanguageScore, confidence_by_language, debiased_ece, ratio, score_languages, wilson
from xlclass.quality.summary import LanguageLine, language_table
from xlclass.schemas import CATEGORY_ACCURACY, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, PREDICTIONS, VIDEOS


def evaluate(run: Run, version: ModelVersion) -> str:
    """Writes the accuracy and confidence tables for `version` and gives the evaluation's id; equal inputs reuse their rows."""
    with run.step("evaluate") as step:
        manifest = version.load().manifest
        videos = run.lake.read(VIDEOS)
        predictions = run.lake.read(PREDICTIONS).where(F.col("model_version") == version.name)
        contents = _contents(predictions, "input_digest")
        if not contents[0]:
            raise ModelError(f"the lake {run.lake.root} has no predictions of the model version {version.name}: run jobs/backfill.py first")
        evaluation_id = settings_digest(version.name, manifest["split"], _contents(videos), contents)
        run.lake.ensure(LANGUAGE_ACCURACY, CATEGORY_ACCURACY, LANGUAGE_CONFIDENCE)
        if run.lake.read(LANGUAGE_CONFIDENCE).where(F.col("evaluation_id") == evaluation_id).isEmpty():
            scores = score_languages(scored_videos(predictions, videos, manifest), manifest["categories"])
            _write(run, evaluation_id, version, scores, predictions)
            step.num_rows = sum(score.support for score in scores)
    return evaluation_id


def summary(run: Run, evaluation_id: str, version: ModelVersion, encoder: EncoderSpec) -> str:
    """The evaluation's table for people, read from the lake's tables."""
    rows = (
        run.lake.read(LANGUAGE_CONFIDENCE)
        .where(F.col("evaluation_id") == evaluation_id)
        .select("language", "num_videos", "mean_confidence")
        .join(
            run.lake.read(LANGUAGE_ACCURACY).where(F.col("evaluation_id") == evaluation_id).select("language", "support", "top1", "majority_baseline"),
            "language",
            how="left",
        )
    )
    lines = [
        LanguageLine(
            row["language"],
            row["num_videos"],
            row["mean_confidence"],
            row["support"] or 0,
            round((row["top1"] or 0) * (row["support"] or 0)),
            row["majority_baseline"],
        )
        for row in rows.collect()
    ]
    return language_table(lines, version.load().manifest["languages"], encoder.languages) + f"\n\ntables: {run.lake.root}"


def _contents(rows: DataFrame, *columns: str) -> list[int | None]:
    """Number of rows and an order-free digest of what an evaluation reads of them."""
    row = rows.agg(F.count("*"), F.bit_xor(F.xxhash64("video_id", *(columns or ("language", "labels", "text_hash", "channel_id"))))).first()
    return list(row)


def _write(run: Run, evaluation_id: str, version: ModelVersion, scores: list[LanguageScore], predictions: DataFrame) -> None:
    """The three tables; language_confidence, by which an evaluation is known as done, comes last."""
    maker = (version.name, run.run_id)
    categories = version.load().categories
    training = [score for score in scores if score.language in version.load().manifest["languages"]]
    reference = ratio(sum(score.num_right for score in training), sum(score.support for score in training))
    by_language = {score.language: score for score in scores}
    seen = confidence_by_language(predictions).collect()
    rows = {
        LANGUAGE_ACCURACY: [_accuracy_row(evaluation_id, score, reference, maker) for score in scores],
        CATEGORY_ACCURACY: [row for score in scores for row in _category_rows(evaluation_id, score, categories, maker)],
        LANGUAGE_CONFIDENCE: [(evaluation_id, *row, *_calibration(by_language.get(row["language"])), *maker) for row in seen],
    }
    for table, values in rows.items():
        if values and run.lake.read(table).where(F.col("evaluation_id") == evaluation_id).isEmpty():  # else a run that died wrote them
            run.lake.append_values(table, values)


def _accuracy_row(evaluation_id: str, score: LanguageScore, reference: float | None, maker: tuple[str, str]) -> tuple[object, ...]:
    precision, recall, micro_f1 = score.counts.micro()
    gap = None if reference is None else reference - score.top1
    return (
        evaluation_id,
        score.language,
        score.support,
        score.top1,
        *wilson(score.num_right, score.support),
        score.counts.macro_f1(),
        micro_f1,
        precision,
        recall,
        score.majority_baseline,
        gap,
        *maker,
        utc_now(),
    )


def _category_rows(evaluation_id: str, score: LanguageScore, categories: tuple[str, ...], maker: tuple[str, str]) -> list[tuple[object, ...]]:
    counts = score.counts
    rows: list[tuple[object, ...]] = []
    for i, category in enumerate(categories):
        support, predicted, right = int(counts.support[i]), int(counts.predicted[i]), int(counts.right[i])
        f1 = ratio(2 * right, support + predicted)
        rows.append((evaluation_id, score.language, category, support, predicted, right, ratio(right, predicted), ratio(right, support), f1, *maker))
    return rows


def _calibration(score: LanguageScore | None) -> tuple[object, ...]:
    """ece, brier, log_loss and the reliability bins; nothing without test videos."""
    if score is None:
        return None, None, None, []
    return debiased_ece(score.bins), score.brier, score.log_loss, [dataclasses.astuple(b) for b in score.bins]
