"""The rules for the rows of a source: which rows are rejected, and which are repaired and counted under a warning.

A rejected row goes to `rejected_videos`. A row with a warning is used after its value was truncated, repaired or dropped.
Every run counts each rule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from xlclass.schemas import MAX_FLOAT16

REJECTING_RULES = ("unreadable_row", "null_video_id", "duplicate_video_id")
ENCODING_RULES = ("encoder_failed", "vector_not_finite")  # these reject too, after the text was encoded
WARNING_RULES = ("impossible_time", "long_field", "unknown_label", "invalid_text", "wrong_type", "wrong_vector")
LANGUAGE_RULES = ("language_conflict", "language_unknown")  # counted after the language was decided

MAX_CHARACTERS = 100_000  # of a title or description; the remainder is dropped
MAX_TAGS = 5_000
_FIRST_VIDEO = datetime(2005, 1, 1, tzinfo=UTC)  # no platform had videos before


def apply_rules(rows: DataFrame, known_labels: list[str], visual_dim: int, now: datetime, is_unique: bool = False) -> DataFrame:
    """`rows`, repaired, with `rule`, the rejecting rule that a row breaks or null, and `warnings`, its warning rules.

    `rows` have an `input_digest`, which differs between different rows. Of several rows of one video the newest with a possible
    `updated_at` is used; without times, always the same one. `is_unique` promises one row per video, which saves a shuffle of the
    texts. A rejected row has no warnings.
    """
    newest_first = Window.partitionBy("video_id").orderBy(F.col("unreadable"), F.col("updated_at").desc_nulls_last(), F.col("input_digest"))
    violations = {
        "unreadable_row": F.col("unreadable"),
        "null_video_id": F.coalesce(F.trim("video_id"), F.lit("")) == "",
        "duplicate_video_id": F.lit(False) if is_unique else F.row_number().over(newest_first) > 1,
    }
    rule = F.coalesce(*(F.when(violations[name], F.lit(name)) for name in REJECTING_RULES))
    conditions = _warning_conditions(known_labels, visual_dim, now)
    warnings = F.array_compact(F.array(*(F.when(conditions[name], F.lit(name)) for name in WARNING_RULES)))
    repaired = _repair(rows.withColumn("all_warnings", warnings), visual_dim, now)  # before the window, which then shuffles only the columns that are used
    return repaired.withColumn("rule", rule).withColumn("warnings", F.when(F.col("rule").isNull(), F.col("all_warnings"))).drop("all_warnings")


def rule_counts() -> list[Column]:
    """One aggregate per rule, under its name: the number of rows that broke it."""
    rejected = [F.count_if(F.col("rule") == name).alias(name) for name in REJECTING_RULES]
    return rejected + [F.count_if(F.array_contains("warnings", name)).alias(name) for name in WARNING_RULES]


def _warning_conditions(known_labels: list[str], visual_dim: int, now: datetime) -> dict[str, Column]:
    """The condition of each warning rule, never null."""
    unknown_labels = F.filter("labels", lambda label: ~F.trim(label).isin(known_labels))
    is_long = [F.length("title") > MAX_CHARACTERS, F.length("description") > MAX_CHARACTERS, F.size("tags") > MAX_TAGS]
    conditions = {
        "impossible_time": ~_is_possible_time(now) | (F.col("updated_at").isNull() & F.col("has_time")),
        "long_field": F.greatest(*(F.coalesce(condition, F.lit(False)) for condition in is_long)),
        "unknown_label": F.size(unknown_labels) > 0,
        "invalid_text": F.col("invalid_text"),
        "wrong_type": F.size("wrong_types") > 0,
        "wrong_vector": ~_is_valid_vector(visual_dim),
    }
    return {name: F.coalesce(condition, F.lit(False)) for name, condition in conditions.items()}


def _is_possible_time(now: datetime) -> Column:
    return F.col("updated_at").between(F.lit(_FIRST_VIDEO), F.lit(now + timedelta(days=1)))


def _is_valid_vector(dim: int) -> Column:
    """Whether the visual vector has `dim` numbers in the range of float16; null for a null vector."""
    return (F.size("visual_vector") == dim) & F.forall("visual_vector", lambda x: F.coalesce(F.abs(x) <= MAX_FLOAT16, F.lit(False)))


def _repair(rows: DataFrame, visual_dim: int, now: datetime) -> DataFrame:
    """The rows with long fields truncated, and without impossible times and invalid vectors."""
    return rows.withColumns(
        {
            "title": F.substring("title", 1, MAX_CHARACTERS),
            "description": F.substring("description", 1, MAX_CHARACTERS),
            "tags": F.slice("tags", 1, MAX_TAGS),
            "updated_at": F.when(_is_possible_time(now), F.col("updated_at")),
            "visual_vector": F.when(_is_valid_vector(visual_dim), F.col("visual_vector")),
        }
    )
