"""Which labels are most likely wrong, and which videos' labels would help most, per language.

**Mislabelled.** Confident learning (Northcutt, Jiang, Chuang 2021, "Confident learning: estimating uncertainty in dataset
labels", JAIR 70:1373) on confidences that are out of sample. What is compared: the lowest confidence among a video's labels,
with the confidences of all other categories. What is usual for category j is the mean confidence in j over the videos labelled
j (section 3.1, eq. 2; here per language and judge, shrunk to the judge's other languages where labels are few). A label is
doubted where its confidence is below its usual one, and another category's is above the label's and reaches its own usual one:
off the diagonal of the paper's confident joint, less the cases where the label, too, is confident, as one of several labels may
be. Doubted labels are ranked by self-confidence (section 4.1), the label's own confidence, lowest first (on the real catalogue
better than margins, cleanlab's moving average over all categories, or confidences less thresholds). One wrong label among
several is found; one that is missing beside right ones is not looked for: a person need not have named all.

**Worth labelling.** Unlabelled videos by how unsure the model is (least confident: Lewis and Gale 1994; 1 minus the top
confidence) times how typical the video is of its language's unlabelled ones (information density: Settles and Craven 2008,
section 3.4; mean cosine to the nearest of a random sample), so that outliers do not lead the list; of near-duplicates the first.

Why not cleanlab at run time: it holds a whole data set in memory, and what is needed of it here are the thresholds, a
mean per language on the cluster, and one look-up per row. Its 2.9.0 is Apache-2.0, but its wheel has a file under an AGPL
notice, and `make environment` packs wheels whole. So it is the oracle in `tests/quality/test_label_quality.py`.
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

CHAMPION, OUT_OF_FOLD = "champion", "out_of_fold"  # who judged a video: the model version, or a model that never saw its channel
JUDGED = "video_id string, language string, judge string, labels array<int>, confidences array<float>"  # labels are category indices
_PRIOR_VIDEOS = 20  # labelled videos that the shrinking of a threshold counts for
_REFERENCE = 256  # videos of a language that a video is compared with
_NEIGHBOURS = 8  # the nearest of them that its density is the mean of
_SAME = 0.9  # cosine from which on two videos are near-duplicates
_SPARE = 10  # candidates per video listed, for near-duplicates to be dropped from
_WHO = {CHAMPION: "the model", OUT_OF_FOLD: "a model trained without its channel"}


@dataclass(frozen=True)
class Doubts:
    """What speaks against the labels of n videos, each `(n,)`.

    `label` and `says` are category indices: the label of the lowest confidence, and the category that contradicts it most, -1
    where none does.
    """

    label: np.ndarray
    label_confidence: np.ndarray
    says: np.ndarray
    says_confidence: np.ndarray


def doubts(confidences: np.ndarray, labels: np.ndarray, thresholds: np.ndarray) -> Doubts:
    """The doubts about `labels`, `(n, num_categories) bool` with one at least in each row; ties go to the lower index.

    `confidences` and `thresholds` have the same shape.

    >>> found = doubts(np.array([[0.9, 0.05], [0.4, 0.3]]), np.array([[0, 1], [0, 1]], bool), np.array([[0.7, 0.6], [0.7, 0.6]]))
    >>> found.says.tolist(), found.label_confidence.tolist()
    ([0, -1], [0.05, 0.3])
    """
    rows = np.arange(len(confidences))
    label = np.where(labels, confidences, np.inf).argmin(axis=1)
    own = confidences[rows, label]
    doubtful = (own < thresholds[rows, label])[:, None] & (confidences > own[:, None])  # never the label itself
    against = np.where(doubtful & (confidences >= thresholds), confidences, -np.inf)
    says, most = against.argmax(axis=1), against.max(axis=1, initial=-np.inf)
    return Doubts(label, own, np.where(np.isfinite(most), says, -1), np.where(np.isfinite(most), most, np.nan))


def shrunk_thresholds(nums: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Mean confidence in each category over the videos labelled so, `(num_languages, num_categories)`, of one judge.

    `nums` and `sums` are their number and the sum of their confidences in it. A language's mean is drawn to that of all
    languages as by 20 videos more, and that one to 0.5.

    >>> shrunk_thresholds(np.array([[0], [20]]), np.array([[0.0], [18.0]])).round(2).tolist()
    [[0.7], [0.8]]
    """
    pooled = (sums.sum(axis=0) + _PRIOR_VIDEOS * 0.5) / (nums.sum(axis=0) + _PRIOR_VIDEOS)
    return (sums + _PRIOR_VIDEOS * pooled) / (nums + _PRIOR_VIDEOS)


