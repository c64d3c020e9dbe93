"""Accuracy, confidence and calibration per language: counted on the cluster, finished here in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_Z95 = 1.959963984540054  # the normal quantile of a 95 % interval
MIN_BIN = 100  # videos in a bin of the calibration error
MAX_BINS = 15  # more would leave a chance error in each that does not shrink with more videos


def wilson(num_right: int, num: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927, JASA 22:209, as in Brown, Cai, DasGupta 2001, section 3.1.1).

    >>> tuple(round(x, 4) for x in wilson(8, 10))
    (0.4902, 0.9433)
    """
    share, z2 = num_right / num, _Z95**2
    centre = (share + z2 / (2 * num)) / (1 + z2 / num)
    half = _Z95 / (1 + z2 / num) * math.sqrt(share * (1 - share) / num + z2 / (4 * num * num))
    return max(0.0, centre - half), min(1.0, centre + half)


def ratio(numerator: float, denominator: float) -> float | None:
    """Their quotient, null where the denominator is 0."""
    return numerator / denominator if denominator else None


@dataclass(frozen=True)
class CategoryCounts:
    """Counts of test videos per category, each `(num_categories,)`: with the label, given the category, both."""

    support: np.ndarray
    predicted: np.ndarray
    right: np.ndarray

    def f1(self) -> np.ndarray:
        """F1 per category, `(num_categories,)`: 2 right / (support + predicted), nan where it does not occur."""
        total = self.support + self.predicted
        return np.where(total > 0, 2 * self.right / np.maximum(total, 1), np.nan)

    def macro_f1(self) -> float | None:
        """Mean F1 over the categories that occur as a label or a prediction; null when none does."""
        values = self.f1()
        return float(np.nanmean(values)) if np.isfinite(values).any() else None

    def micro(self) -> tuple[float | None, float | None, float | None]:
        """Precision, recall and F1 over all decisions together."""
        support, predicted, right = (float(x.sum()) for x in (self.support, self.predicted, self.right))
        return ratio(right, predicted), ratio(right, support), ratio(2 * right, support + predicted)


@dataclass(frozen=True)
class Bin:
    """Test videos of neighbouring confidence."""

    num_videos: int
    mean_confidence: float
    top1: float


def merged_bins(num: Sequence[int], confidence: Sequence[float], right: Sequence[int], smallest: int = MIN_BIN) -> list[Bin]:
    """Neighbouring fine bins, lowest confidence first, joined to at most 15 of at least `smallest` videos; none where all hold fewer.

    `confidence` and `right` are sums over the fine bin's videos. What is left at the top joins the last bin.

    >>> [b.num_videos for b in merged_bins([60, 60, 100, 30], [6, 12, 50, 27], [6, 12, 50, 27])]
    [120, 130]
    """
    smallest = max(smallest, math.ceil(sum(num) / MAX_BINS))
    groups: list[list[float]] = []
    open_group = [0.0, 0.0, 0.0]
    for row in zip(num, confidence, right, strict=True):
        open_group = [a + b for a, b in zip(open_group, row, strict=True)]
        if open_group[0] >= smallest:
            groups.append(open_group)
            open_group = [0.0, 0.0, 0.0]
    if groups and open_group[0]:
        groups[-1] = [a + b for a, b in zip(groups[-1], open_group, strict=True)]
    return [Bin(int(n), c / n, r / n) for n, c, r in groups]


