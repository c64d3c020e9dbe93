"""Top-1 accuracy at a coverage: the accuracy if only the most confident videos get a category.

The number of videos at a coverage of `percent` is rounded up, so it is at least 1. A video without a prediction counts as
least confident and wrong. If several videos share the confidence at the cut-off, each of them counts with equal weight. This
is the expected value of a random choice among them, and it does not depend on the order of the rows.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

COVERAGES = (50, 80, 100)  # percent of a language's test videos


def selective_accuracy(confidence: np.ndarray, correct: np.ndarray, percent: int) -> float | None:
    """Share of correct videos among the most confident `percent`, both arrays `(num_videos,)`; null without videos.

    A confidence of nan means that the video has no prediction.

    >>> selective_accuracy(np.array([0.9, 0.5, 0.5, np.nan]), np.array([1, 1, 0, 0]), 50)
    0.75
    """
    num_covered = -(-len(confidence) * percent // 100)
    if not num_covered:
        return None
    sortable = np.where(np.isnan(confidence), -np.inf, confidence)
    correct = np.asarray(correct, np.float64) * ~np.isnan(confidence)
    cutoff = np.sort(sortable)[-num_covered]
    above = sortable > cutoff
    return float(correct[above].sum() + (num_covered - above.sum()) * correct[sortable == cutoff].mean()) / num_covered


def top1_at_coverages(rows: DataFrame) -> DataFrame:
    """Columns `top1_at_50` and so on per language.

    `rows` has `language`, `top_confidence` (null without a prediction) and `correct` (1 or 0; 0 without a prediction).
    """
    ties = rows.groupBy("language", "top_confidence").agg(F.count("*").alias("num"), F.sum("correct").alias("num_correct"))
    language = Window.partitionBy("language")
    most_confident_first = language.orderBy(F.col("top_confidence").desc_nulls_last()).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = ties.select(
        "language",
        "num",
        "num_correct",
        (F.sum("num").over(most_confident_first) - F.col("num")).alias("num_before"),
        F.sum("num").over(language).alias("num_all"),
    )
    return ranked.groupBy("language").agg(*(_top1_at(percent).alias(f"top1_at_{percent}") for percent in COVERAGES))


def _top1_at(percent: int) -> Column:
    num_covered = F.ceil(F.col("num_all") * percent / 100)
    num_used = F.greatest(F.least(num_covered - F.col("num_before"), F.col("num")), F.lit(0))
    return F.sum(F.col("num_correct") * num_used / F.col("num")) / F.max(num_covered)
