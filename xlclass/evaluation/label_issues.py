"""The rows of label_issues, once per evaluation: labels that are probably wrong, and unlabelled videos whose label would help most.

A label is judged by out-of-sample confidences, because a head is confident in the labels that it was trained on. A training video
of a training language is judged by logistic regressions trained without its channel and its text (`quality/crossfit.py`). They are
fitted on the driver to a sample of these videos; videos outside the sample are not judged. Every other video is judged by the model
version's own predictions, except a video whose text occurs among the training videos, which is left out here as in the scores.
(Validation and calibration videos set the number of epochs and the calibration, but no weight was fitted to them.)

Labels of languages other than the training languages are used for scoring only. This list is scoring: no model that is fitted here
makes predictions for the catalogue.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.encoders.pair import Route
from xlclass.lake import evaluations
from xlclass.lake.runs import Run
from xlclass.lake.session import require_workers
from xlclass.model.bundle import ModelVersion
from xlclass.quality.crossfit import NUM_FOLDS, out_of_fold
from xlclass.quality.label_quality import CHAMPION, JUDGED, OUT_OF_FOLD, mislabelled, worth_labelling
from xlclass.quality.splits import group_column
from xlclass.quality.test_set import labelled_videos, unseen_videos
from xlclass.schemas import LABEL_ISSUES, PREDICTIONS, VIDEOS

log = logging.getLogger(__name__)


def find_label_issues(run: Run, version: ModelVersion, evaluation_id: str) -> None:
    """Writes the evaluation's rows of label_issues in one commit; does nothing if the evaluation already has rows."""
    with run.step("label issues") as step:
        run.lake.ensure(LABEL_ISSUES)
        limit = run.settings.labels.per_language
        if not limit or evaluations.has_rows(run.lake, LABEL_ISSUES, evaluation_id):
            return
        issues = [tuple(row) for row in mislabelled(judged_videos(run, version), version.manifest()["categories"], limit).collect()]
        issues += worth_labelling(unlabelled_videos(run, version), limit)
        evaluations.add_rows(run.lake, LABEL_ISSUES, [(evaluation_id, *issue) for issue in issues], evaluation_id)
        step.num_rows = len(issues)


def judged_videos(run: Run, version: ModelVersion) -> DataFrame:
    """The labelled videos with out-of-sample confidences: the columns `label_quality.JUDGED`."""
    require_workers(run.lake.spark)
    manifest = version.manifest()
    categories = F.array(*(F.lit(name) for name in manifest["categories"]))
    indices = F.transform("labels", lambda name: (F.array_position(categories, name) - 1).cast("int"))
    labelled = labelled_videos(run.lake.read(VIDEOS).where("text_hash IS NOT NULL"), manifest).withColumn("labels", indices)
    return _by_champion(run, version, unseen_videos(labelled), categories).unionByName(_out_of_fold(run, version, labelled.where("is_trained_on")))


def _by_champion(run: Run, version: ModelVersion, videos: DataFrame, categories: Column) -> DataFrame:
    predictions = run.lake.read(PREDICTIONS).where((F.col("model_version") == version.name) & F.col("confidences").isNotNull())
    confidences = F.transform(categories, lambda name: F.col("confidences")[name]).alias("confidences")
    return (
        videos.select("video_id", "language", "labels")
        .join(predictions.select("video_id", confidences), "video_id", how="inner")
        .select("video_id", "language", F.lit(CHAMPION).alias("judge"), "labels", "confidences")
    )


def _out_of_fold(run: Run, version: ModelVersion, videos: DataFrame) -> DataFrame:
    """A sample of the training videos, the ones with the lowest hash, judged out of fold on the driver."""
    manifest = version.manifest()
    fold = F.pmod(F.xxhash64(F.lit("fold"), group_column()), F.lit(NUM_FOLDS)).alias("fold")
    by_hash = videos.select("video_id", "language", "labels", "text_hash", fold).orderBy(F.xxhash64("video_id"), "video_id")
    sample = by_hash.limit(run.settings.labels.sample_videos).join(_vectors(run, manifest), ["video_id", "text_hash"], how="inner").toPandas()
    sample = sample.sort_values("video_id", ignore_index=True)
    labels = np.zeros((len(sample), len(manifest["categories"])), np.float32)
    for row, indices in enumerate(sample.labels):
        labels[row, indices] = 1
    vectors = version.space().unpacked(sample.vector.tolist(), sample.encoder_id.tolist(), sample.language.tolist())
    confidences = out_of_fold(vectors, labels, sample.fold.to_numpy(), sample.text_hash.to_numpy())
    sample = sample.assign(judge=OUT_OF_FOLD, labels=[list(map(int, indices)) for indices in sample.labels], confidences=confidences.tolist())
    judged = sample[~np.isnan(confidences).any(axis=1)]
    log.info("label issues: %s training videos were judged out of fold", f"{len(judged):,}")
    columns = ["video_id", "language", "judge", "labels", "confidences"]
    return run.lake.spark.createDataFrame(list(judged[columns].itertuples(index=False, name=None)), JUDGED)


def unlabelled_videos(run: Run, version: ModelVersion) -> DataFrame:
    """The unlabelled videos with a prediction of `version`: video_id, language, text_hash, top_category, top_confidence, vector."""
    predictions = run.lake.read(PREDICTIONS).where((F.col("model_version") == version.name) & F.col("top_category").isNotNull())
    return (
        run.lake.read(VIDEOS)
        .where("size(labels) = 0 AND text_hash IS NOT NULL")
        .select("video_id", "language", "text_hash")
        .join(predictions.select("video_id", "top_category", "top_confidence"), "video_id", how="inner")
        .join(_vectors(run, version.manifest()), ["video_id", "text_hash"], how="inner")
    )


def _vectors(run: Run, manifest: dict[str, Any]) -> DataFrame:
    """video_id, text_hash, encoder_id and vector of the embeddings on the model version's route."""
    rows = run.lake.embeddings_on(Route.of(manifest)).where(F.col("vector").isNotNull())
    return rows.select("video_id", F.col("encode_key.text_hash").alias("text_hash"), "encoder_id", "vector")
