"""The rules for a source's rows: which cannot be used, and what is mended in the others; each is counted in every run.

A rejecting rule sends the row to `rejected_videos`. A warning rule only counts: the row is used, the offending value cut,
repaired or dropped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from xlclass.schemas import MAX_FLOAT16

REJECTING = ("unreadable_row", "null_video_id", "duplicate_video_id")
ENCODING = ("encoder_failed", "vector_not_finite")  # rejecting too, but seen only once the text is encoded
WARNING = ("impossible_time", "long_field", "unknown_label", "invalid_text", "wrong_vector")
COUNTED_LATER = ("language_conflict", "language_unknown")  # seen only once the language is decided

MOST_CHARACTERS = 100_000  # of a title or description; what is beyond is cut
MOST_TAGS = 5_000
_FIRST_VIDEO = datetime(2005, 1, 1, tzinfo=UTC)  # before it no platform had videos


def with_rules(rows: DataFrame, known_labels: list[str], visual_dim: int, now: datetime, is_unique: bool = False) -> DataFrame:
    """`rows` with `rule`, the rejecting rule that the row breaks or null, and `warnings`, the warning rules that it meets.

    `rows` have an `input_digest`, which differs where two rows do. Of several rows of one video the one with the newest
    possible `updated_at` is used; without times, one and always the same. `is_unique` says that no video has several, which
    spares a shuffle of the texts. A row that cannot be used is not counted under a warning.
    """
    newest_first = Window.partitionBy("video_id").orderBy(F.col("unreadable"), F.col("updated_at").desc_nulls_last(), F.col("input_digest"))
    broken = {
        "unreadable_row": F.col("unreadable"),
        "null_video_id": F.coalesce(F.trim("video_id"), F.lit("")) == "",
        "duplicate_video_id": F.lit(False) if is_unique else F.row_number().over(newest_first) > 1,
    }
    rule = F.coalesce(*(F.when(broken[name], F.lit(name)) for name in REJECTING))
    met = _warnings(known_labels, visual_dim, now)
    warnings = F.array_compact(F.array(*(F.when(met[name], F.lit(name)) for name in WARNING)))
    checked = _mended(rows.withColumn("met", warnings), visual_dim, now)  # before the window: where no text is asked for, none is shuffled
    return checked.withColumn("rule", rule).withColumn("warnings", F.when(F.col("rule").isNull(), F.col("met"))).drop("met")


def rule_counts() -> list[Column]:
    """One aggregate per rule, named by it: how many rows it caught."""
    rejected = [F.count_if(F.col("rule") == name).alias(name) for name in REJECTING]
    return rejected + [F.count_if(F.array_contains("warnings", name)).alias(name) for name in WARNING]


def _warnings(known_labels: list[str], visual_dim: int, now: datetime) -> dict[str, Column]:
    """Which rows meet a warning rule; null counts as no."""
    unknown = F.filter("labels", lambda label: ~F.trim(label).isin(known_labels))
    long = [F.length("title") > MOST_CHARACTERS, F.length("description") > MOST_CHARACTERS, F.size("tags") > MOST_TAGS]
    met = {
        "impossible_time": ~_possible(now) | (F.col("updated_at").isNull() & F.col("has_time")),
        "long_field": F.greatest(*(F.coalesce(condition, F.lit(False)) for condition in long)),
        "unknown_label": F.size(unknown) > 0,
        "invalid_text": F.col("invalid_text"),
        "wrong_vector": ~_fit_vector(visual_dim),
    }
    return {name: F.coalesce(condition, F.lit(False)) for name, condition in met.items()}


def _possible(now: datetime) -> Column:
    return F.col("updated_at").between(F.lit(_FIRST_VIDEO), F.lit(now + timedelta(days=1)))


def _fit_vector(dim: int) -> Column:
    """Whether the visual vector has `dim` numbers that a float16 can hold; null where there is none."""
    return (F.size("visual_vector") == dim) & F.forall("visual_vector", lambda x: F.coalesce(F.abs(x) <= MAX_FLOAT16, F.lit(False)))


def _mended(rows: DataFrame, visual_dim: int, now: datetime) -> DataFrame:
    """The rows with long fields cut, impossible times and unfit vectors dropped."""
    return rows.withColumns(
        {
            "title": F.substring("title", 1, MOST_CHARACTERS),
            "description": F.substring("description", 1, MOST_CHARACTERS),
            "tags": F.slice("tags", 1, MOST_TAGS),
            "updated_at": F.when(_possible(now), F.col("updated_at")),
            "visual_vector": F.when(_fit_vector(visual_dim), F.col("visual_vector")),
        }
    )
