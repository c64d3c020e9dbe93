"""The lake's tables read without Spark, vectors included, with the lines of the data dictionary: delta-rs, DuckDB, pandas, numpy."""

import subprocess
import sys

import deltalake
import numpy as np
import pyarrow as pa
from refusals import message_of

from xlclass.cookbook.dictionary import READING
from xlclass.encoders.muse.build import muse_id
from xlclass.encoders.muse.graph import DIM as MUSE_DIM
from xlclass.lake.reading import dataset
from xlclass.schemas import RUNS, TABLES, unpack_vectors

SPARKLESS = "import sys\nfor name in ('pyspark', 'py4j', 'delta', 'tensorflow'):\n    sys.modules[name] = None  # an import of it fails\n"
SPARK, DUCKDB, PANDAS, NUMPY, ARRAYS = READING.split("```python\n")[1:]
ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "array<string>": pa.list_(pa.string()),
    "array<double>": pa.list_(pa.float64()),
    "map<string, float>": pa.map_(pa.string(), pa.float32()),
    "map<string, double>": pa.map_(pa.string(), pa.float64()),
    "map<string, bigint>": pa.map_(pa.string(), pa.int64()),
}


def sparkless(lake, *blocks):
    """The lines that Python prints after these blocks of the page, on this lake, in a process that cannot import pyspark."""
    code = SPARKLESS + "\n".join(block.split("```")[0] for block in blocks).replace("build/demo", str(lake))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def tables_in(lake):
    return [table for table in TABLES if (lake / table.name / "_delta_log").is_dir()]


def test_page_reads_the_tables_in_spark(spark, analyst_lake, capsys):
    exec(SPARK.split("```")[0].replace("build/demo", str(analyst_lake)), {"spark": spark.newSession()})
    assert "|      en|" in capsys.readouterr().out


def test_page_reads_tables_and_vectors_without_spark(analyst_lake, tmp_path):
    """DuckDB and pandas read the tables; numpy, pandas and DuckDB read the same vectors."""
    macro, query = READING.split("```sql\n")[1].split("```")[0].split(";\n")[:2]
    counts = "print(len(predictions), predictions.top_confidence.isna().sum(), lake.sql('SELECT count(*), count(top_confidence) FROM predictions').fetchall())"
    vectors = (
        f"lake.execute({macro!r})\n"
        f"lists = lake.execute({query.replace('LIMIT 10', 'ORDER BY video_id')!r}).fetchall()\n"
        f"numpy.savez({str(tmp_path / 'read.npz')!r}, matrix=matrix, arrays=arrays.tolist(), lists=[numbers for _, numbers in lists])"
    )
    printed = sparkless(analyst_lake, DUCKDB, PANDAS, counts, NUMPY, ARRAYS, vectors)
    assert "('fr', 360)" in printed[0]
    assert printed[1] == "1516 1 [(1516, 1515)]"
    read = np.load(tmp_path / "read.npz")
    packed = deltalake.DeltaTable(analyst_lake / "embeddings").to_pandas().dropna(subset=["vector"])
    packed = packed[packed.encoder_id == muse_id("float32")]
    expected = unpack_vectors(packed.vector.tolist(), MUSE_DIM)
    assert len(expected) > 1_000
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=2e-3)
    np.testing.assert_array_equal(read["matrix"], expected)
    np.testing.assert_array_equal(read["arrays"], expected)
    np.testing.assert_array_equal(read["lists"], expected[np.argsort(packed.video_id.to_numpy())])


def test_float16s_is_ieee_754_for_every_number():
    """All 63,488 finite float16 numbers, numpy's as the oracle."""
    import duckdb

    numbers = np.arange(65_536, dtype="<u2").view("<f2")
    numbers = numbers[np.isfinite(numbers)]
    lake = duckdb.connect()
    lake.execute(READING.split("```sql\n")[1].split(";")[0])
    (read,) = lake.execute("SELECT float16s(?)", [numbers.tobytes()]).fetchone()
    np.testing.assert_array_equal(read, numbers.astype(np.float64))


def test_tables_have_the_contracts_types_for_delta_rs(analyst_lake):
    for table in tables_in(analyst_lake):
        schema = deltalake.DeltaTable(analyst_lake / table.name).to_pyarrow_dataset().schema
        assert schema.names == table.names
        for column in table.columns:
            if "struct" not in column.type:
                assert schema.field(column.name).type == ARROW[column.type], f"{table.name}.{column.name}"
                assert schema.field(column.name).nullable is not column.required


def test_tables_need_no_feature_that_other_readers_lack(analyst_lake):
    for table in tables_in(analyst_lake):
        protocol = deltalake.DeltaTable(analyst_lake / table.name).protocol()
        assert protocol.min_reader_version == 1, table.name
        assert not protocol.reader_features


def test_tables_carry_their_comments(analyst_lake):
    for table in tables_in(analyst_lake):
        plain = deltalake.DeltaTable(analyst_lake / table.name)
        assert plain.metadata().description == table.grain
        assert {field.name: field.metadata["comment"] for field in plain.schema().fields} == {column.name: column.comment for column in table.columns}


def _prediction(lake, video_id):
    (row,) = deltalake.DeltaTable(lake / "predictions").to_pyarrow_table(filters=[("video_id", "=", video_id)]).to_pylist()
    return row


def test_predictions_have_nulls_maps_and_arrays_for_delta_rs(analyst_lake):
    without_text = _prediction(analyst_lake, "nothing")
    assert [without_text[name] for name in ("top_category", "top_confidence", "categories", "confidences")] == [None] * 4
    row = _prediction(analyst_lake, "demo-en-001")
    confidences = dict(row["confidences"])
    assert confidences[row["top_category"]] == row["top_confidence"] == max(confidences.values())
    assert len(confidences) > 10
    names = [pair["category"] for pair in row["categories"]]
    assert row["categories"] == [{"category": name, "confidence": confidences[name]} for name in names]


def test_a_table_whose_log_is_damaged_is_refused_in_one_sentence(tmp_path):
    """As every command and job opens it: by delta-rs."""
    log = tmp_path / "runs" / "_delta_log"
    log.mkdir(parents=True)
    for content in ("", "{cut", '{"metaData": {}}\n'):
        (log / f"{0:020}.json").write_text(content)
        message = message_of(dataset, str(tmp_path), RUNS)
        assert message.startswith(f"the table {tmp_path}/runs cannot be read (")
        assert "\n" not in message
