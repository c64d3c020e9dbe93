"""The test set of a model version: one rule says which videos score it, here for Spark and for pandas.

A video scores a model version if

- the version knows one of its labels,
- its channel, or the video itself if it has none, is on the test side of the version's split (`splits.py`),
- and the version was not trained on its text: no labelled video on the training side, in a training language, has the same text_hash.
  A second upload of a training video in another channel would measure memory.

A video without a text shares its text with no other video; it counts, as one that the version gets wrong. The manifest of the version
gives `split`, `languages` (the training languages) and `categories` (the labels that it knows).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.quality.splits import TEST, TRAIN, Split, group_column

VIDEO_COLUMNS = ("video_id", "language", "text_hash", "channel_id", "labels")  # the columns of `videos` that the rule needs


def labelled_videos(videos: DataFrame, manifest: Mapping[str, Any]) -> DataFrame:
    """The videos with a label that the version knows: their `labels` without the unknown ones, `side`, and `is_trained_on`."""
    categories = F.array(*(F.lit(name) for name in manifest["categories"]))
    side = Split(**manifest["split"]).column(group_column())
    is_trained_on = (side == TRAIN) & F.col("language").isin(*manifest["languages"])
    labelled = videos.withColumn("labels", F.array_intersect("labels", categories)).where(F.size("labels") > 0)
    return labelled.withColumns({"side": side, "is_trained_on": is_trained_on})


def unseen_videos(labelled: DataFrame) -> DataFrame:
    """Those `labelled_videos` that the version was not trained on, and whose text it was not trained on either, whatever their side."""
    trained_texts = labelled.where("is_trained_on").select("text_hash").distinct()
    return labelled.where(~F.col("is_trained_on")).join(trained_texts, "text_hash", how="left_anti")


def scored_videos(predictions: DataFrame, videos: DataFrame, manifest: Mapping[str, Any]) -> DataFrame:
    """The predictions of the version's test set, with `labels` (the known ones) and `given` (the categories that passed their threshold)."""
    test_set = unseen_videos(labelled_videos(videos.select(*VIDEO_COLUMNS), manifest)).where(F.col("side") == TEST).select("video_id", "labels")
    return predictions.join(test_set, "video_id", how="inner").select(
        "language",
        "labels",
        "top_category",
        "top_confidence",
        F.col("categories.category").alias("given"),
        "confidences",
        "top_logit",
    )


def shared_test_set(batches: Iterable[pd.DataFrame], manifests: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The test set that several versions share, from `videos` in batches with VIDEO_COLUMNS; of one version, its test set.

    The videos are on the test side of every version, no version was trained on their text, and at least one version knows a label of
    them. `channel_id` is the video's own id if it has no channel. Holds the test side and the digests of training texts in memory.
    """
    on_test_side: list[pd.DataFrame] = []
    trained_texts: set[str] = set()
    for batch in batches:
        videos = batch[batch.labels.map(len) > 0]
        if len(videos):
            videos = videos.assign(channel_id=videos.channel_id.where(videos.channel_id.notna(), videos.video_id))
            is_test = np.column_stack([_is_test(videos, manifest, trained_texts) for manifest in manifests])
            on_test_side.append(videos[is_test.all(axis=1)])
    categories = {name for manifest in manifests for name in manifest["categories"]}
    videos = pd.concat(on_test_side) if on_test_side else pd.DataFrame(columns=[*VIDEO_COLUMNS])
    has_known_label = videos.labels.map(lambda labels: not categories.isdisjoint(labels)).astype(bool)
    return videos[has_known_label & ~videos.text_hash.isin(trained_texts)]


def _is_test(videos: pd.DataFrame, manifest: Mapping[str, Any], trained_texts: set[str]) -> np.ndarray:
    """Which videos are on the version's test side, `(n,) bool`; adds the digests of the texts that it was trained on to `trained_texts`."""
    split, categories = Split(**manifest["split"]), set(manifest["categories"])
    side = videos.channel_id.map({channel: split.of(channel) for channel in videos.channel_id.unique()})
    trained_on = videos[(side == TRAIN) & videos.language.isin(manifest["languages"]) & videos.text_hash.notna()]
    trained_texts.update(text for text, labels in zip(trained_on.text_hash, trained_on.labels, strict=True) if not categories.isdisjoint(labels))
    return (side == TEST).to_numpy()