def usual_confidences(judged: DataFrame, num_categories: int) -> list[tuple[str, str, int, list[float]]]:
    """Judge, language, number of labels judged and the threshold of every category; counted on the cluster."""
    each = judged.select("judge", "language", "confidences", F.explode("labels").alias("category"))
    own = F.get("confidences", F.col("category")).cast("double")
    counts = each.groupBy("judge", "language", "category").agg(F.count("*").alias("num"), F.sum(own).alias("sum")).toPandas()
    rows: list[tuple[str, str, int, list[float]]] = []
    for judge, of_judge in counts.groupby("judge"):
        nums, sums = (
            of_judge.pivot(index="language", columns="category", values=name).reindex(columns=range(num_categories)).fillna(0) for name in ("num", "sum")
        )
        thresholds = shrunk_thresholds(nums.to_numpy(np.float64), sums.to_numpy(np.float64))
        rows += [(judge, language, int(num), row.tolist()) for language, num, row in zip(nums.index, nums.sum(axis=1), thresholds, strict=True)]
    return rows


def doubted(judged: DataFrame, num_categories: int) -> DataFrame:
    """Rows of JUDGED without their arrays, with the fields of `Doubts` and `num_labels`, of how many labels of its language and judge it is one."""
    usual = usual_confidences(judged, num_categories)
    table = judged.sparkSession.createDataFrame(usual, "judge string, language string, num_labels int, thresholds array<double>")
    found = judged.join(F.broadcast(table), ["judge", "language"], how="inner")
    doubt = _doubts_udf()("confidences", "labels", "thresholds").alias("doubt")
    return found.select("video_id", "language", "judge", "num_labels", doubt).select("video_id", "language", "judge", "num_labels", "doubt.*")


def _doubts_udf() -> Any:
    @F.pandas_udf("label int, label_confidence double, says int, says_confidence double")
    def compare(confidences: pd.Series, labels: pd.Series, thresholds: pd.Series) -> pd.DataFrame:
        scores = np.stack(confidences.to_list()).astype(np.float64)
        given = np.zeros(scores.shape, bool)
        for row, indices in enumerate(labels):
            given[row, indices] = True
        return pd.DataFrame(dataclasses.asdict(doubts(scores, given, np.stack(thresholds.to_list()))))

    return compare


def mislabelled(judged: DataFrame, categories: Sequence[str], per_language: int) -> DataFrame:
    """At most `per_language` rows of `label_issues` a language, without evaluation_id: the most doubted labels.

    `judged` has the columns JUDGED, a label at least in each row and no null; `categories` in the order of its confidences. The
    score is the share of the labels of that language and judge that are less doubted, itself half: two judges' confidences need not mean the
    same (uncalibrated, a head's are the more extreme, and would fill the list), so each judge gives its share of the list.
    """
    found = doubted(judged, len(categories)).where("says >= 0")
    of_judge = Window.partitionBy("language", "judge").orderBy("label_confidence", F.desc("says_confidence"), "video_id")
    ranked = found.withColumn("rank", F.row_number().over(of_judge)).where(F.col("rank") <= per_language)
    scored = ranked.withColumn("score", 1 - (F.col("rank") - 0.5) / F.col("num_labels"))
    of_language = Window.partitionBy("language").orderBy(F.desc("score"), "label_confidence", "video_id")
    first = scored.withColumn("place", F.row_number().over(of_language)).where(F.col("place") <= per_language)
    return first.select("video_id", "language", F.lit("mislabelled").alias("issue"), "score", _reason(categories).alias("reason"))


def _reason(categories: Sequence[str]) -> Column:
    names = F.array(*(F.lit(name) for name in categories))
    who = F.create_map(*(F.lit(word) for pair in _WHO.items() for word in pair))[F.col("judge")]
    says, label = F.get(names, F.col("says")), F.get(names, F.col("label"))
    return F.format_string("%s says %s with a confidence of %.2f, and gives the label %s only %.2f", who, says, "says_confidence", label, "label_confidence")


