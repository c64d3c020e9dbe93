"""Accuracy, confidence and calibration per language: counted on the cluster, finished in numpy."""

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

_EPSILON = 2.0**-23  # float32's resolution below 1: no confidence is held to be surer
NO_TEXT = "no_text"  # the top category of a video that has none


def score_languages(scored: DataFrame, categories: Sequence[str]) -> list[LanguageScore]:
    """The scores per language of `test_set.scored_videos`, in the order of the languages.

    A video without a prediction is wrong everywhere, and left out of what is measured on confidences (bins, Brier, log-loss).
    """
    rows = scored.withColumn("right", F.coalesce(F.array_contains("labels", F.col("top_category")), F.lit(False)).cast("int"))
    totals = _totals(rows, categories).join(top1_at_coverages(rows), "language", how="inner").toPandas()
    per_category = _category_counts(rows, categories).toPandas()
    fine = _fine_bins(rows, F.col("top_confidence"))
    uncalibrated = _fine_bins(rows, uncalibrated_confidence())
    return [
        LanguageScore(
            row.language,
            int(row.support),
            int(row.right),
            int(row.exact),
            _counts(per_category[per_category.language == row.language], categories),
            {percent: float(getattr(row, f"top1_at_{percent}")) for percent in COVERAGES},
            _bins(fine[fine.language == row.language]),
            _bins(uncalibrated[uncalibrated.language == row.language]),
            *(None if pd.isna(value) else float(value) for value in (row.brier, row.log_loss)),
        )
        for row in totals.sort_values("language").itertuples()
    ]


def uncalibrated_confidence() -> Column:
    """The sigmoid of `top_logit`; null where there is none."""
    return 1 / (1 + F.exp(-F.col("top_logit").cast("double")))


def confusion(scored: DataFrame) -> DataFrame:
    """Per language, label and top category, how many of `test_set.scored_videos` have both; pairs without a video have no row.

    A video counts once, whole, under each of its labels: over the top categories the counts add up to the label's
    support, over the labels they may exceed the videos. The top category is `no_text` where there is none.
    """
    pairs = scored.select("language", F.explode("labels").alias("label"), F.coalesce("top_category", F.lit(NO_TEXT)).alias("top_category"))
    return pairs.groupBy("language", "label", "top_category").agg(F.count("*").alias("num_videos")).orderBy("language", "label", "top_category")


def confidence_by_language(predictions: DataFrame) -> DataFrame:
    """Per language, over all predictions: how many, mean and deciles of the top confidence, shares that got no category and that abstained."""
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
    """Per language: videos, those right and those given exactly their labels, mean Brier and log-loss."""
    exact = F.coalesce(F.sort_array("given") == F.sort_array("labels"), F.lit(False))
    return rows.groupBy("language").agg(
        F.count("*").alias("support"),
        F.sum("right").alias("right"),
        F.count_if(exact).alias("exact"),
        F.avg(_mean_error(categories, _squared_error)).alias("brier"),
        F.avg(_mean_error(categories, _negative_log_likelihood)).alias("log_loss"),
    )


def _category_counts(rows: DataFrame, categories: Sequence[str]) -> DataFrame:
    """Per language and category: videos with the label, given the category, both."""
    has_label = F.array_contains("labels", F.col("category"))
    is_given = F.coalesce(F.array_contains("given", F.col("category")), F.lit(False))
    each = rows.select("language", "labels", "given", F.explode(F.array(*map(F.lit, categories))).alias("category"))
    return each.groupBy("language", "category").agg(
        F.count_if(has_label).alias("support"), F.count_if(is_given).alias("predicted"), F.count_if(has_label & is_given).alias("right")
    )


def _counts(per_category: pd.DataFrame, categories: Sequence[str]) -> CategoryCounts:
    ordered = per_category.set_index("category").reindex(list(categories))
    return CategoryCounts(*(ordered[name].to_numpy(np.int64) for name in ("support", "predicted", "right")))


def _fine_bins(rows: DataFrame, confidence: Column) -> pd.DataFrame:
    """Per language and thousandth of `confidence`, lowest first: videos, sum of their confidences, how many are right."""
    sure = rows.select("language", "right", confidence.cast("double").alias("confidence")).where("confidence IS NOT NULL")
    counts = sure.groupBy("language", F.floor(F.col("confidence") * FINE_BINS).alias("bin")).agg(
        F.count("*").alias("num"), F.sum("confidence").alias("confidence"), F.sum("right").alias("right")
    )
    return counts.orderBy("bin").toPandas()


def _bins(fine: Any) -> list[Bin]:
    return merged_bins(fine.num.tolist(), fine.confidence.tolist(), fine.right.tolist())


def _mean_error(categories: Sequence[str], error: Callable[[Column, Column], Column]) -> Column:
    """Mean of `error(confidence, has the label)` over the categories of a video; null without confidences."""
    terms = [error(F.col("confidences")[name].cast("double"), F.array_contains("labels", name)) for name in categories]
    return sum(terms[1:], terms[0]) / len(terms)


def _squared_error(confidence: Column, label: Column) -> Column:
    """Brier 1950, Monthly Weather Review 78:1."""
    return F.pow(confidence - label.cast("double"), F.lit(2.0))


def _negative_log_likelihood(confidence: Column, label: Column) -> Column:
    """In nats, confidences clipped to float32's resolution from 0 and 1, as scikit-learn clips a float32."""
    happened = F.when(label, confidence).otherwise(1 - confidence)
    return -F.log(F.when(happened < _EPSILON, _EPSILON).when(happened > 1 - _EPSILON, 1 - _EPSILON).otherwise(happened))  # greatest() would pass over a null
