"""What a channel is like: its frequent tags and its usual language, for videos that say little themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language

_MOST_TAGS = 10
_MIN_VIDEOS = 2  # that carry a tag, or declare a language, before it is the channel's
_USUAL = 0.6  # share of the channel's declarations that its usual language needs
_VIDEO, _TAG, _LANGUAGE = "video", "tag", "language"


def channel_profiles(rows: DataFrame) -> DataFrame:
    """Rows of `channels` but for their version, from rows of a catalogue: one per channel that has a tag or language in common.

    Tags and languages are the source's own: what is detected or prepared has no part in it. Rows are read once and shuffled
    once, to where their channel is. A tag of one video only is none of the channel's, in however many rows that video is.
    """
    video = F.when(F.col("video_id").isNotNull(), F.xxhash64("video_id"))  # a row without an id is no video, and of null xxhash64 gives a number
    said = rows.where("channel_id IS NOT NULL").select("channel_id", video.alias("id"), _said().alias("said"))
    parts = said.repartition("channel_id").select("channel_id", "id", F.explode_outer("said").alias("part"))  # `explode` asks first whether there are any
    counted = parts.groupBy("channel_id", "part.kind", "part.value").agg(F.count("*").alias("num"), (F.min("id") < F.max("id")).alias("is_shared"))
    frequent = F.when((F.col("kind") == _TAG) & F.col("is_shared"), F.struct(-F.col("num"), "value"))
    declared = F.when(F.col("kind") == _LANGUAGE, F.struct("value", "num"))
    profiles = counted.groupBy("channel_id").agg(
        F.slice(F.sort_array(F.collect_list(frequent)), 1, _MOST_TAGS).getField("value").alias("tags"),
        F.collect_list(declared).alias("declared"),
        F.count_if((F.col("kind") == _VIDEO) & F.col("value").isNotNull()).alias("num_videos"),
    )
    usual = F.pandas_udf(_usual_language, "string").asNondeterministic()  # else the filter on it runs it twice, in two workers a core
    language = usual(F.col("declared.value"), F.col("declared.num")).alias("language")
    return profiles.select("channel_id", "tags", language, "num_videos").where("size(tags) > 0 OR language IS NOT NULL")


def _said() -> Column:
    """What a row says of its channel, as kind and value: that there is the video, its tags, each once, and the language that it declares."""
    tags = F.array_distinct(F.filter(F.transform("tags", lambda tag: F.lower(F.trim(tag))), lambda tag: tag != ""))
    others = F.array_compact(F.array(_part(_VIDEO, F.col("video_id")), F.when(F.col("language").isNotNull(), _part(_LANGUAGE, F.col("language")))))
    return F.concat(others, F.coalesce(F.transform(tags, lambda tag: _part(_TAG, tag)), F.array()))


def _part(kind: str, value: Column) -> Column:
    return F.struct(F.lit(kind).alias("kind"), value.alias("value"))


def _usual_language(codes: pd.Series, nums: pd.Series) -> pd.Series:
    """The base language that most of a channel's declarations name, null when none does; `codes` and `nums` hold an array per channel."""
    return pd.Series([_most_declared(zip(*channel, strict=True)) for channel in zip(codes, nums, strict=True)], dtype=object)


def _most_declared(declared: Iterable[tuple[str, int]]) -> str | None:
    counts: Counter[str] = Counter()
    for code, num in declared:
        counts[base_language(code)[0]] += int(num)
    del counts[UNKNOWN]
    language, most = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    return language if most >= _MIN_VIDEOS and most > _USUAL * counts.total() else None
