"""Label issues per language: labels that are probably wrong, and unlabelled videos whose label would help most.

**Mislabelled.** Confident learning (Northcutt, Jiang, Chuang 2021, "Confident learning: estimating uncertainty in dataset
labels", JAIR 70:1373) on out-of-sample confidences. The threshold of category j is the mean confidence in j over the videos
labelled j (section 3.1, eq. 2; here per language and judge, shrunk towards the judge's other languages if labels are few). The
check uses the label with the lowest confidence of each video. The label is suspect if its confidence is below its threshold and
another category has a higher confidence, which reaches that category's own threshold. These are the off-diagonal entries of the
paper's confident joint, without the cases where the label is confident too, because a video may have several labels. Suspect
labels are ranked by self-confidence (section 4.1), the label's own confidence, lowest first. On the real catalogue this ranking
was better than margins, cleanlab's moving average over all categories, and confidences minus thresholds. A wrong label among
several is found. A missing label is not searched for, because a person need not name every category.

**Worth labelling.** Unlabelled videos are ranked by uncertainty times density. Uncertainty is 1 minus the top confidence (least
confident: Lewis and Gale 1994). Density is the mean cosine to the nearest of a random sample of the language's unlabelled videos
(information density: Settles and Craven 2008, section 3.4), so that outliers do not lead the list. Of near-duplicates only the
first is listed.

Why not cleanlab at run time: it holds a whole data set in memory. Its thresholds, the only part needed here, are a mean per
language on the cluster and a comparison per row. cleanlab 2.9.0 is Apache-2.0, but its wheel has a file under an AGPL notice, and
`make environment` packs wheels whole. Therefore it is only the oracle in `tests/quality/test_label_quality.py`.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from xlclass.schemas import VECTOR_DTYPE, unit

CHAMPION, OUT_OF_FOLD = "champion", "out_of_fold"  # judges of a label: the model version, or a model that was trained without the video's channel
JUDGED = "video_id string, language string, judge string, labels array<int>, confidences array<float>"  # labels are category indices
_PRIOR_VIDEOS = 20  # weight of the prior in a shrunk threshold, in labelled videos
_SAMPLE_VIDEOS = 256  # videos of a language that every video is compared with
_NEIGHBOURS = 8  # nearest videos of the sample that the density averages
_DUPLICATE_COSINE = 0.9  # videos of at least this cosine are near-duplicates
_CANDIDATES = 10  # candidates per listed video, because near-duplicates are dropped from them
_JUDGE_NAMES = {CHAMPION: "the model", OUT_OF_FOLD: "a model trained without this channel"}


@dataclass(frozen=True)
class LabelCheck:
    """The check of the labels of n videos, each field `(n,)`; `label` and `alternative` are category indices.

    `label` is the video's label with the lowest confidence. `alternative` is the category that contradicts it most; -1, with
    a confidence of nan, if the label is not suspect.
    """

    label: np.ndarray
    label_confidence: np.ndarray
    alternative: np.ndarray
    alternative_confidence: np.ndarray


def check_labels(confidences: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> LabelCheck:
    """The check of `labels`, `(n, num_categories) bool` with at least one label in each row; ties go to the lower index.

    `confidences` and `thresholds` have the same shape.

    >>> check = check_labels(np.array([[0.9, 0.05], [0.4, 0.3]]), np.array([[0, 1], [0, 1]], bool), np.array([[0.7, 0.6], [0.7, 0.6]]))
    >>> check.alternative.tolist(), check.label_confidence.tolist()
    ([0, -1], [0.05, 0.3])
    """
    rows = np.arange(len(confidences))
    label = np.where(labels, confidences, np.inf).argmin(axis=1)
    label_confidence = confidences[rows, label]
    is_unsure = label_confidence < thresholds[rows, label]
    contradicts = is_unsure[:, None] & (confidences > label_confidence[:, None]) & (confidences >= thresholds)
    candidates = np.where(contradicts, confidences, -np.inf)
    alternative, highest = candidates.argmax(axis=1), candidates.max(axis=1, initial=-np.inf)
    is_suspect = np.isfinite(highest)
    return LabelCheck(label, label_confidence, np.where(is_suspect, alternative, -1), np.where(is_suspect, highest, np.nan))


def shrunk_thresholds(nums: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Mean confidence in each category over the videos labelled with it, `(num_languages, num_categories)`, for one judge.

    `nums` counts these videos and `sums` adds up their confidences. A language's mean is shrunk towards the mean of all languages
    with a weight of 20 videos, and the mean of all languages likewise towards 0.5.

    >>> shrunk_thresholds(np.array([[0], [20]]), np.array([[0.0], [18.0]])).round(2).tolist()
    [[0.7], [0.8]]
    """
    pooled = (sums.sum(axis=0) + _PRIOR_VIDEOS * 0.5) / (nums.sum(axis=0) + _PRIOR_VIDEOS)
    return (sums + _PRIOR_VIDEOS * pooled) / (nums + _PRIOR_VIDEOS)


