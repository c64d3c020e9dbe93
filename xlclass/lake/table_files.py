"""A Delta table's rows as a DataFrame. The files of a small table are listed by delta-rs, not by Spark.

Why: to open a table, Delta replays its log in Spark jobs. A backfill with nothing to do opens four small tables, and that was a quarter
of its processor time (`tests/bench/idle_backfill.py`). delta-rs lists the same files in 10 ms.
"""

from __future__ import annotations

import json

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from xlclass.lake.reading import opened

_MAX_FILES = 32  # more paths than these Spark lists by a job of its own
_GLOB = set("*?[]{}\\")  # characters of a pattern in a path that Spark's Parquet reader is given
_PLAIN_READER = 1  # a higher reader version may mean deletion vectors or renamed columns, which the files alone do not show


def read_rows(spark: SparkSession, path: str) -> DataFrame:
    """The rows of the newest version of the Delta table at `path`."""
    log = opened(path)
    names = pa.table(log.get_add_actions())["path"].to_pylist()
    if not 0 < len(names) <= _MAX_FILES or log.protocol().min_reader_version > _PLAIN_READER or log.metadata().partition_columns or _GLOB & set(path):
        return spark.read.format("delta").load(path)
    schema = StructType.fromJson(json.loads(log.schema().to_json()))
    return spark.read.schema(schema).parquet(*(f"{path}/{name}" for name in names))
