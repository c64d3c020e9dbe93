"""Which rows of a source can be used: each row leaves as a video or with the rule that it breaks."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

REJECTING = ("null_video_id", "duplicate_video_id")


def with_rule(rows: DataFrame) -> DataFrame:
    """`rows` with a column `rule`: the rejecting rule that the row breaks, null for a row that can be used.

    Of several rows of one video the one with the newest `updated_at` is used; without times, one and always the same.
    """
    newest_first = Window.partitionBy("video_id").orderBy(F.col("updated_at").desc_nulls_last(), F.col("row_digest"))
    nameless = F.coalesce(F.trim("video_id"), F.lit("")) == ""
    older = F.row_number().over(newest_first) > 1
    return rows.withColumn("rule", _first_broken({"null_video_id": nameless, "duplicate_video_id": older}))


def _first_broken(rules: dict[str, Column]) -> Column:
    """The name of the first rule whose column is true, else null."""
    return F.coalesce(*(F.when(broken, F.lit(name)) for name, broken in rules.items()))
