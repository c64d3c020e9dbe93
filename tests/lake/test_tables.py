"""Tables of the lake: contracts kept, merges that touch nothing else, readers without Spark."""

from dataclasses import replace

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from xlclass.errors import LakeError
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


@pytest.fixture
def lake(spark, tmp_path):
    return Lake(spark, str(tmp_path / "lake"))


def _rows(lake, values):
    return lake.spark.createDataFrame(values, "name string, age int, share float, is_new boolean")


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


_TOYS = "array<struct<name: string, num: bigint>>"
NEW_PETS = Table(
    "pets",
    "one row per pet",
    (*PETS.columns, Column("tail", "double", r"its length in metres, as the owner's \ruler says; null in older rows"), Column("toys", _TOYS, "its toys")),
    PETS.keys,
    (*PETS.checks, ("tail_positive", "tail IS NULL OR tail > 0")),
    PETS.cluster_by,
)


def _new_rows(lake, values):
    return lake.spark.createDataFrame(values, f"name string, age int, share float, tail double, toys {_TOYS}, is_new boolean")


def test_read_gives_columns_of_later_contracts_as_null_and_writes_nothing(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    assert lake.read(NEW_PETS).columns == NEW_PETS.names
    assert lake.read(NEW_PETS).dtypes[-2:] == [("tail", "double"), ("toys", _TOYS.replace(" ", ""))]
    assert tuple(lake.read(NEW_PETS).first()) == ("rex", 3, 0.5, None, None)
    assert lake.version(PETS) == 1


def test_look_gives_the_rows_as_they_are_now_without_a_job(lake):
    with pytest.raises(LakeError, match="has no table pets"):
        lake.scan(PETS, "name")
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, None, True)]))
    lake.append(PETS, _rows(lake, [("ada", 5, 0.25, True)]))
    tracker = lake.spark.sparkContext.statusTracker()
    before = tracker.getJobIdsForGroup()
    assert sorted(row["name"] for row in lake.scan(PETS, "name")) == ["ada", "rex", "tom"]
    assert lake.scan(PETS, "age", "tail", where=pc.field("name") == "tom") == [{"age": 4, "tail": None}]  # the second is of a later contract
    assert len(lake.scan(PETS, "share", where=pc.field("age") < 5, most=1)) == 1
    assert lake.scan(PETS, "name", where=pc.field("age") > 5, most=1) == []
    assert tracker.getJobIdsForGroup() == before


def test_append_to_a_table_of_an_older_contract_adds_its_columns(lake):
    """With comments and constraints, once, at the end; the old rows have nulls there. Read without Spark."""
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    lake.append(NEW_PETS, _new_rows(lake, [("tom", 4, 0.5, 0.3, [("ball", 2)], True)]))
    plain = deltalake.DeltaTable(lake.path(PETS))
    assert [field.name for field in plain.schema().fields] == NEW_PETS.names
    assert {field.name: field.metadata["comment"] for field in plain.schema().fields} == {column.name: column.comment for column in NEW_PETS.columns}
    found = plain.to_pyarrow_table().sort_by("name").to_pylist()
    assert [(row["name"], row["tail"], row["toys"]) for row in found] == [("rex", None, None), ("tom", 0.3, [{"name": "ball", "num": 2}])]
    with pytest.raises(Exception, match="tail_positive"):
        lake.append(NEW_PETS, _new_rows(lake, [("ada", 4, 0.5, -0.3, None, True)]))
    version = lake.version(PETS)
    lake.ensure(NEW_PETS)
    lake.ensure(PETS)  # an older xlclass: what it does not know stays
    assert lake.version(PETS) == version


def test_commit_of_changed_rows_alone_adds_the_columns_too(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    assert lake.commit(NEW_PETS, _new_rows(lake, [("rex", 3, 0.5, 0.4, None, False)]), "plan/0") == (0, 1)
    assert tuple(lake.read(NEW_PETS).first()) == ("rex", 3, 0.5, pytest.approx(0.4), None)


PLAIN_PETS = replace(PETS, cluster_by=())  # what append_values can write


def test_append_values_follows_the_contract_where_the_table_has_another_order(lake):
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)])
    between = Table("pets", PETS.grain, (PETS.columns[0], NEW_PETS.columns[3], *PETS.columns[1:]), PETS.keys)
    lake.append_values(between, [("tom", 0.3, 4, 0.25)])
    assert tuple(lake.read(between).where("name = 'tom'").select("name", "age", "share", "tail").first()) == ("tom", 4, 0.25, 0.3)


def test_append_values_refuses_what_the_constraints_forbid(lake):
    for bad, said in ((("rex", 3, 1.5), "failed validation"), ((None, 3, 0.5), "'name' is declared as non-nullable")):
        with pytest.raises(Exception, match=said):
            lake.append_values(PLAIN_PETS, [bad])
    assert lake.read(PLAIN_PETS).count() == 0


