"""Rows staged, the sums that are taken while they are written, and the sessions that read them."""

import pytest
from pyspark.sql import functions as F

from xlclass.lake import session
from xlclass.lake.staging import Plans

ROWS = [("a", True, "f"), ("b", False, None), ("c", True, "f")]
KIND = "id string, is_new boolean, mark string"


@pytest.fixture
def sums(spark):
    """Aggregates by name; they need a session."""
    return {"num_new": F.count_if("is_new"), "num_failed": F.count_if(F.coalesce(F.col("mark"), F.lit("")) == "f"), "num_rows": F.count("*")}


def _ids(staged, spark):
    return sorted(row["id"] for row in staged.rows(spark).collect())


@pytest.mark.parametrize(("rows", "expected"), [(ROWS, (2, 2, 3)), ([], (0, 0, 0))], ids=["some", "none"])
def test_stage_gives_the_same_sums_whether_rows_are_written_now_or_were_before(spark, tmp_path, sums, rows, expected):
    plans = Plans(spark, str(tmp_path))
    frame = spark.createDataFrame(rows, KIND).repartition(3, "id")
    now = plans.stage(frame, sums, "plan", "rows")
    before = plans.stage(frame.limit(0), sums, "plan", "rows")  # the rows that were staged count, not those of now
    for staged in (now, before):
        assert tuple(staged.sums.values()) == expected
        assert _ids(staged, spark) == [row[0] for row in rows]


def test_stage_writes_rows_anew_that_were_not_written_to_the_end(spark, tmp_path, sums):
    plans = Plans(spark, str(tmp_path))
    frame = spark.createDataFrame(ROWS, KIND)
    plans.stage(frame.union(frame), {}, "plan", "rows")
    (tmp_path / "_plan" / "plan" / "rows" / "_SUCCESS").unlink()
    staged = plans.stage(frame, sums, "plan", "rows")
    assert staged.sums["num_rows"] == staged.rows(spark).count() == 3


def test_staged_finds_rows_and_their_schema_without_a_job(spark, tmp_path):
    plans = Plans(spark, str(tmp_path))
    kind = "id string, at timestamp, tags array<string>, vector binary, key struct<hash: string, part: string>, chunk int"
    spark.createDataFrame([("a", None, ["x"], b"1", ("h", "text"), 3)], kind).write.partitionBy("chunk").parquet(plans.path("plan", "pending"))
    tracker = spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup()
    staged = plans.staged("plan", "pending", "chunk=3")
    rows = staged.rows(spark)
    assert tracker.getJobIdsForGroup() == before
    assert rows.schema == spark.createDataFrame([], kind).drop("chunk").schema
    assert rows.first().key.hash == "h"
    assert plans.staged("plan", "pending", "chunk=4") is None


def test_staged_rows_are_read_in_another_session_and_without_a_column(spark, tmp_path):
    staged = Plans(spark, str(tmp_path)).stage(spark.createDataFrame(ROWS, KIND), {}, "plan", "rows")
    other = spark.newSession()
    rows = staged.without("mark").rows(other)
    assert rows.sparkSession is other
    assert rows.columns == ["id", "is_new"]
    assert _ids(staged, other) == ["a", "b", "c"]


def test_a_new_session_has_the_settings_of_open_session(spark):
    """A merge runs in a session of its own: it needs Delta, UTC and few partitions as much as any other write."""
    other = spark.newSession()
    names = {**session._ALWAYS, **session._UNLESS_SET, **session._LOCAL_UNLESS_SET}
    assert {name: other.conf.get(name) for name in names} == {name: spark.conf.get(name) for name in names}
    assert other.conf.get("spark.sql.session.timeZone") == "UTC"


def test_drop_rows_deletes_one_name_or_all_of_a_plan(spark, tmp_path):
    plans = Plans(spark, str(tmp_path))
    for names in (("plan", 3, "videos"), ("plan", 3, "embeddings"), ("other", "rows")):
        plans.stage(spark.createDataFrame(ROWS, KIND), {}, *names)
    plans.drop_rows("plan", 3, "embeddings")
    assert plans.staged("plan", 3, "videos")
    assert plans.staged("plan", 3, "embeddings") is None
    plans.drop_rows("plan")
    assert plans.staged("plan", 3, "videos") is None
    assert plans.staged("other", "rows")
