"""The cookbook's queries: each gives the same rows in Spark and in DuckDB, on a lake that the jobs wrote."""

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
    """Per engine a function from SQL to column names and rows, over the lake's tables opened as the data dictionary shows."""
    session, lake = spark.newSession(), duckdb.connect()
    lake.execute("SET TimeZone = 'UTC'")
    session.conf.set("spark.sql.session.timeZone", "UTC")
    for log in analyst_lake.glob("*/_delta_log"):
        session.read.format("delta").load(str(log.parent)).createOrReplaceTempView(log.parent.name)
        lake.register(log.parent.name, deltalake.DeltaTable(log.parent).to_pyarrow_dataset())
    lake.execute(MACRO)

    def by_spark(sql):
        rows = session.sql(sql)
        return rows.columns, [[comparable(value) for value in row] for row in rows.collect()]

    def by_duckdb(sql):
        rows = lake.execute(sql)
        return [column[0] for column in rows.description], [[comparable(value) for value in row] for row in rows.fetchall()]

    return {"Spark": by_spark, "DuckDB": by_duckdb}


def comparable(value):
    """Decimals as floats, and times in UTC; Spark collects times without a zone, in the machine's."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).astimezone(UTC)
    return value


def is_same(a, b):
    """Whether two values are equal; numbers may differ in the last digit that the queries round to."""
    if isinstance(a, float) or isinstance(b, float):
        return a is not None and b is not None and math.isclose(a, b, rel_tol=1e-5, abs_tol=1.01e-4)
    return a == b


def difference(by_spark, by_duckdb):
    """What differs between the answers of the two engines; null if nothing does."""
    if not by_spark[1]:
        return "no rows: the lake lacks what the query looks for, or the query is wrong"
    if by_spark[0] != by_duckdb[0]:
        return by_spark[0], by_duckdb[0]
    if len(by_spark[1]) != len(by_duckdb[1]):
        return f"{len(by_spark[1])} rows in Spark, {len(by_duckdb[1])} in DuckDB"
    return [(a, b) for a, b in zip(by_spark[1], by_duckdb[1], strict=True) if not all(map(is_same, a, b))] or None


def test_queries_give_the_same_rows_in_spark_and_duckdb(engines):
    differences = {query.name: difference(engines["Spark"](query.sql), engines["DuckDB"](query.sql)) for query in COMMON}
    assert {name: found for name, found in differences.items() if found} == {}


def test_queries_of_two_dialects_give_the_same_rows(engines):
    differences = {}
    for name in PAIRS:
        answers = {query.engine: engines[query.engine](query.sql) for query in named(name)}
        assert set(answers) == set(ENGINES), name
        differences[name] = difference(answers["Spark"], answers["DuckDB"])
    assert {name: found for name, found in differences.items() if found} == {}


def test_query_alike_finds_the_same_neighbours_as_numpy(engines, analyst_lake):
    (query,) = named("alike")
    rows = engines["DuckDB"](query.sql)[1]
    predictions = deltalake.DeltaTable(analyst_lake / "predictions").to_pandas()[["video_id", "encoder_id"]]
    table = deltalake.DeltaTable(analyst_lake / "embeddings").to_pandas().dropna(subset=["vector"]).merge(predictions, on=["video_id", "encoder_id"])
    table = table.sort_values("video_id", ignore_index=True)
    table = table[table.encoder_id == table.encoder_id[0]]
    matrix = np.frombuffer(b"".join(table.vector), "<f2").reshape(len(table), -1).astype(np.float64)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    cosines = dict(zip(table.video_id, matrix @ matrix[0], strict=True))
    assert len(rows) == 10
    assert [row[3] for row in rows] == pytest.approx(sorted(cosines.values(), reverse=True)[1:11], abs=1e-4)
    assert [row[3] for row in rows] == pytest.approx([cosines[row[0]] for row in rows], abs=1e-4)


def test_cookbook_has_at_least_15_queries_that_both_engines_run():
    assert len(COMMON) >= 15
    assert len({(query.name, query.engine) for query in QUERIES}) == len(QUERIES)
    assert {query.engine for query in QUERIES} <= {None, *ENGINES}


def test_queries_answer_a_question_and_sort_their_rows():
    """Each also stands once in the file of its theme."""
    failures = []
    for query in QUERIES:
        is_question = query.question.rstrip(")").rpartition("?")[0] or query.question.endswith("?")
        count = (ROOT / "xlclass" / "cookbook" / f"{query.theme}.sql").read_text(encoding="utf-8").count(query.text)
        if not is_question or "ORDER BY" not in query.sql or count != 1:
            failures.append(query)
    assert failures == []


def test_query_changed_counts_the_videos_whose_category_differs_between_two_versions(engines, analyst_lake):
    """Against pandas: the rows of both versions in the prediction log, pivoted."""
    log = deltalake.DeltaTable(analyst_lake / "prediction_log").to_pandas().dropna(subset=["top_category"])
    assert log.model_version.nunique() == 2
    wide = log.pivot(index="video_id", columns="model_version", values="top_category").dropna()
    first, second = wide.columns
    (query,) = named("changed")
    assert sum(row[-1] for row in engines["DuckDB"](query.sql)[1]) == (wide[first] != wide[second]).sum() > 0


def test_named_lists_the_queries_if_it_has_no_such_one():
    with pytest.raises(LakeError, match=r"the cookbook has no query nothing; it has: languages, declarations, .*steps"):
        named("nothing")
