"""What a backfill has to do, found without reading more than it must."""

import pytest
from pyspark.sql import functions as F

from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.changes import CARRIED, have_same_rows, up_to_date
from xlclass.pipeline.transforms import classification_digest, encode_key
from xlclass.schemas import EMBEDDINGS, PREDICTIONS, VIDEOS

KIND = "video_id string, key struct<text_hash: string, part: string>, language string"
ROWS = [("a", ("h1", "text"), "en"), ("b", (None, "text"), None), ("c", None, "fr")]


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        (ROWS[::-1], True),
        (ROWS[:2], False),
        ([*ROWS[:2], ("d", None, "fr")], False),
        ([("a", ("h2", "text"), "en"), *ROWS[1:]], False),
        ([ROWS[0], ("b", ("text", None), None), ROWS[2]], False),  # the same words, but in other places
        ([*ROWS[:2], ("c", None, None)], False),
    ],
)
def test_have_same_rows_sees_every_difference(spark, others, expected):
    assert have_same_rows(spark.createDataFrame(ROWS, KIND).repartition(2, "video_id"), spark.createDataFrame(others, KIND)) is expected


def test_have_same_rows_of_two_empty_tables(spark):
    assert have_same_rows(spark.createDataFrame([], KIND), spark.createDataFrame([], KIND))


VERSION = ModelVersion("a", "/nowhere", "")
UNLIKE = {
    "another text": (VIDEOS, "text_hash = 'other'", (False, True)),
    "another language": (VIDEOS, "language = 'fr'", (False, True)),
    "an embedding of before": (EMBEDDINGS, "text_quality = 'short'", (False, False)),
    "a prediction of before": (PREDICTIONS, "input_digest = 1", (True, False)),
}


@pytest.fixture(scope="module")
def in_step_lake(spark, tmp_path_factory):
    """Two videos, embedded and scored by VERSION."""
    lake = Lake(spark, str(tmp_path_factory.mktemp("up_to_date")))
    lake.ensure(VIDEOS, EMBEDDINGS, PREDICTIONS)
    given = {"text_hash": "h", "text_source": "title", "text_quality": "ok", "preparation_version": "p", "language": "en", "language_source": "declared"}
    _append(lake, VIDEOS, spark.range(2).select(F.col("id").cast("string").alias("video_id"), *(F.lit(text).alias(name) for name, text in given.items())))
    _append(lake, EMBEDDINGS, lake.read(VIDEOS).select("video_id", encode_key("e").alias("encode_key"), *CARRIED))
    scored = lake.read(EMBEDDINGS).withColumn("input_digest", classification_digest(VERSION))
    _append(lake, PREDICTIONS, scored.select("video_id", "language", F.lit("ok").alias("status"), F.lit("a").alias("model_version"), "input_digest"))
    return lake


def _append(lake, table, rows):
    """Rows with something in the columns that may not be null."""
    something = {"string": "", "bigint": 0, "array<string>": F.array(), "timestamp": F.current_timestamp()}
    lacking = {column.name: column for column in table.columns if column.name not in rows.columns}
    values = {name: F.lit(something[column.type] if column.required else None) for name, column in lacking.items()}
    lake.append(table, rows.withColumns(values))


@pytest.mark.parametrize(("table", "change", "expected"), UNLIKE.values(), ids=UNLIKE)
def test_in_step_sees_what_is_to_do(in_step_lake, table, change, expected):
    spark, name, version = in_step_lake.spark, f"delta.`{in_step_lake.path(table)}`", in_step_lake.version(table)
    spark.sql(f"UPDATE {name} SET {change} WHERE video_id = '1'")
    found = up_to_date(in_step_lake, "e", VERSION)
    spark.sql(f"RESTORE TABLE {name} TO VERSION AS OF {version}")
    assert found == expected


def test_in_step_sees_another_encoder_another_version_and_rows_that_are_missing(in_step_lake):
    assert up_to_date(in_step_lake, "e", VERSION) == (True, True)
    assert up_to_date(in_step_lake, "other", VERSION) == (False, True)
    assert up_to_date(in_step_lake, "e", ModelVersion("b", "/nowhere", "")) == (True, False)
    assert up_to_date(in_step_lake, "e", None) == (True, False)
    in_step_lake.delete_where(PREDICTIONS, F.col("video_id") == "1")
    assert up_to_date(in_step_lake, "e", VERSION) == (True, False)
    in_step_lake.delete_where(EMBEDDINGS, F.col("video_id") == "1")
    assert up_to_date(in_step_lake, "e", VERSION) == (False, True)
