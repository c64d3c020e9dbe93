"""Top-1 of the surest videos: what a user gets who passes over the rest.

A share `percent` of n videos is its ceiling, so that it is never empty. A video without a prediction counts as least
confident and wrong. Where several of equal confidence lie at the cut, each counts by the share of them that is still
wanted: what a random choice among them would give on average, whatever the order of the rows.
"""

from __future__ import annotations

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

COVERAGES = (50, 80, 100)  # per cent of a language's test videos


def selective_accuracy(confidence: np.ndarray, right: np.ndarray, percent: int) -> float | None:
    """Share of right ones among the most confident `percent` of the videos, `(num_videos,)` each; null without videos.

    A confidence of nan stands for no prediction.

    >>> selective_accuracy(np.array([0.9, 0.5, 0.5, np.nan]), np.array([1, 1, 0, 0]), 50)
    0.75
    """
    num = -(-len(confidence) * percent // 100)
    if not num:
        return None
    sure = np.where(np.isnan(confidence), -np.inf, confidence)
    right = np.asarray(right, np.float64) * ~np.isnan(confidence)
    cut = np.sort(sure)[-num]
    above = sure > cut
    return float(right[above].sum() + (num - above.sum()) * right[sure == cut].mean()) / num


def top1_at_coverages(rows: DataFrame) -> DataFrame:
    """Per language, `top1_at_50` and so on from rows with `language`, `top_confidence` and `right` (0 or 1; 0 without a prediction)."""
    groups = rows.groupBy("language", "top_confidence").agg(F.count("*").alias("num"), F.sum("right").alias("num_right"))
    language = Window.partitionBy("language")
    surest_first = language.orderBy(F.col("top_confidence").desc_nulls_last()).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    ranked = groups.select(
        "language",
        "num",
        "num_right",
        (F.sum("num").over(surest_first) - F.col("num")).alias("num_surer"),
        F.sum("num").over(language).alias("num_all"),
    )
    return ranked.groupBy("language").agg(*(_top1_at(percent).alias(f"top1_at_{percent}") for percent in COVERAGES))


def _top1_at(percent: int) -> Column:
    wanted = F.ceil(F.col("num_all") * percent / 100)
    taken = F.greatest(F.least(wanted - F.col("num_surer"), F.col("num")), F.lit(0))
    return F.sum(F.col("num_right") * taken / F.col("num")) / F.max(wanted)
