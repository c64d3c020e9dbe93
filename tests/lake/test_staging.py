"""Rows staged, and what is counted in them while they are written."""

import pytest
from pyspark.sql import functions as F

from xlclass.lake.staging import Plans

ROWS = [("a", True, "f"), ("b", False, None), ("c", True, "f")]


@pytest.fixture
def sums(spark):
    """Aggregates by name; they need a session."""
    return {"num_new": F.count_if("is_new"), "num_failed": F.count_if(F.coalesce(F.col("mark"), F.lit("")) == "f"), "num_rows": F.count("*")}


@pytest.mark.parametrize(("rows", "expected"), [(ROWS, (2, 2, 3)), ([], (0, 0, 0))], ids=["some", "none"])
def test_sums_are_the_same_whether_rows_are_written_now_or_were_before(spark, tmp_path, sums, rows, expected):
    plans = Plans(spark, str(tmp_path))
    given = spark.createDataFrame(rows, "id string, is_new boolean, mark string").repartition(3, "id")
    now = plans.stage_summed(given, sums, "plan", "rows")
    before = plans.stage_summed(given.limit(0), sums, "plan", "rows")  # what was staged counts, not what would be now
    for staged in (now, before):
        assert tuple(staged.sums.values()) == expected
        assert sorted(row["id"] for row in staged.rows.collect()) == [row[0] for row in rows]


def test_sums_of_rows_that_were_written_without_their_end_are_of_those_written_anew(spark, tmp_path, sums):
    plans = Plans(spark, str(tmp_path))
    given = spark.createDataFrame(ROWS, "id string, is_new boolean, mark string")
    plans.stage(given.union(given), "plan", "rows")
    (tmp_path / "_plan" / "plan" / "rows" / "_SUCCESS").unlink()
    staged = plans.stage_summed(given, sums, "plan", "rows")
    assert staged.sums["num_rows"] == staged.rows.count() == 3