def _share(value: Column) -> Column:
    return F.greatest(F.lit(0.0), F.least(F.lit(1.0), value))


def density(vectors: np.ndarray, reference: np.ndarray, own: np.ndarray) -> np.ndarray:
    """How typical each vector is, `(n,) float32`, 0 to 1: mean cosine to the nearest 8 of `reference`, 0 where there is none.

    `own (n,)` is the place of the video itself in `reference`, -1 where it is not there: nobody is his own neighbour.
    """
    cosines = unit(vectors) @ unit(reference).T
    there = own >= 0
    cosines[there, own[there]] = -np.inf
    nearest = -np.sort(-cosines, axis=1)[:, :_NEIGHBOURS]
    num = np.isfinite(nearest).sum(axis=1)
    return np.clip(np.where(np.isfinite(nearest), nearest, 0).sum(axis=1) / np.maximum(num, 1), 0, 1)


def distinct(vectors: np.ndarray, num: int, same: float = _SAME) -> list[int]:
    """Places of the first `num` vectors that are no near-duplicates (cosine from `same` on) of one before them.

    >>> distinct(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), 5)
    [0, 2]
    """
    rows = unit(vectors)
    taken: list[int] = []
    for place in range(len(rows)):
        if len(taken) == num:
            break
        if not taken or (rows[taken] @ rows[place]).max() < same:
            taken.append(place)
    return taken


def worth_labelling(unlabelled: DataFrame, per_language: int) -> list[tuple[str, str, str, float, str]]:
    """At most `per_language` rows of `label_issues` a language, without evaluation_id, most useful first.

    `unlabelled` has video_id, language, text_hash, top_category, top_confidence and vector, none of them null. All are ranked
    on the cluster; ten candidates per row listed reach the driver, where near-duplicates are dropped.
    """
    by_hash = Window.partitionBy("language").orderBy(F.xxhash64("video_id"), "video_id")
    sample = unlabelled.select("language", "video_id", "vector", F.row_number().over(by_hash).alias("rank")).where(F.col("rank") <= _REFERENCE).toPandas()
    if sample.empty or not per_language:
        return []
    once = unlabelled.groupBy("language", "text_hash").agg(F.min(F.struct("video_id", "top_category", "top_confidence", "vector")).alias("video"))
    scored = once.select("language", "video.*").withColumn("density", _density_udf(sample)("language", "video_id", "vector"))
    order = Window.partitionBy("language").orderBy(F.desc("score"), "video_id")
    ranked = scored.withColumn("score", _share((1 - F.col("top_confidence").cast("double")) * F.col("density")))
    candidates = ranked.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= per_language * _SPARE).toPandas()
    rows = []
    for _, group in candidates.sort_values(["language", "rank"]).groupby("language"):
        rows += [_worth_row(group.iloc[place]) for place in distinct(_stacked(group.vector), per_language)]
    return rows


def _worth_row(row: Any) -> tuple[str, str, str, float, str]:
    reason = (
        f"the model's best guess, {row.top_category}, has a confidence of {row.top_confidence:.2f}, "
        f"and the video is typical of its language (mean cosine to its nearest ones {row.density:.2f})"
    )
    return row.video_id, row.language, "worth_labelling", float(row.score), reason


def _stacked(vectors: pd.Series) -> np.ndarray:
    return np.stack([np.frombuffer(row, VECTOR_DTYPE) for row in vectors])


def _density_udf(sample: pd.DataFrame) -> Any:
    """The density of a video among the sample of its language; each language's vectors travel once to an executor."""
    references = {language: (dict(zip(rows.video_id, range(len(rows)), strict=True)), _stacked(rows.vector)) for language, rows in sample.groupby("language")}

    @F.pandas_udf("float")
    def measure(batches: Iterator[tuple[pd.Series, pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for languages, ids, vectors in batches:
            result = pd.Series(0.0, index=ids.index)
            for language, places in languages.groupby(languages).groups.items():
                known, reference = references[language]
                own = np.array([known.get(video, -1) for video in ids[places]])
                result[places] = density(_stacked(vectors[places]), reference, own)
            yield result

    return measure
