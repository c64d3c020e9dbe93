"""The work of a backfill, found without reading more than it must."""

import pytest
from pyspark.sql import functions as F
from samples import completed

from xlclass.encoders.pair import Part, Route
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import CARRIED, have_same_rows, up_to_date
from xlclass.pipeline.transforms import classification_digest, encode_key
from xlclass.schemas import EMBEDDINGS, PREDICTIONS, VIDEOS

KIND = "video_id string, key struct<text_hash: string, part: string>, language string"
ROWS = [("a", ("h1", "text"), "en"), ("b", (None, "text"), None), ("c", None, "fr")]
DIFFERENT = {
    "a row is missing": ROWS[:2],
    "another id": [*ROWS[:2], ("d", None, "fr")],
    "another field of a struct": [("a", ("h2", "text"), "en"), *ROWS[1:]],
    "the same words in other places": [ROWS[0], ("b", ("text", None), None), ROWS[2]],
    "a null": [*ROWS[:2], ("c", None, None)],
}


def test_have_same_rows_sees_every_difference(spark):
    rows = spark.createDataFrame(ROWS, KIND).repartition(2, "video_id")
    unseen = [name for name, others in DIFFERENT.items() if have_same_rows(rows, spark.createDataFrame(others, KIND))]
    assert not unseen
    assert have_same_rows(rows, spark.createDataFrame(ROWS[::-1], KIND))
    assert have_same_rows(spark.createDataFrame([], KIND), spark.createDataFrame([], KIND))


class Version(ModelVersion):
    """A version without a folder."""

    def manifest(self):
        return {"encoder_id": "e", "dim": 2}


VERSION = Version("a", "/nowhere", "")
ROUTE = Route((Part("e", 2),))
STALE = {
    "another text": (VIDEOS, "text_hash = 'other'", (False, True)),
    "another language": (VIDEOS, "language = 'fr'", (False, True)),
    "an embedding with other metadata": (EMBEDDINGS, "text_quality = 'short'", (False, False)),
    "a prediction of an older embedding": (PREDICTIONS, "input_digest = 1", (True, False)),
}


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    """Two videos, embedded by "e" and scored by VERSION; a second encoder embedded one of them, before it changed."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("up_to_date")))
    lake.ensure(VIDEOS, EMBEDDINGS, PREDICTIONS)
    texts = {"text_hash": "h", "text_source": "title", "text_quality": "ok", "preparation_version": "p", "language": "en", "language_source": "declared"}
    ids = spark.range(2).select(F.col("id").cast("string").alias("video_id"), *(F.lit(text).alias(name) for name, text in texts.items()))
    _append(lake, VIDEOS, ids)
    videos = lake.read(VIDEOS)
    _append(lake, EMBEDDINGS, _embedded(videos, "e"))
    before = videos.where("video_id = '1'").withColumn("text_hash", F.lit("before"))
    _append(lake, EMBEDDINGS, _embedded(before, "second"))
    scored = lake.embeddings_on(ROUTE).withColumn("input_digest", classification_digest(VERSION))
    _append(lake, PREDICTIONS, scored.select("video_id", "language", F.lit("ok").alias("status"), F.lit("a").alias("model_version"), "input_digest"))
    return lake


def _embedded(videos, encoder_id):
    rows = videos.withColumn("encoder_id", F.lit(encoder_id))
    return rows.select("video_id", "encoder_id", encode_key().alias("encode_key"), *CARRIED)


def _append(lake, table, rows):
    lake.append(table, completed(rows, table))


def test_up_to_date_sees_what_is_stale(lake):
    answers = {}
    for name, (table, change, _) in STALE.items():
        path, version = f"delta.`{lake.path(table)}`", lake.version(table)
        lake.spark.sql(f"UPDATE {path} SET {change} WHERE video_id = '1'")
        answers[name] = up_to_date(lake, [ROUTE], VERSION)
        lake.spark.sql(f"RESTORE TABLE {path} TO VERSION AS OF {version}")
    assert answers == {name: expected for name, (_, _, expected) in STALE.items()}


def test_up_to_date_sees_another_encoder_another_version_and_rows_that_are_missing(lake):
    assert up_to_date(lake, [ROUTE], VERSION) == (True, True)
    assert up_to_date(lake, [Route((Part("second", 2),))], VERSION) == (False, False)
    assert up_to_date(lake, [Route((Part("third", 2),))], VERSION) == (False, False)
    assert up_to_date(lake, [ROUTE], Version("b", "/nowhere", "")) == (True, False)
    assert up_to_date(lake, [ROUTE], None) == (True, False)
    lake.delete_where(PREDICTIONS, F.col("video_id") == "1")
    assert up_to_date(lake, [ROUTE], VERSION) == (True, False)
    lake.delete_where(EMBEDDINGS, F.col("video_id") == "1")
    assert up_to_date(lake, [ROUTE], VERSION) == (False, True)
