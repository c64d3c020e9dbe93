"""What a channel is like: its frequent tags and its usual language, for videos that say little themselves."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language

_MOST_TAGS = 10
_MIN_VIDEOS = 2  # that carry a tag, or declare a language, before it is the channel's
_USUAL = 0.6  # share of the channel's declarations that its usual language needs


def channel_profiles(rows: DataFrame) -> DataFrame:
    """Rows of `channels` but for their version, from rows of a catalogue: one per channel that has a tag or language in common.

    Tags and languages are the source's own: what is detected or prepared has no part in it.
    """
    ours = rows.where("channel_id IS NOT NULL")
    num_videos = ours.groupBy("channel_id").agg(F.count_distinct("video_id").alias("num_videos"))
    profiles = num_videos.join(_frequent_tags(ours), "channel_id", how="left").join(_usual_language(ours), "channel_id", how="left")
    return profiles.where("tags IS NOT NULL OR language IS NOT NULL").select(
        "channel_id", F.coalesce("tags", F.array().cast("array<string>")).alias("tags"), "language", "num_videos"
    )


def _frequent_tags(rows: DataFrame) -> DataFrame:
    tags = rows.select("channel_id", "video_id", F.explode("tags").alias("tag")).select("channel_id", "video_id", F.lower(F.trim("tag")).alias("tag"))
    counted = tags.where("tag != ''").groupBy("channel_id", "tag").agg(F.count_distinct("video_id").alias("num")).where(F.col("num") >= _MIN_VIDEOS)
    most_first = Window.partitionBy("channel_id").orderBy(F.desc("num"), "tag")
    best = counted.withColumn("rank", F.row_number().over(most_first)).where(F.col("rank") <= _MOST_TAGS)
    ranked = best.groupBy("channel_id").agg(F.sort_array(F.collect_list(F.struct("rank", "tag"))).alias("ranked"))
    return ranked.select("channel_id", F.col("ranked.tag").alias("tags"))


def _usual_language(rows: DataFrame) -> DataFrame:
    codes = rows.where("language IS NOT NULL").groupBy("channel_id", "language").agg(F.count("*").alias("num"))
    declared = codes.select("channel_id", F.pandas_udf(_base, "string")("language").alias("language"), "num").where(F.col("language") != UNKNOWN)
    counted = declared.groupBy("channel_id", "language").agg(F.sum("num").alias("num"))
    share = F.col("num") / F.sum("num").over(Window.partitionBy("channel_id"))
    return counted.withColumn("share", share).where((F.col("num") >= _MIN_VIDEOS) & (F.col("share") > _USUAL)).select("channel_id", "language")


def _base(codes: pd.Series) -> pd.Series:
    """The base language of each declared code."""
    return codes.map(lambda code: base_language(code)[0])
