"""Tables of the lake: contracts kept, commits taken once, merges that touch nothing else, readers without Spark."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from xlclass.errors import LakeError
from xlclass.lake.reading import dataset
from xlclass.lake.staging import Plans, change_sums
from xlclass.lake.tables import Lake, conform
from xlclass.schemas import EMBEDDINGS, TABLES, Column, Table

PETS = Table(
    "pets",
    "one row per pet",
    (Column("name", "string", "its name", True), Column("age", "int", "in years"), Column("share", "float", "0 to 1")),
    ("name",),
    (("share_in_range", "share IS NULL OR share BETWEEN 0 AND 1"),),
    ("name",),
)
PLAIN_PETS = replace(PETS, cluster_by=())  # append_values can write it
HOUSES = replace(PETS, name="houses", grain="one row per house")
NUMBERS = count()


@pytest.fixture
def lake(spark, tmp_path):
    return Lake(spark, str(tmp_path / "lake"))


def _rows(lake, values):
    return lake.spark.createDataFrame(values, "name string, age int, share float, is_new boolean")


def _staged(lake, values):
    """The rows, staged with the sums that a commit needs."""
    return Plans(lake.spark, lake.root).stage(_rows(lake, values), change_sums(), "plan", next(NUMBERS))


def _contents(lake, table=PETS):
    return sorted(tuple(row) for row in lake.read(table).collect())


def _age(lake, name):
    return lake.read(PETS).where(F.col("name") == name).first()["age"]


def test_ensure_writes_comments_keys_constraints_and_clustering(lake):
    lake.ensure(PETS)
    lake.ensure(PETS)
    detail = lake.spark.sql(f"DESCRIBE DETAIL delta.`{lake.path(PETS)}`").first()
    assert detail["description"] == "one row per pet"
    assert detail["clusteringColumns"] == ["name"]
    assert lake.version(PETS) == 0
    fields = {field.name: field for field in lake.read(PETS).schema}
    assert not fields["name"].nullable
    assert fields["age"].metadata["comment"] == "in years"


def test_a_table_of_another_contract_is_refused_by_all_who_use_it(lake):
    """Also if the missing columns may be null: nothing fills them in, and nothing adds them."""
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)])
    columns = (*PETS.columns, Column("owner", "string", "whose", True), Column("tail", "double", "its length in metres"))
    other = replace(PLAIN_PETS, columns=columns)
    uses = {
        "ensure": lambda: lake.ensure(other),
        "read": lambda: lake.read(other),
        "scan": lambda: lake.scan(other, "name"),
        "append": lambda: lake.append(other, _rows(lake, [])),
        "append_values": lambda: lake.append_values(other, [("tom", 4, 0.5, "ada", 0.3)]),
        "dataset": lambda: dataset(lake.root, other),
    }
    for use in uses.values():
        with pytest.raises(LakeError, match=r"the table .*pets is of another xlclass: it lacks the columns owner, tail; make the lake anew$"):
            use()
    assert lake.version(PETS) == 1


def test_scan_gives_the_rows_as_they_are_now_without_a_job(lake):
    with pytest.raises(LakeError, match="has no table pets"):
        lake.scan(PETS, "name")
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, None, True)]))
    lake.append(PETS, _rows(lake, [("ada", 5, 0.25, True)]))
    tracker = lake.spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup()
    assert sorted(row["name"] for row in lake.scan(PETS, "name")) == ["ada", "rex", "tom"]
    assert lake.scan(PETS, "age", "share", where=pc.field("name") == "tom") == [{"age": 4, "share": None}]
    assert len(lake.scan(PETS, "share", where=pc.field("age") < 5, limit=1)) == 1
    assert lake.scan(PETS, "name", where=pc.field("age") > 5, limit=1) == []
    assert tracker.getJobIdsForGroup() == before


def test_append_values_goes_by_the_names_of_the_columns(lake):
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)])
    lake.append_values(replace(PLAIN_PETS, columns=PETS.columns[::-1]), [(0.25, 4, "tom")])
    assert _contents(lake) == [("rex", 3, 0.5), ("tom", 4, 0.25)]


def test_append_values_refuses_what_the_constraints_forbid(lake):
    for bad, sentence in ((("rex", 3, 1.5), "failed validation"), ((None, 3, 0.5), "'name' is declared as non-nullable")):
        with pytest.raises(Exception, match=sentence):
            lake.append_values(PLAIN_PETS, [bad])
    assert lake.read(PLAIN_PETS).count() == 0


def test_append_values_of_an_id_is_taken_once_also_if_two_write_at_once(lake, monkeypatch):
    """The second one looked before the first wrote: the commit itself refuses it."""
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)], "e/1")
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)], "e/1")
    stale = deltalake.DeltaTable(lake.path(PETS))
    write = deltalake.write_deltalake

    def late(path, rows, **more):
        monkeypatch.setattr(deltalake, "write_deltalake", write)
        lake.append_values(PLAIN_PETS, [("ada", 1, 0.5)], "e/2")  # another run, just before this one writes
        write(stale, rows, **more)

    monkeypatch.setattr(deltalake, "write_deltalake", late)
    lake.append_values(PLAIN_PETS, [("ada", 1, 0.5)], "e/2")
    assert sorted(row["name"] for row in lake.scan(PETS, "name")) == ["ada", "rex"]


def test_replace_values_leaves_only_the_new_rows(lake):
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)])
    lake.replace_values(PLAIN_PETS, pa.table({"share": [0.25], "age": [4], "name": ["tom"]}))
    assert lake.scan(PETS, *PETS.names) == [{"name": "tom", "age": 4, "share": 0.25}]
    assert lake.version(PETS) == 2


def test_append_refuses_what_the_constraints_forbid(lake):
    with pytest.raises(Exception, match="share_in_range"):
        lake.append(PETS, _rows(lake, [("rex", 3, 1.5, True)]))
    with pytest.raises(Exception, match="name"):
        lake.append(PETS, _rows(lake, [(None, 3, 0.5, True)]))
    assert lake.read(PETS).count() == 0


def test_every_table_can_be_created_and_read_without_spark(lake):
    lake.ensure(*TABLES)
    for table in TABLES:
        plain = deltalake.DeltaTable(lake.path(table))
        assert [field.name for field in plain.schema().fields] == table.names
        assert plain.metadata().description == table.grain
        assert plain.to_pandas().empty


def test_commit_appends_new_rows_and_replaces_changed_ones_once(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    staged = _staged(lake, [("rex", 9, 0.9, False), ("ada", 1, None, True)])
    lake.commit(PETS, staged, "plan/0")
    expected = [("ada", 1, None), ("rex", 9, pytest.approx(0.9)), ("tom", 4, 0.5)]
    assert _contents(lake) == expected
    version = lake.version(PETS)
    lake.commit(PETS, staged, "plan/0")  # again, after a kill: Delta knows both ids
    assert (lake.version(PETS), _contents(lake)) == (version, expected)
    lake.commit(PETS, _staged(lake, [("ada", 2, None, False)]), "plan/1")
    assert _age(lake, "ada") == 2


def test_commits_of_one_id_take_only_newer_versions(lake):
    """A stream's batches: one id, rising versions from 0, some of them skipped; whatever is repeated or older adds nothing."""
    lake.append(PETS, _rows(lake, [("rex", 0, 0.5, True), ("tom", 0, 0.5, True)]))
    batches = {version: _staged(lake, [("rex", version, 0.5, False), (f"new{version}", version, 0.5, True)]) for version in (0, 1, 5)}
    for version, staged in batches.items():
        assert not lake.has_commit(PETS, "stream/new", version)
        lake.commit(PETS, staged, "stream", version)
        assert lake.has_commit(PETS, "stream/new", version)
        assert lake.has_commit(PETS, "stream/changed", version)
    expected = [("new0", 0, 0.5), ("new1", 1, 0.5), ("new5", 5, 0.5), ("rex", 5, 0.5), ("tom", 0, 0.5)]
    assert _contents(lake) == expected
    newest = lake.version(PETS)
    for version, staged in reversed(batches.items()):
        lake.commit(PETS, staged, "stream", version)
    lake.append(PETS, _rows(lake, [("late", 1, 0.5, True)]), "stream/new", 4)
    lake.delete(PETS, _staged(lake, [("tom", None, None, True)]), "stream/changed", 3)
    assert (lake.version(PETS), _contents(lake)) == (newest, expected)
    assert lake.has_commit(PETS, "stream/new", 4)
    assert not lake.has_commit(PETS, "stream/new", 6)
    assert not lake.has_commit(PETS, "another stream/new", 0)