def thresholds_by_language(judged: DataFrame, num_categories: int) -> list[tuple[str, str, int, list[float]]]:
    """Judge, language, number of judged labels and the thresholds of all categories; counted on the cluster."""
    exploded = judged.select("judge", "language", "confidences", F.explode("labels").alias("category"))
    label_confidence = F.get("confidences", F.col("category")).cast("double")
    counts = exploded.groupBy("judge", "language", "category").agg(F.count("*").alias("num"), F.sum(label_confidence).alias("sum")).toPandas()
    rows: list[tuple[str, str, int, list[float]]] = []
    for judge, of_judge in counts.groupby("judge"):
        nums, sums = (
            of_judge.pivot(index="language", columns="category", values=name).reindex(columns=range(num_categories)).fillna(0) for name in ("num", "sum")
        )
        thresholds = shrunk_thresholds(nums.to_numpy(np.float64), sums.to_numpy(np.float64))
        rows += [(judge, language, int(num), row.tolist()) for language, num, row in zip(nums.index, nums.sum(axis=1), thresholds, strict=True)]
    return rows


def checked_labels(judged: DataFrame, num_categories: int) -> DataFrame:
    """video_id, language, judge, num_labels and the fields of `LabelCheck` for every row of JUDGED.

    `num_labels` is the number of labels that the same judge checked in the same language.
    """
    thresholds = judged.sparkSession.createDataFrame(
        thresholds_by_language(judged, num_categories), "judge string, language string, num_labels int, thresholds array<double>"
    )
    columns = ("video_id", "language", "judge", "num_labels")
    check = _check_udf()("confidences", "labels", "thresholds").alias("check")
    return judged.join(F.broadcast(thresholds), ["judge", "language"], how="inner").select(*columns, check).select(*columns, "check.*")


def _check_udf() -> Any:
    @F.pandas_udf("label int, label_confidence double, alternative int, alternative_confidence double")
    def check(confidences: pd.Series, labels: pd.Series, thresholds: pd.Series) -> pd.DataFrame:
        scores = np.stack(confidences.to_list()).astype(np.float64)
        indicators = np.zeros(scores.shape, bool)
        for row, indices in enumerate(labels):
            indicators[row, indices] = True
        return pd.DataFrame(dataclasses.asdict(check_labels(scores, indicators, np.stack(thresholds.to_list()))))

    return check


def mislabelled(judged: DataFrame, categories: Sequence[str], per_language: int) -> DataFrame:
    """Rows of `label_issues` without evaluation_id for the most suspect labels, at most `per_language` a language.

    `judged` has the columns JUDGED, at least one label in each row and no null; `categories` in the order of its confidences. The
    score is the share of labels of the same language and judge that rank lower; the label itself counts half. The confidences of
    two judges are not comparable: those of an uncalibrated head are more extreme and would fill the list. The ranking by share
    gives each judge its share of the list.
    """
    suspects = checked_labels(judged, len(categories)).where("alternative >= 0")
    of_judge = Window.partitionBy("language", "judge").orderBy("label_confidence", F.desc("alternative_confidence"), "video_id")
    ranked = suspects.withColumn("rank", F.row_number().over(of_judge)).where(F.col("rank") <= per_language)
    scored = ranked.withColumn("score", 1 - (F.col("rank") - 0.5) / F.col("num_labels"))
    of_language = Window.partitionBy("language").orderBy(F.desc("score"), "label_confidence", "video_id")
    listed = scored.withColumn("place", F.row_number().over(of_language)).where(F.col("place") <= per_language)
    return listed.select("video_id", "language", F.lit("mislabelled").alias("issue"), "score", _mislabelled_reason(categories).alias("reason"))


def _mislabelled_reason(categories: Sequence[str]) -> Column:
    names = F.array(*(F.lit(name) for name in categories))
    judge = F.create_map(*(F.lit(text) for pair in _JUDGE_NAMES.items() for text in pair))[F.col("judge")]
    alternative, label = F.get(names, F.col("alternative")), F.get(names, F.col("label"))
    text = "%s predicts %s with confidence %.2f; the label %s has confidence %.2f"
    return F.format_string(text, judge, alternative, "alternative_confidence", label, "label_confidence")


