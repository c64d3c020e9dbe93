"""The rule of the test set, in Spark and in pandas: the same videos, and the ones that the rule names."""

import random

import pandas as pd
import pytest

from xlclass.quality.splits import Split
from xlclass.quality.test_set import VIDEO_COLUMNS, labelled_videos, scored_videos, shared_test_set, unseen_videos

MANIFEST = {"categories": ["music", "sports"], "languages": ["en"], "split": {"salt": "s", "train": 0.5, "validation": 0.0, "calibration": 0.0}}
OTHER = {"categories": ["sports", "gaming"], "languages": ["de"], "split": {"salt": "t", "train": 0.4, "validation": 0.1, "calibration": 0.1}}
SPLIT = Split(**MANIFEST["split"])
TEST, TRAINED = (next(f"c{i}" for i in range(99) if SPLIT.of(f"c{i}") == side) for side in ("test", "train"))
KIND = "video_id string, language string, text_hash string, channel_id string, labels array<string>"
VIDEOS = [
    ("copy", "en", "hash", TEST, ["music"]),
    ("original", "en", "hash", TRAINED, ["music"]),  # the same text on both sides
    ("scored", "de", "h1", TEST, ["music", "other"]),
    ("unlabelled", "de", "h2", TEST, []),
    ("unknown label", "de", "h3", TEST, ["other"]),
    ("training side", "de", "h4", TRAINED, ["music"]),  # not trained on: its language is none of the training languages
    ("copy of training side", "de", "h4", TEST, ["sports"]),
    ("original without a known label", "en", "h5", TRAINED, ["other"]),
    ("copy of it", "en", "h5", TEST, ["music"]),
    ("no text", "en", None, TEST, ["music"]),
    ("no text, trained", "en", None, TRAINED, ["music"]),
    ("no channel 1", "de", "h6", None, ["sports"]),
    ("no channel 2", "de", "h7", None, ["sports"]),
]
SCORED = {"scored", "copy of training side", "copy of it", "no text"} | {f"no channel {i}" for i in (1, 2) if SPLIT.of(f"no channel {i}") == "test"}


@pytest.fixture
def videos(spark):
    return spark.createDataFrame(VIDEOS, KIND)


def _many(num, seed):
    """Videos that meet every condition now and then: few texts and channels, some of them null, and labels that one, both or no version knows."""
    draw = random.Random(seed)
    labels = ([], ["music"], ["sports"], ["gaming"], ["education"], ["music", "gaming"], ["education", "sports"])
    return [
        (
            f"v{i}",
            draw.choice(["en", "de", "fr"]),
            draw.choice([None, *(f"h{n}" for n in range(num // 4))]),
            draw.choice([None, *(f"c{n}" for n in range(num // 8))]),
            draw.choice(labels),
        )
        for i in range(num)
    ]


def _predictions(spark, names):
    return spark.createDataFrame(
        [(name, "xx", "music", 0.9, [("music", 0.9)], {"music": 0.9, "sports": 0.1}, 2.2) for name in names],
        "video_id string, language string, top_category string, top_confidence float, "
        "categories array<struct<category: string, confidence: float>>, confidences map<string, float>, top_logit float",
    )


def test_scored_videos_are_labelled_test_videos_with_texts_not_trained_on(spark, videos):
    names = [row[0] for row in VIDEOS]
    scored = scored_videos(_predictions(spark, names).withColumn("language", _name()), videos, MANIFEST).collect()
    assert {row["language"] for row in scored} == SCORED
    assert {row["language"]: row["labels"] for row in scored}["scored"] == ["music"]
    assert {tuple(row["given"]) for row in scored} == {("music",)}


def _name():
    from pyspark.sql import functions as F

    return F.col("video_id")


def test_unseen_videos_keep_every_side_and_lose_what_was_trained_on(videos):
    unseen = unseen_videos(labelled_videos(videos, MANIFEST)).select("video_id", "side").collect()
    assert {row["video_id"] for row in unseen if row["side"] == "test"} == SCORED
    assert {row["video_id"] for row in unseen if row["side"] == "train"} >= {"training side"}
    assert not {row["video_id"] for row in unseen} & {"original", "copy", "no text, trained"}


def test_shared_test_set_of_one_version_is_what_spark_scores(spark):
    for seed in range(3):
        rows = _many(400, seed)
        frame = pd.DataFrame(rows, columns=VIDEO_COLUMNS)
        videos, predictions = spark.createDataFrame(rows, KIND), _predictions(spark, [row[0] for row in rows]).withColumn("language", _name())
        for manifest in (MANIFEST, OTHER):
            by_spark = {row["language"] for row in scored_videos(predictions, videos, manifest).collect()}
            by_pandas = shared_test_set([frame[start : start + 90] for start in range(0, 400, 90)], [manifest])
            assert set(by_pandas.video_id) == by_spark == _by_the_rule(rows, [manifest])
            assert 20 < len(by_spark) < 200
            assert not by_pandas.channel_id.isna().any()


def test_shared_test_set_of_literal_videos():
    assert set(shared_test_set([pd.DataFrame(VIDEOS, columns=VIDEO_COLUMNS)], [MANIFEST]).video_id) == SCORED
    assert shared_test_set([], [MANIFEST]).empty
    assert shared_test_set([pd.DataFrame(VIDEOS[3:4], columns=VIDEO_COLUMNS)], [MANIFEST]).columns.tolist() == list(VIDEO_COLUMNS)


def _by_the_rule(rows, manifests):
    """The rule, a video at a time."""

    def side(manifest, video):
        return Split(**manifest["split"]).of(video[3] or video[0])

    def knows(manifest, video):
        return bool(set(video[4]) & set(manifest["categories"]))

    trained = {
        video[2]
        for manifest in manifests
        for video in rows
        if video[2] and knows(manifest, video) and side(manifest, video) == "train" and video[1] in manifest["languages"]
    }
    on_test_side = [video for video in rows if all(side(manifest, video) == "test" for manifest in manifests)]
    return {video[0] for video in on_test_side if video[2] not in trained and any(knows(manifest, video) for manifest in manifests)}


def test_shared_test_set_of_two_versions_is_on_both_test_sides_and_trained_on_by_neither():
    rows = _many(2_000, 7)
    shared = set(shared_test_set([pd.DataFrame(rows, columns=VIDEO_COLUMNS)], [MANIFEST, OTHER]).video_id)
    assert shared == _by_the_rule(rows, [MANIFEST, OTHER])
    assert 20 < len(shared) < len(_by_the_rule(rows, [MANIFEST]) | _by_the_rule(rows, [OTHER]))
