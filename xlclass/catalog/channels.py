"""Channel profiles: a channel's frequent tags and usual language, for videos with little text of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language

_MAX_TAGS = 10
_MIN_VIDEOS = 2  # that declare a language, before it can be the channel's usual one
_MIN_SHARE = 0.6  # of the channel's declarations; the usual language needs more
_VIDEO, _TAG, _LANGUAGE = "video", "tag", "language"


def channel_profiles(rows: DataFrame) -> DataFrame:
    """Rows of `channels` without their version, from rows of a catalogue: one per channel with a frequent tag or a usual language.

    A frequent tag occurs in at least two videos of the channel, however many rows a video has. Tags and languages are those of
    the source, never detected or prepared ones. The rows are read once and shuffled once, by channel.
    """
    video = F.when(F.col("video_id").isNotNull(), F.xxhash64("video_id"))  # xxhash64 of null is a number
    facts = rows.where("channel_id IS NOT NULL").select("channel_id", video.alias("video"), _facts().alias("facts"))
    facts = facts.repartition("channel_id").select("channel_id", "video", F.explode_outer("facts").alias("fact"))  # `explode` would add a filter
    counts = facts.groupBy("channel_id", "fact.kind", "fact.value").agg(F.count("*").alias("num"), (F.min("video") < F.max("video")).alias("is_shared"))
    frequent = F.when((F.col("kind") == _TAG) & F.col("is_shared"), F.struct(-F.col("num"), "value"))
    declared = F.when(F.col("kind") == _LANGUAGE, F.struct("value", "num"))
    profiles = counts.groupBy("channel_id").agg(
        F.slice(F.sort_array(F.collect_list(frequent)), 1, _MAX_TAGS).getField("value").alias("tags"),
        F.collect_list(declared).alias("declared"),
        F.count_if((F.col("kind") == _VIDEO) & F.col("value").isNotNull()).alias("num_videos"),
    )
    usual = F.pandas_udf(_usual_languages, "string").asNondeterministic()  # else the filter below runs it a second time, in two workers a core
    language = usual(F.col("declared.value"), F.col("declared.num")).alias("language")
    return profiles.select("channel_id", "tags", language, "num_videos").where("size(tags) > 0 OR language IS NOT NULL")


def _facts() -> Column:
    """What a row contributes to its channel, as kind and value: its video, its declared language, and its tags, each once."""
    tags = F.array_distinct(F.filter(F.transform("tags", lambda tag: F.lower(F.trim(tag))), lambda tag: tag != ""))
    video_and_language = F.array_compact(F.array(_fact(_VIDEO, F.col("video_id")), F.when(F.col("language").isNotNull(), _fact(_LANGUAGE, F.col("language")))))
    return F.concat(video_and_language, F.coalesce(F.transform(tags, lambda tag: _fact(_TAG, tag)), F.array()))


def _fact(kind: str, value: Column) -> Column:
    return F.struct(F.lit(kind).alias("kind"), value.alias("value"))


def _usual_languages(codes: pd.Series, nums: pd.Series) -> pd.Series:
    """The usual language of each channel, null if it has none; `codes` and `nums` have an array of declared tags and their counts per channel."""
    return pd.Series([_usual_language(zip(*channel, strict=True)) for channel in zip(codes, nums, strict=True)], dtype=object)


def _usual_language(declared: Iterable[tuple[str, int]]) -> str | None:
    counts: Counter[str] = Counter()
    for code, num in declared:
        counts[base_language(code)[0]] += int(num)
    del counts[UNKNOWN]
    language, num = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    return language if num >= _MIN_VIDEOS and num > _MIN_SHARE * counts.total() else None
