"""What a backfill has to do, found without reading more than it must."""

import pytest

from xlclass.pending import have_same_rows

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