def test_append_values_of_an_id_is_taken_once_also_where_two_are_at_it(lake, monkeypatch):
    """The second looked before the first wrote: the commit itself refuses it."""
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)], "e/1")
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)], "e/1")
    stale = deltalake.DeltaTable(lake.path(PETS))
    write = deltalake.write_deltalake

    def late(path, rows, **more):
        monkeypatch.setattr(deltalake, "write_deltalake", write)
        lake.append_values(PLAIN_PETS, [("ada", 1, 0.5)], "e/2")  # another run, while this one is about to
        write(stale, rows, **more)

    monkeypatch.setattr(deltalake, "write_deltalake", late)
    lake.append_values(PLAIN_PETS, [("ada", 1, 0.5)], "e/2")
    assert sorted(row["name"] for row in lake.scan(PETS, "name")) == ["ada", "rex"]


def test_replace_values_leaves_only_the_new_rows(lake):
    lake.append_values(PLAIN_PETS, [("rex", 3, 0.5)])
    lake.replace_values(PLAIN_PETS, pa.table({"share": [0.25], "age": [4], "name": ["tom"]}))
    assert lake.scan(PETS, *PETS.names) == [{"name": "tom", "age": 4, "share": 0.25}]
    assert lake.version(PETS) == 2


def test_ensure_refuses_a_table_that_lacks_a_required_column(lake):
    lake.ensure(PETS)
    stricter = Table("pets", PETS.grain, (*PETS.columns, Column("owner", "string", "whose", True)), PETS.keys)
    for use in (lake.ensure, lake.read):
        with pytest.raises(LakeError, match="pets is not of this version's contract: it lacks owner"):
            use(stricter)


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


def test_commit_appends_new_and_replaces_changed_rows_once(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    staged = _rows(lake, [("rex", 9, 0.9, False), ("ada", 1, None, True)])
    assert lake.commit(PETS, staged, "plan/0") == (1, 1)
    expected = [("ada", 1, None), ("rex", 9, pytest.approx(0.9)), ("tom", 4, 0.5)]
    assert sorted(tuple(row) for row in lake.read(PETS).collect()) == expected
    version = lake.version(PETS)
    lake.commit(PETS, staged, "plan/0")  # again, after a kill: both ids are known
    assert (lake.version(PETS), sorted(tuple(row) for row in lake.read(PETS).collect())) == (version, expected)
    lake.commit(PETS, _rows(lake, [("ada", 2, None, False)]), "plan/1")
    assert lake.read(PETS).where("name = 'ada'").first()["age"] == 2


def test_commit_leaves_the_other_rows_where_they_lie(lake):
    """A merge that shuffled the table, vectors and all, would put its rows into another order."""
    names = [f"pet {7 * i % 1_000:04}" for i in range(1_000)]  # not sorted, as a join of shuffled rows leaves them
    lake.append(PETS, _rows(lake, [(name, i, 0.5, True) for i, name in enumerate(names)]).coalesce(1))
    lake.commit(PETS, _rows(lake, [(names[500], 9_999, 0.5, False)]), "plan/0")
    (file,) = deltalake.DeltaTable(lake.path(PETS)).file_uris()
    found = pq.read_table(file).to_pydict()
    assert found["name"] == names
    assert (found["age"][499:502], len(found["age"])) == ([499, 9_999, 501], 1_000)


def test_commit_refuses_two_rows_of_one_key(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True), ("tom", 4, 0.5, True)]))
    with pytest.raises(Exception, match="(?i)multiple source rows"):
        lake.commit(PETS, _rows(lake, [("rex", 9, 0.5, False), ("rex", 8, 0.5, False)]), "plan/0")
    assert sorted((row["name"], row["age"]) for row in lake.read(PETS).collect()) == [("rex", 3), ("tom", 4)]


def test_commit_leaves_the_files_that_have_nothing_to_change(lake):
    for i in range(3):
        lake.append(PETS, _rows(lake, [(f"pet {i}", i, 0.5, True)]).coalesce(1))
    before = set(deltalake.DeltaTable(lake.path(PETS)).file_uris())
    lake.commit(PETS, _rows(lake, [("pet 1", 9, 0.5, False)]), "plan/0")
    after = set(deltalake.DeltaTable(lake.path(PETS)).file_uris())
    assert (len(before & after), len(after)) == (len(before) - 1, len(before))
    assert lake.read(PETS).where("name = 'pet 1'").first()["age"] == 9


def test_may_hold_goes_by_what_the_files_hold(lake):
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
    lake.delete(PETS, lake.spark.createDataFrame([("tom",), ("none",)], "name string"), "plan/gone")
    assert [row["name"] for row in lake.read(PETS).collect()] == ["rex"]


def test_optimize_joins_many_small_files_and_leaves_few_alone(lake):
    lake.append(PETS, _rows(lake, [("rex", 3, 0.5, True)]))
    assert not lake.optimize(PETS)
    lake.append(PETS, _rows(lake, [(f"pet {i}", i, 0.5, True) for i in range(40)]).repartition(20, "age"))
    assert lake.optimize(PETS)
    assert lake.read(PETS).count() == 41


def test_conform_names_missing_and_unknown_columns(lake):
    with pytest.raises(LakeError, match=r"rows for pets .* missing \['share'\], unknown \['colour'\]"):
        conform(lake.spark.createDataFrame([("a", 1, "red")], "name string, age int, colour string"), PETS)


def test_read_says_what_to_run_for_a_missing_table(lake):
    with pytest.raises(LakeError, match="has no table embeddings: run the pipeline"):
        lake.read(EMBEDDINGS)