def debiased_ece(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error of the bins, less the bias that chance adds at the gaps seen; 0 at least, null without bins.

    Within a bin of n videos the share of right ones scatters with variance top1 (1 - top1) / n around its truth, so the
    mean |share - confidence| is too large by E|N(gap, s)| - |gap|; that is taken off (Kumar, Liang, Ma 2019, "Verified
    uncertainty calibration", section 5, in closed form by the folded normal distribution).
    """
    total = sum(b.num_videos for b in bins)
    if not total:
        return None
    error = 0.0
    for b in bins:
        gap = abs(b.top1 - b.mean_confidence)
        error += b.num_videos / total * (2 * gap - _folded_mean(gap, math.sqrt(b.top1 * (1 - b.top1) / b.num_videos)))
    return max(0.0, error)


def _folded_mean(mean: float, deviation: float) -> float:
    """E|N(mean, deviation)|, the mean of the folded normal distribution (Leone, Nelson, Nottingham 1961, eq. 5)."""
    if deviation == 0:
        return abs(mean)
    z = mean / deviation
    return deviation * math.sqrt(2 / math.pi) * math.exp(-z * z / 2) + mean * math.erf(z / math.sqrt(2))


@dataclass(frozen=True)
class LanguageScore:
    """One language's scores over its labelled test videos; see `schemas.LANGUAGE_ACCURACY` and `LANGUAGE_CONFIDENCE`."""

    language: str
    num_right: int
    support: int
    counts: CategoryCounts
    bins: list[Bin]
    brier: float | None
    log_loss: float | None

    @property
    def top1(self) -> float:
        """Share of the videos whose top category is among their labels."""
        return self.num_right / self.support

    @property
    def majority_baseline(self) -> float:
        """Top-1 of always saying the most frequent category."""
        return float(self.counts.support.max()) / self.support


def score_languages(scored: DataFrame, categories: Sequence[str]) -> list[LanguageScore]:
    """The scores per language of `pipeline.scored_videos`, in the order of the languages; counted on the cluster."""
    rows = scored.withColumn("right", F.coalesce(F.array_contains("labels", F.col("top_category")), F.lit(False)).cast("int"))
    totals = (
        rows.groupBy("language")
        .agg(
            F.count("*").alias("support"),
            F.sum("right").alias("right"),
            F.avg(_mean_error(categories, _squared_error)).alias("brier"),
            F.avg(_mean_error(categories, _negative_log_likelihood)).alias("log_loss"),
        )
        .toPandas()
    )
    per_category = _category_counts(rows, categories).toPandas()
    fine = (
        rows.where("top_confidence IS NOT NULL")
        .groupBy("language", F.floor(F.col("top_confidence") * 1000).alias("bin"))
        .agg(
            F.count("*").alias("num"),
            F.sum("top_confidence").alias("confidence"),
            F.sum("right").alias("right"),
        )
        .orderBy("bin")
        .toPandas()
    )
    return [
        _language_score(row, per_category[per_category.language == row.language], fine[fine.language == row.language], categories)
        for row in totals.sort_values("language").itertuples()
    ]


def _language_score(row: Any, per_category: pd.DataFrame, fine: pd.DataFrame, categories: Sequence[str]) -> LanguageScore:
    ordered = per_category.set_index("category").reindex(list(categories))
    counts = CategoryCounts(*(ordered[name].to_numpy(np.int64) for name in ("support", "predicted", "right")))
    bins = merged_bins(fine.num.tolist(), fine.confidence.tolist(), fine.right.tolist())
    brier, log_loss = (None if pd.isna(value) else float(value) for value in (row.brier, row.log_loss))
    return LanguageScore(row.language, int(row.right), int(row.support), counts, bins, brier, log_loss)


def _category_counts(rows: DataFrame, categories: Sequence[str]) -> DataFrame:
    """Per language and category: videos with the label, given the category, both."""
    has_label = F.array_contains("labels", F.col("category"))
    is_given = F.coalesce(F.array_contains("given", F.col("category")), F.lit(False))
    each = rows.select("language", "labels", "given", F.explode(F.array(*map(F.lit, categories))).alias("category"))
    return each.groupBy("language", "category").agg(
        F.count_if(has_label).alias("support"), F.count_if(is_given).alias("predicted"), F.count_if(has_label & is_given).alias("right")
    )


def _mean_error(categories: Sequence[str], error: Callable[[Column, Column], Column]) -> Column:
    """Mean of `error(confidence, has the label)` over the categories of a video; null without confidences."""
    terms = [error(F.col("confidences")[name].cast("double"), F.array_contains("labels", name)) for name in categories]
    return sum(terms[1:], terms[0]) / len(terms)


def _squared_error(confidence: Column, label: Column) -> Column:
    """Brier 1950, Monthly Weather Review 78:1."""
    return F.pow(confidence - label.cast("double"), F.lit(2.0))


def _negative_log_likelihood(confidence: Column, label: Column) -> Column:
    """In nats, with the probability of what happened at least 1e-7 (float32's resolution below 1)."""
    return -F.log(F.greatest(F.when(label, confidence).otherwise(1 - confidence), F.lit(1e-7)))


def confidence_by_language(predictions: DataFrame) -> DataFrame:
    """Per language, over all predictions: how many, mean and deciles of the top confidence, share that got no category."""
    return (
        predictions.groupBy("language")
        .agg(
            F.count("*").alias("num_videos"),
            F.avg("top_confidence").alias("mean_confidence"),
            F.percentile_approx(F.col("top_confidence").cast("double"), [i / 10 for i in range(1, 10)], 10_000).alias("confidence_deciles"),
            F.avg((F.coalesce(F.size("categories"), F.lit(0)) < 1).cast("double")).alias("share_without_category"),
        )
        .orderBy("language")
    )