def test_values_of_one_id_take_only_newer_versions(lake):
    for version in (0, 2, 2, 1):
        lake.append_values(PLAIN_PETS, [(f"pet {version}", version, 0.5)], "stream", version)
    assert _contents(lake, PLAIN_PETS) == [("pet 0", 0, 0.5), ("pet 2", 2, 0.5)]


def test_a_merge_leaves_no_id_behind_that_would_skip_a_later_append(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    lake.commit(PETS, _staged(lake, [("rex", 9, 0.5, False)]), "plan/0")
    lake.delete(PETS, _staged(lake, [("nobody", None, None, True)]), "plan/gone")
    assert [lake.spark.conf.get(f"spark.databricks.delta.write.{name}", None) for name in ("txnAppId", "txnVersion")] == [None, None]
    for name in ("tom", "ada"):
        lake.append(PETS, _rows(lake, [(name, 1, 0.5, True)]))
    assert [row[0] for row in _contents(lake)] == ["ada", "rex", "tom"]


def test_merges_into_two_tables_at_once_both_land(lake):
    barrier, ages = threading.Barrier(2), {PETS: (5, 6), HOUSES: (7, 8)}
    for table in ages:
        lake.append(table, _rows(lake, [("rex", 3, 0.5, True)]))
    staged = {table: [_staged(lake, [("rex", age, 0.5, False)]) for age in ages[table]] for table in ages}

    def merge(table):
        for version, rows in enumerate(staged[table]):
            barrier.wait(60)
            lake.commit(table, rows, "stream", version)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(merge, ages))
    for table, (_, last) in ages.items():
        assert _contents(lake, table) == [("rex", last, 0.5)]
        assert lake.has_commit(table, "stream/changed", 1)


