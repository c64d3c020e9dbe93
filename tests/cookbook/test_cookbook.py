"""The cookbook's queries: Spark and DuckDB give the same rows on a lake that the jobs wrote."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import deltalake
import duckdb
import numpy as np
import pytest
from conftest import ROOT

from xlclass.cookbook import ENGINES, named, queries
from xlclass.cookbook.dictionary import READING
from xlclass.errors import LakeError

QUERIES = queries()
COMMON = [query for query in QUERIES if query.engine is None]
PAIRS = sorted({query.name for query in QUERIES if query.engine == "Spark"})
MACRO = READING.split("```sql\n")[1].split(";")[0]


@pytest.fixture(scope="module")
def engines(spark, analyst_lake):
    """For each engine, a function from SQL to column names and rows; the tables are read as in the data dictionary."""
    session, lake = spark.newSession(), duckdb.connect()
    lake.execute("SET TimeZone = 'UTC'")
    session.conf.set("spark.sql.session.timeZone", "UTC")
    for log in analyst_lake.glob("*/_delta_log"):
        session.read.format("delta").load(str(log.parent)).createOrReplaceTempView(log.parent.name)
        lake.register(log.parent.name, deltalake.DeltaTable(log.parent).to_pyarrow_dataset())
    lake.execute(MACRO)

    def by_spark(sql):
        rows = session.sql(sql)
        return rows.columns, [[plain(value) for value in row] for row in rows.collect()]

    def by_duckdb(sql):
        rows = lake.execute(sql)
        return [column[0] for column in rows.description], [[plain(value) for value in row] for row in rows.fetchall()]

    return {"Spark": by_spark, "DuckDB": by_duckdb}


def plain(value):
    """A value in the same form from both engines: decimals as floats, times in UTC."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).astimezone(UTC)
    return value


def same(a, b):
    """True if two values are equal; numbers may differ in the last digit that the queries round to."""
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-5, abs_tol=1.01e-4)
    return a == b


def assert_same(left, right):
    assert left[0] == right[0]
    assert len(left[1]) == len(right[1])
    different = [(a, b) for a, b in zip(left[1], right[1], strict=True) if not all(map(same, a, b))]
    assert different == []


@pytest.mark.parametrize("query", COMMON, ids=lambda query: query.name)
def test_query_gives_the_same_rows_in_spark_and_duckdb(engines, query):
    by_spark = engines["Spark"](query.sql)
    assert by_spark[1], "no rows: the lake has no data for the query, or the query is wrong"
    assert_same(by_spark, engines["DuckDB"](query.sql))


@pytest.mark.parametrize("name", PAIRS)
def test_query_of_two_dialects_gives_the_same_rows(engines, name):
    results = {query.engine: engines[query.engine](query.sql) for query in named(name)}
    assert set(results) == set(ENGINES)
    assert results["Spark"][1]
    assert_same(results["Spark"], results["DuckDB"])


def test_alike_agrees_with_numpy(engines, analyst_lake):
    (query,) = named("alike")
    found = engines["DuckDB"](query.sql)[1]
    table = deltalake.DeltaTable(analyst_lake / "embeddings").to_pandas().dropna(subset=["vector"]).sort_values("video_id", ignore_index=True)
    matrix = np.frombuffer(b"".join(table.vector), "<f2").reshape(len(table), -1).astype(np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    likeness = dict(zip(table.video_id, matrix @ matrix[0], strict=True))
    assert len(found) == 10
    assert [row[3] for row in found] == pytest.approx(sorted(likeness.values(), reverse=True)[1:11], abs=1e-4)
    assert [row[3] for row in found] == pytest.approx([likeness[row[0]] for row in found], abs=1e-4)


def test_cookbook_has_at_least_15_queries_that_both_engines_run():
    assert len(COMMON) >= 15
    assert len({(query.name, query.engine) for query in QUERIES}) == len(QUERIES)
    assert {query.engine for query in QUERIES} <= {None, *ENGINES}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.name}{query.engine or ''}")
def test_query_is_a_question_and_sorts_its_rows(query):
    assert query.question.rstrip(")").rpartition("?")[0] or query.question.endswith("?")
    assert "ORDER BY" in query.sql
    assert (ROOT / "xlclass" / "cookbook" / f"{query.theme}.sql").read_text(encoding="utf-8").count(query.text) == 1


def test_query_changed_counts_different_top_categories(engines, analyst_lake):
    """Against pandas, with one column per model version."""
    log = deltalake.DeltaTable(analyst_lake / "prediction_log").to_pandas().dropna(subset=["top_category"])
    assert log.model_version.nunique() == 2
    wide = log.pivot(index="video_id", columns="model_version", values="top_category").dropna()
    first, second = wide.columns
    (query,) = named("changed")
    assert sum(row[-1] for row in engines["DuckDB"](query.sql)[1]) == (wide[first] != wide[second]).sum() > 0


def test_named_lists_the_queries_in_its_error():
    with pytest.raises(LakeError, match=r"the cookbook has no query nothing; it has: languages, declarations, .*steps"):
        named("nothing")
