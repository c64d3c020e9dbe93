"""The lists of label_issues: labels that are probably wrong, and videos whose label would help most, once per evaluation.

Whose confidences judge a label: they must be out of sample, for a head believes the labels that it learnt. A video on the
training side of a training language is judged by logistic regressions that saw neither its channel nor its text
(`quality/crossfit.py`), fitted on the driver to a sample of these videos; those beyond the sample are not judged. Any other
video is judged by the model version's own predictions; one whose text occurs among the training videos is left out, as it is
from the scores. (Validation and calibration videos have stopped and calibrated the head, but no weight was fitted to them.)

Labels of other languages than the training languages are read for this list only, which is scoring: nothing here
trains a model that serves.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.lake import evaluations
from xlclass.lake.runs import Run
from xlclass.lake.session import require_workers
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.transforms import split_of
from xlclass.quality.crossfit import NUM_FOLDS, out_of_fold
from xlclass.quality.label_quality import CHAMPION, JUDGED, OUT_OF_FOLD, mislabelled, worth_labelling
from xlclass.quality.splits import TRAIN, group_column
from xlclass.schemas import EMBEDDINGS, LABEL_ISSUES, PREDICTIONS, VIDEOS, unpack_vectors

log = logging.getLogger(__name__)


def find_label_issues(run: Run, version: ModelVersion, evaluation_id: str) -> None:
    """Writes the evaluation's rows of label_issues in one commit; an evaluation that has its rows keeps them."""
    with run.step("label issues") as step:
        run.lake.ensure(LABEL_ISSUES)
        most = run.settings.labels.per_language
        if not most or evaluations.has_rows(run.lake, LABEL_ISSUES, evaluation_id):
            return
        found = [tuple(row) for row in mislabelled(judged_videos(run, version), version.manifest()["categories"], most).collect()]
        found += worth_labelling(unlabelled_videos(run, version), most)
        evaluations.add_rows(run.lake, LABEL_ISSUES, [(evaluation_id, *row) for row in found], evaluation_id)
        step.num_rows = len(found)


def judged_videos(run: Run, version: ModelVersion) -> DataFrame:
    """The labelled videos with confidences that are out of sample: the columns `quality.labels.JUDGED`."""
    require_workers(run.lake.spark)
    manifest = version.manifest()
    known = F.array(*(F.lit(name) for name in manifest["categories"]))
    indices = F.transform(F.array_intersect("labels", known), lambda name: (F.array_position(known, name) - 1).cast("int"))
    labelled = run.lake.read(VIDEOS).where("text_hash IS NOT NULL").withColumn("labels", indices).where(F.size("labels") > 0)
    taught = (split_of(manifest).column(group_column()) == TRAIN) & F.col("language").isin(manifest["languages"])
    others = labelled.where(~taught).join(labelled.where(taught).select("text_hash").distinct(), "text_hash", how="left_anti")
    return _by_champion(run, version, others, known).unionByName(_out_of_fold(run, manifest, labelled.where(taught)))


def _by_champion(run: Run, version: ModelVersion, videos: DataFrame, known: Column) -> DataFrame:
    predictions = run.lake.read(PREDICTIONS).where((F.col("model_version") == version.name) & F.col("confidences").isNotNull())
    confidences = F.transform(known, lambda name: F.col("confidences")[name]).alias("confidences")
    return (
        videos.select("video_id", "language", "labels")
        .join(predictions.select("video_id", confidences), "video_id", how="inner")
        .select("video_id", "language", F.lit(CHAMPION).alias("judge"), "labels", "confidences")
    )


def _out_of_fold(run: Run, manifest: dict[str, Any], videos: DataFrame) -> DataFrame:
    """A sample of the training videos, those with the lowest hash, judged on the driver."""
    fold = F.pmod(F.xxhash64(F.lit("fold"), group_column()), F.lit(NUM_FOLDS)).alias("fold")
    chosen = videos.select("video_id", "language", "labels", "text_hash", fold).orderBy(F.xxhash64("video_id"), "video_id")
    sample = chosen.limit(run.settings.labels.sample_videos).join(_vectors(run, manifest), ["video_id", "text_hash"], how="inner").toPandas()
    sample = sample.sort_values("video_id", ignore_index=True)
    labels = np.zeros((len(sample), len(manifest["categories"])), np.float32)
    for row, indices in enumerate(sample.labels):
        labels[row, indices] = 1
    confidences = out_of_fold(unpack_vectors(sample.vector.tolist(), manifest["dim"]), labels, sample.fold.to_numpy(), sample.text_hash.to_numpy())
    sample = sample.assign(judge=OUT_OF_FOLD, labels=[list(map(int, indices)) for indices in sample.labels], confidences=confidences.tolist())
    judged = sample[~np.isnan(confidences).any(axis=1)]
    log.info("label issues: %s of the training videos judged out of fold", f"{len(judged):,}")
    columns = ["video_id", "language", "judge", "labels", "confidences"]
    return run.lake.spark.createDataFrame(list(judged[columns].itertuples(index=False, name=None)), JUDGED)


def unlabelled_videos(run: Run, version: ModelVersion) -> DataFrame:
    """The videos without any label that `version` has a prediction of: video_id, language, text_hash, top_category, top_confidence, vector."""
    predictions = run.lake.read(PREDICTIONS).where((F.col("model_version") == version.name) & F.col("top_category").isNotNull())
    return (
        run.lake.read(VIDEOS)
        .where("size(labels) = 0 AND text_hash IS NOT NULL")
        .select("video_id", "language", "text_hash")
        .join(predictions.select("video_id", "top_category", "top_confidence"), "video_id", how="inner")
        .join(_vectors(run, version.manifest()), ["video_id", "text_hash"], how="inner")
    )


def _vectors(run: Run, manifest: dict[str, Any]) -> DataFrame:
    """video_id, text_hash and vector of what the model version's encoder made."""
    ours = (F.col("encode_key.encoder_id") == manifest["encoder_id"]) & F.col("vector").isNotNull()
    return run.lake.read(EMBEDDINGS).where(ours).select("video_id", F.col("encode_key.text_hash").alias("text_hash"), "vector")
