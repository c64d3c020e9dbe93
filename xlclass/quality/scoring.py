"""Accuracy, confidence and calibration per language: Spark counts on the cluster, numpy computes the metrics from the counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.quality.calibration_error import FINE_BINS, Bin, merged_bins
from xlclass.quality.metrics import CategoryCounts, LanguageScore
from xlclass.quality.selective import COVERAGES, top1_at_coverages

_EPSILON = 2.0**-23  # float32's resolution below 1: the clipping distance of log-loss from 0 and 1
NO_TEXT = "no_text"  # stands for the top category of a video without text


def score_languages(scored: DataFrame, categories: Sequence[str]) -> list[LanguageScore]:
    """The scores of each language, sorted by language, from the rows of `test_set.scored_videos`.

    A video without a prediction counts as wrong in every accuracy. Bins, Brier score and log-loss need a confidence and skip it.
    """
    rows = scored.withColumn("correct", F.coalesce(F.array_contains("labels", F.col("top_category")), F.lit(False)).cast("int"))
    totals = _totals(rows, categories).join(top1_at_coverages(rows), "language", how="inner").toPandas()
    per_category = _category_counts(rows, categories).toPandas()
    fine_bins = _fine_bins(rows, F.col("top_confidence"))
    uncalibrated = _fine_bins(rows, uncalibrated_confidence())
    return [
        LanguageScore(
            row.language,
            int(row.support),
            int(row.correct),
            int(row.exact),
            _counts(per_category[per_category.language == row.language], categories),
            {percent: float(getattr(row, f"top1_at_{percent}")) for percent in COVERAGES},
            _bins(fine_bins[fine_bins.language == row.language]),
            _bins(uncalibrated[uncalibrated.language == row.language]),
            *(None if pd.isna(value) else float(value) for value in (row.brier, row.log_loss)),
        )
        for row in totals.sort_values("language").itertuples()
    ]


def uncalibrated_confidence() -> Column:
    """The sigmoid of `top_logit`; null if there is no logit."""
    return 1 / (1 + F.exp(-F.col("top_logit").cast("double")))


def confusion(scored: DataFrame) -> DataFrame:
    """Number of videos per language, label and top category, from the rows of `test_set.scored_videos`; pairs without a video have no row.

    A video counts once under each of its labels. Summed over top categories, the counts give the label's support. Summed over
    labels, they may exceed the number of videos. The top category of a video without text is `no_text`.
    """
    pairs = scored.select("language", F.explode("labels").alias("label"), F.coalesce("top_category", F.lit(NO_TEXT)).alias("top_category"))
    return pairs.groupBy("language", "label", "top_category").agg(F.count("*").alias("num_videos")).orderBy("language", "label", "top_category")


def confidence_by_language(predictions: DataFrame) -> DataFrame:
    """Per language, over all predictions: number of videos, mean and deciles of the top confidence, shares without a category and abstained."""
    return (
        predictions.groupBy("language")
        .agg(
            F.count("*").alias("num_videos"),
            F.avg("top_confidence").alias("mean_confidence"),
            F.percentile_approx(F.col("top_confidence").cast("double"), [i / 10 for i in range(1, 10)], 10_000).alias("confidence_deciles"),
            F.avg((F.coalesce(F.size("categories"), F.lit(0)) < 1).cast("double")).alias("share_without_category"),
            F.avg((F.col("status") == "abstained").cast("double")).alias("share_abstained"),
        )
        .orderBy("language")
    )


def _totals(rows: DataFrame, categories: Sequence[str]) -> DataFrame:
    """Per language: number of videos, videos with a correct top category, videos with exactly their labels, mean Brier score and log-loss."""
    is_exact = F.coalesce(F.sort_array("given") == F.sort_array("labels"), F.lit(False))
    return rows.groupBy("language").agg(
        F.count("*").alias("support"),
        F.sum("correct").alias("correct"),
        F.count_if(is_exact).alias("exact"),
        F.avg(_mean_error(categories, _squared_error)).alias("brier"),
        F.avg(_mean_error(categories, _negative_log_likelihood)).alias("log_loss"),
    )


def _category_counts(rows: DataFrame, categories: Sequence[str]) -> DataFrame:
    """Per language and category: number of videos with the label, with the predicted category, and with both."""
    has_label = F.array_contains("labels", F.col("category"))
    is_predicted = F.coalesce(F.array_contains("given", F.col("category")), F.lit(False))
    per_category = rows.select("language", "labels", "given", F.explode(F.array(*map(F.lit, categories))).alias("category"))
    return per_category.groupBy("language", "category").agg(
        F.count_if(has_label).alias("support"), F.count_if(is_predicted).alias("predicted"), F.count_if(has_label & is_predicted).alias("correct")
    )


def _counts(per_category: pd.DataFrame, categories: Sequence[str]) -> CategoryCounts:
    ordered = per_category.set_index("category").reindex(list(categories))
    return CategoryCounts(*(ordered[name].to_numpy(np.int64) for name in ("support", "predicted", "correct")))


def _fine_bins(rows: DataFrame, confidence: Column) -> pd.DataFrame:
    """Per language and thousandth of `confidence`, lowest first: number of videos, sum of confidences, number of correct videos."""
    confident = rows.select("language", "correct", confidence.cast("double").alias("confidence")).where("confidence IS NOT NULL")
    counts = confident.groupBy("language", F.floor(F.col("confidence") * FINE_BINS).alias("bin")).agg(
        F.count("*").alias("num"), F.sum("confidence").alias("confidence"), F.sum("correct").alias("correct")
    )
    return counts.orderBy("bin").toPandas()


def _bins(fine_bins: Any) -> list[Bin]:
    return merged_bins(fine_bins.num.tolist(), fine_bins.confidence.tolist(), fine_bins.correct.tolist())


def _mean_error(categories: Sequence[str], error: Callable[[Column, Column], Column]) -> Column:
    """Mean of `error(confidence, has_label)` over the categories of a video; null without confidences."""
    terms = [error(F.col("confidences")[name].cast("double"), F.array_contains("labels", name)) for name in categories]
    return sum(terms[1:], terms[0]) / len(terms)


def _squared_error(confidence: Column, label: Column) -> Column:
    """The term of the Brier score (Brier 1950, Monthly Weather Review 78:1)."""
    return F.pow(confidence - label.cast("double"), F.lit(2.0))


def _negative_log_likelihood(confidence: Column, label: Column) -> Column:
    """The term of log-loss in nats; confidences are clipped by float32's resolution, as scikit-learn clips a float32."""
    likelihood = F.when(label, confidence).otherwise(1 - confidence)
    return -F.log(F.when(likelihood < _EPSILON, _EPSILON).when(likelihood > 1 - _EPSILON, 1 - _EPSILON).otherwise(likelihood))  # greatest() would skip a null
