"""The lake: a folder of Delta tables, each of the contract in `schemas.py`, checked whenever one is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.errors import LakeError
from xlclass.schemas import Table

Transform = Callable[[DataFrame], DataFrame]
_PROPERTIES = {"delta.enableDeletionVectors": "false", "delta.checkpointPolicy": "classic"}  # what delta-rs and DuckDB can read


class Lake:
    """The tables under `root`, a path."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")

    def path(self, table: Table) -> str:
        """Where the table lies."""
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        """Whether it has been created."""
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def ensure(self, *tables: Table) -> None:
        """Creates those that are not there: comments, NOT NULL, constraints, clustering."""
        for table in tables:
            if self.exists(table):
                continue
            builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).comment(table.grain)
            for column in table.columns:
                builder = builder.addColumn(column.name, column.type, nullable=not column.required, comment=column.comment)
            for name, value in {**_PROPERTIES, **{f"delta.constraints.{name}": check for name, check in table.checks}}.items():
                builder = builder.property(name, value)
            (builder.clusterBy(*table.cluster_by) if table.cluster_by else builder).execute()

    def read(self, table: Table) -> DataFrame:
        """Its rows.

        Raises:
            LakeError: it is not there.
        """
        if not self.exists(table):
            raise LakeError(f"the lake {self.root} has no table {table.name}: run the pipeline or the backfill first")
        return self.spark.read.format("delta").load(self.path(table))

    def version(self, table: Table) -> int:
        """Its newest Delta version."""
        return int(DeltaTable.forPath(self.spark, self.path(table)).history(1).select("version").first()[0])

    def append(self, table: Table, rows: DataFrame) -> None:
        """Adds rows in one commit; columns are checked and put in the contract's order."""
        self.ensure(table)
        conform(rows, table).write.format("delta").mode("append").save(self.path(table))

    def replace(self, table: Table, rows: DataFrame) -> None:
        """Writes `rows` in place of all that the table holds, in one commit."""
        self.ensure(table)
        conform(rows, table).write.format("delta").mode("overwrite").save(self.path(table))

    def append_values(self, table: Table, values: list[tuple[object, ...]]) -> None:
        """Adds a few rows that the driver holds, each in the contract's order."""
        self.ensure(table)
        self.append(table, self.spark.createDataFrame(values, self.read(table).schema))

    def upsert(self, table: Table, pending: DataFrame, num_new: int, num_changed: int, transform: Transform = lambda rows: rows) -> None:
        """Writes `transform(pending)`: rows with `is_new` are appended, the others replace the row of their key.

        `transform` may be dear: it runs once per row. Changed rows are staged before the merge, which would run it again.
        """
        if num_new:
            self.append(table, transform(pending.where("is_new")))
        if num_changed:
            self._merge_staged(table, conform(transform(pending.where("NOT is_new")), table))

    def _merge_staged(self, table: Table, rows: DataFrame) -> None:
        staged = f"{self.root}/_staged/{table.name}-{uuid.uuid4().hex}"
        rows.write.parquet(staged)
        try:
            same_key = " AND ".join(f"old.{key} = new.{key}" for key in table.keys)
            merge = DeltaTable.forPath(self.spark, self.path(table)).alias("old").merge(self.spark.read.parquet(staged).alias("new"), same_key)
            merge.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
        finally:
            _delete(self.spark, staged)


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """`rows` with the contract's columns in the contract's order.

    Raises:
        LakeError: one is missing, or there is one too many.
    """
    missing, extra = set(table.names) - set(rows.columns), set(rows.columns) - set(table.names) - {"is_new"}
    if missing or extra:
        raise LakeError(f"rows for {table.name} do not fit its contract: missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}")
    return rows.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))


def _delete(spark: SparkSession, path: str) -> None:
    target = spark._jvm.org.apache.hadoop.fs.Path(path)
    target.getFileSystem(spark._jsc.hadoopConfiguration()).delete(target, True)