def density(vectors: np.ndarray, sample: np.ndarray, sample_index: np.ndarray) -> np.ndarray:
    """Density around each vector, `(n,) float32` from 0 to 1: mean cosine to the nearest 8 of `sample`, 0 if there are none.

    `sample_index (n,)` is the row of the same video in `sample`, -1 if it is not in the sample; a video is not its own neighbour.
    """
    cosines = unit(vectors) @ unit(sample).T
    in_sample = sample_index >= 0
    cosines[in_sample, sample_index[in_sample]] = -np.inf
    nearest = -np.sort(-cosines, axis=1)[:, :_NEIGHBOURS]
    num = np.isfinite(nearest).sum(axis=1)
    return np.clip(np.where(np.isfinite(nearest), nearest, 0).sum(axis=1) / np.maximum(num, 1), 0, 1)


def distinct(vectors: np.ndarray, limit: int, duplicate_cosine: float = _DUPLICATE_COSINE) -> list[int]:
    """Rows of the first `limit` vectors that are not near-duplicates of an earlier one, that is, have a cosine below `duplicate_cosine`.

    >>> distinct(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 5)
    [0, 2]
    """
    normalized = unit(vectors)
    kept: list[int] = []
    for row in range(len(normalized)):
        if len(kept) == limit:
            break
        if not kept or (normalized[kept] @ normalized[row]).max() < duplicate_cosine:
            kept.append(row)
    return kept


def worth_labelling(unlabelled: DataFrame, per_language: int) -> list[tuple[str, str, str, float, str]]:
    """Rows of `label_issues` without evaluation_id for the most useful videos, best first, at most `per_language` a language.

    `unlabelled` has video_id, language, text_hash, top_category, top_confidence and vector, without nulls. The cluster ranks
    all videos. Ten candidates per listed row reach the driver, which drops near-duplicates.
    """
    by_hash = Window.partitionBy("language").orderBy(F.xxhash64("video_id"), "video_id")
    sample = unlabelled.select("language", "video_id", "vector", F.row_number().over(by_hash).alias("rank")).where(F.col("rank") <= _SAMPLE_VIDEOS).toPandas()
    if sample.empty or not per_language:
        return []
    texts = unlabelled.groupBy("language", "text_hash").agg(F.min(F.struct("video_id", "top_category", "top_confidence", "vector")).alias("video"))
    with_density = texts.select("language", "video.*").withColumn("density", _density_udf(sample)("language", "video_id", "vector"))
    uncertainty = 1 - F.col("top_confidence").cast("double")
    score = F.greatest(F.lit(0.0), F.least(F.lit(1.0), uncertainty * F.col("density")))
    best_first = Window.partitionBy("language").orderBy(F.desc("score"), "video_id")
    ranked = with_density.withColumn("score", score).withColumn("rank", F.row_number().over(best_first))
    candidates = ranked.where(F.col("rank") <= per_language * _CANDIDATES).toPandas()
    rows = []
    for _, group in candidates.sort_values(["language", "rank"]).groupby("language"):
        rows += [_worth_labelling_row(group.iloc[row]) for row in distinct(_stacked(group.vector), per_language)]
    return rows


def _worth_labelling_row(video: Any) -> tuple[str, str, str, float, str]:
    reason = (
        f"the model's top category {video.top_category} has confidence {video.top_confidence:.2f}; "
        f"the mean cosine to the nearest videos of the language is {video.density:.2f}"
    )
    return video.video_id, video.language, "worth_labelling", float(video.score), reason


def _stacked(vectors: pd.Series) -> np.ndarray:
    return np.stack([np.frombuffer(row, VECTOR_DTYPE) for row in vectors])


def _density_udf(sample: pd.DataFrame) -> Any:
    """A UDF that gives the density of a video in its language's sample; each executor receives all samples once."""
    samples = {language: (dict(zip(rows.video_id, range(len(rows)), strict=True)), _stacked(rows.vector)) for language, rows in sample.groupby("language")}

    @F.pandas_udf("float")
    def measure(batches: Iterator[tuple[pd.Series, pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for languages, ids, vectors in batches:
            result = pd.Series(0.0, index=ids.index)
            for language, rows in languages.groupby(languages).groups.items():
                index_by_id, sample_vectors = samples[language]
                sample_index = np.array([index_by_id.get(video_id, -1) for video_id in ids[rows]])
                result[rows] = density(_stacked(vectors[rows]), sample_vectors, sample_index)
            yield result

    return measure