def test_commit_leaves_the_other_rows_where_they_lie(lake):
    """A merge that shuffled the table, vectors and all, would put its rows into another order."""
    names = [f"pet {7 * i % 1_000:04}" for i in range(1_000)]  # not sorted, as a join of shuffled rows leaves them
    lake.append(PETS, _rows(lake, [(name, i, 0.5, True) for i, name in enumerate(names)]).coalesce(1))
    lake.commit(PETS, _staged(lake, [(names[500], 9_999, 0.5, False)]), "plan/0")
    (file,) = deltalake.DeltaTable(lake.path(PETS)).file_uris()
    columns = pq.read_table(file).to_pydict()
    assert columns["name"] == names
    assert (columns["age"][499:502], len(columns["age"])) == ([499, 9_999, 501], 1_000)


def test_commit_refuses_two_rows_of_one_key(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    with pytest.raises(Exception, match="(?i)multiple source rows"):
        lake.commit(PETS, _staged(lake, [("rex", 9, 0.5, False), ("rex", 8, 0.5, False)]), "plan/0")
    assert [row[:2] for row in _contents(lake)] == [("rex", 3), ("tom", 4)]


def test_commit_leaves_the_files_that_have_nothing_to_change(lake):
    for i in range(3):
        lake.append(PETS, _rows(lake, [(f"pet {i}", i, 0.5, True)]).coalesce(1))
    before = set(deltalake.DeltaTable(lake.path(PETS)).file_uris())
    lake.commit(PETS, _staged(lake, [("pet 1", 9, 0.5, False)]), "plan/0")
    after = set(deltalake.DeltaTable(lake.path(PETS)).file_uris())
    assert (len(before & after), len(after)) == (len(before) - 1, len(before))
    assert _age(lake, "pet 1") == 9


def test_may_contain_goes_by_the_statistics_of_the_files(lake):
    lake.ensure(PETS)
    assert not lake.may_contain(PETS, "name", "rex")
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]).coalesce(1))
    assert [lake.may_contain(PETS, "name", name) for name in ("ada", "rex", "sam", "tom", "zoe")] == [False, True, True, True, False]


def test_num_rows_counts_by_the_log_and_without_its_statistics_too(lake):
    lake.ensure(PETS)
    assert lake.num_rows(PETS) == 0
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    lake.delete_where(PETS, F.col("name") == "tom")
    assert lake.num_rows(PETS) == 1
    lake.spark.conf.set("spark.databricks.delta.stats.collect", "false")
    lake.append(PETS, _rows(lake, [("ada", 1, 0.5, True)]))
    lake.spark.conf.unset("spark.databricks.delta.stats.collect")
    assert lake.num_rows(PETS) == 2
    assert lake.may_contain(PETS, "name", "zoe")


def test_delete_takes_its_keys_and_no_other(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    keys = lake.spark.createDataFrame([("tom",), ("none",)], "name string")
    lake.delete(PETS, Plans(lake.spark, lake.root).stage(keys, {}, "plan", "gone"), "plan/gone")
    assert [row[0] for row in _contents(lake)] == ["rex"]


def test_delete_of_a_part_of_the_key_takes_all_rows_that_share_it(lake):
    pairs = replace(PETS, columns=(Column("name", "string", "its name", True), Column("age", "int", "in years", True)), keys=("name", "age"), checks=())
    lake.append(pairs, lake.spark.createDataFrame([("rex", 1), ("rex", 2), ("tom", 1)], "name string, age int"))
    keys = lake.spark.createDataFrame([("rex",)], "name string")
    lake.delete(pairs, Plans(lake.spark, lake.root).stage(keys, {}, "plan", "gone"), "plan/gone")
    assert _contents(lake, pairs) == [("tom", 1)]


def test_optimize_joins_many_small_files_and_leaves_few_alone(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    assert not lake.optimize(PETS)
    lake.append(PETS, _rows(lake, [(f"pet {i}", i, 0.5, True) for i in range(40)]).repartition(20, "age"))
    assert lake.optimize(PETS)
    assert lake.read(PETS).count() == 41


def test_refusals_name_unfit_columns_and_what_to_run_for_a_missing_table(lake):
    with pytest.raises(LakeError, match=r"rows for pets .* missing \['share'\], unknown \['colour'\]"):
        conform(lake.spark.createDataFrame([("a", 1, "red")], "name string, age int, colour string"), PETS)
    with pytest.raises(LakeError, match="has no table embeddings: run the pipeline"):
        lake.read(EMBEDDINGS)
