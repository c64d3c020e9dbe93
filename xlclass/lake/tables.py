"""The lake: a folder of Delta tables, each of the contract in `schemas.py`, checked whenever one is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
from delta.exceptions import DeltaConcurrentModificationException
from delta.tables import DeltaMergeBuilder, DeltaTable
from deltalake.exceptions import CommitFailedError
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.errors import LakeError
from xlclass.lake.reading import dataset
from xlclass.schemas import Column, Table

_TRIES = 4
_LISTING = 16  # tasks in which VACUUM lists a table's folder, which has no partitions; 10,000 unless told otherwise, minutes a table on two cores
_MANY_FILES, _FILE_BYTES = 16, 128 << 20
_FEW = 50_000  # changed rows that a merge broadcasts, of some KiB each
_PROPERTIES = {"delta.enableDeletionVectors": "false", "delta.checkpointPolicy": "classic"}  # what delta-rs and DuckDB can read


class Lake:
    """The tables under `root`, a path."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")
        self._ensured: set[Table] = set()

    def path(self, table: Table) -> str:
        """Where the table lies."""
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        """Whether it has been created."""
        return deltalake.DeltaTable.is_deltatable(self.path(table))

    def ensure(self, *tables: Table) -> None:
        """Creates those that are not there (comments, NOT NULL, constraints, clustering); one of an older contract gets the columns it lacks.

        Each is looked at once for all writes by this object.
        """
        for table in tables:
            if table not in self._ensured:
                self._ensure(table)
                self._ensured.add(table)

    def read(self, table: Table) -> DataFrame:
        """Its rows, with all columns of the contract: those that a table of an older one lacks are null.

        Raises:
            LakeError: it is not there, or lacks a column that may not be null.
        """
        if table not in self._ensured and not self.exists(table):
            raise LakeError(f"the lake {self.root} has no table {table.name}: run the pipeline or the backfill first")
        rows = self.spark.read.format("delta").load(self.path(table))
        return rows.select("*", *(F.lit(None).cast(column.type).alias(column.name) for column in self._lacking(table, rows)))

    def warm_snapshots(self, *tables: Table) -> None:
        """Has Spark read the tables' logs, as a commit with an id does first: a second's work each, which need not wait for the rows."""
        for table in tables:
            DeltaTable.forPath(self.spark, self.path(table)).detail().select("numFiles").first()

    def scan(self, table: Table, *columns: str, where: pc.Expression | None = None, most: int | None = None) -> list[dict[str, Any]]:
        """These columns of the rows that `where` is true of, `most` of them if given: a few rows, by Arrow, for which Spark would take a second or two.

        A column that a table of an older contract lacks is null.

        Raises:
            LakeError: the table is not there.
        """
        rows = dataset(self.root, table)
        scanner = rows.scanner(columns=[name for name in columns if name in rows.schema.names], filter=where)
        found = scanner.to_table() if most is None else scanner.head(most)
        return [dict.fromkeys(columns) | row for row in found.to_pylist()]

    def version(self, table: Table) -> int:
        """Its newest Delta version."""
        return int(deltalake.DeltaTable(self.path(table)).version())

    def append(self, table: Table, rows: DataFrame, commit_id: str | None = None) -> None:
        """Adds rows in one commit; columns are checked and put in the contract's order.

        A commit with an id is taken once: a second one of the same id, after a kill, changes nothing.
        """
        self.ensure(table)
        self._write(table, rows, "append", commit_id)

    def replace(self, table: Table, rows: DataFrame, commit_id: str | None = None) -> None:
        """Writes `rows` in place of all that the table holds, in one commit."""
        self.ensure(table)
        self._write(table, rows, "overwrite", commit_id)

    def append_values(self, table: Table, values: Iterable[Sequence[object]], commit_id: str | None = None) -> None:
        """Adds a few rows that the driver holds, each in the contract's order; a commit with an id is taken once, as in `append`.

        Not to a table with clustering, which delta-rs does not write.
        """
        self.ensure(table)
        rows = [dict(zip(table.names, row, strict=True)) for row in values]
        self._write_plain(table, pa.Table.from_pylist(rows, dataset(self.root, table).schema), "append", commit_id)

    def replace_values(self, table: Table, rows: pa.Table) -> None:
        """Writes a few rows, of all columns of the contract, in place of all that the table holds."""
        self.ensure(table)
        schema = dataset(self.root, table).schema
        self._write_plain(table, rows.select(schema.names).cast(schema), "overwrite")

    def commit(self, table: Table, staged: DataFrame, commit_id: str, counts: tuple[int, int] | None = None) -> tuple[int, int]:
        """Writes staged rows, and gives how many were new and how many changed: the new (`is_new`) are appended, the others replace the row of their key.

        The rows must be staged: a lost race, and the merge itself, read them again. A row that is said to be changed must be
        in the table: a merge that had to add rows would shuffle the whole table, this one reads it where it lies. `counts` are the
        two numbers, where they are known: else the rows are counted.
        """
        num_new, num_changed = counts or staged.agg(F.count_if("is_new"), F.count_if(~F.col("is_new"))).first()
        if num_new:
            self.append(table, staged.where("is_new"), f"{commit_id}/new")
        if num_changed:
            self.ensure(table)
            changed = conform(staged.where("NOT is_new"), table)
            self._merge(table, F.broadcast(changed) if num_changed <= _FEW else changed, f"{commit_id}/changed", lambda merge: merge.whenMatchedUpdateAll())
        return num_new, num_changed

    def may_contain(self, table: Table, column: str, value: str) -> bool:
        """Whether a row's `column` may be `value`: by the statistics that the table's log has of each file, so that no row is read."""
        files = self._files(table)
        known = [name for name in (f"min.{column}", f"max.{column}") if name in files.column_names]
        if len(known) < 2:
            return files.num_rows > 0
        ranges = zip(*(files[name].to_pylist() for name in known), strict=True)
        return any(low is None or high is None or low <= value <= high for low, high in ranges)

    def num_rows(self, table: Table) -> int:
        """How many rows it has: by the log's statistics, where it has them of every file."""
        files = self._files(table)
        counts: list[Any] = files["num_records"].to_pylist() if "num_records" in files.column_names else [None] * files.num_rows
        return self.read(table).count() if None in counts else sum(counts)

    def has_commit(self, table: Table, commit_id: str) -> bool:
        """Whether a commit of that id is in."""
        return deltalake.DeltaTable(self.path(table)).transaction_version(_application(table, commit_id)) is not None

    def delete(self, table: Table, keys: DataFrame, commit_id: str) -> None:
        """Deletes the rows of these keys; `keys` must be staged."""
        self._merge(table, keys, commit_id, lambda merge: merge.whenMatchedDelete())

    def optimize(self, table: Table) -> bool:
        """Joins small files, in the order of the table's clustering, where there are many; gives whether it did."""
        sizes = self._files(table)["size_bytes"].to_pylist()  # by delta-rs: Spark takes half a second a table to say it
        crowded = len(sizes) > _MANY_FILES + 2 * sum(sizes) // _FILE_BYTES
        if crowded:
            DeltaTable.forPath(self.spark, self.path(table)).optimize().executeCompaction()
        return crowded

    def delete_where(self, table: Table, condition: Expression) -> None:
        """Deletes the rows of `condition`."""
        _retried(lambda: DeltaTable.forPath(self.spark, self.path(table)).delete(condition))

    def vacuum(self, table: Table, hours: int) -> int:
        """Removes data files that no version of the last `hours` needs, and gives how many; the table gets no new version."""
        before = self._num_files_kept(table)
        conf = {"spark.databricks.delta.vacuum.logging.enabled": "false", "spark.databricks.delta.retentionDurationCheck.enabled": "false"}
        conf["spark.sql.sources.parallelPartitionDiscovery.parallelism"] = str(_LISTING)
        with _set(self.spark, conf):  # the check would refuse what the settings ask for
            DeltaTable.forPath(self.spark, self.path(table)).vacuum(hours)
        return before - self._num_files_kept(table)

    def _ensure(self, table: Table) -> None:
        if self._is_current(table):
            return
        if self.exists(table):
            _retried(partial(self._evolve, table))
            return
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).comment(table.grain)
        for column in table.columns:
            builder = builder.addColumn(column.name, column.type, nullable=not column.required, comment=column.comment)
        for name, value in {**_PROPERTIES, **{f"delta.constraints.{name}": check for name, check in table.checks}}.items():
            builder = builder.property(name, value)
        (builder.clusterBy(*table.cluster_by) if table.cluster_by else builder).execute()

    def _is_current(self, table: Table) -> bool:
        """Whether it is there with all columns: by its log, without Spark, which would wait where it has no worker."""
        return self.exists(table) and not set(table.names) - {field.name for field in deltalake.DeltaTable(self.path(table)).schema().fields}

    def _files(self, table: Table) -> pa.Table:
        """The files of its newest version, with the statistics that its log has of each."""
        return pa.table(deltalake.DeltaTable(self.path(table)).get_add_actions(flatten=True))

    def _num_files_kept(self, table: Table) -> int:
        return sum(1 for _ in Path(self.path(table)).rglob("*.parquet"))  # those of older versions included

    def _evolve(self, table: Table) -> None:
        """Adds columns and constraints that came into the contract after the table was made."""
        rows, name = self.spark.read.format("delta").load(self.path(table)), f"delta.`{self.path(table)}`"
        added = [f"`{column.name}` {column.type} COMMENT {_quoted(column.comment)}" for column in self._lacking(table, rows)]
        if not added:
            return
        self.spark.sql(f"ALTER TABLE {name} ADD COLUMNS ({', '.join(added)})")
        known = DeltaTable.forPath(self.spark, self.path(table)).detail().select("properties").first()[0]
        for check, condition in table.checks:
            if f"delta.constraints.{check}" not in known:
                self.spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT {check} CHECK ({condition})")

    def _lacking(self, table: Table, rows: DataFrame) -> list[Column]:
        """The contract's columns that `rows`, read from the table, lack."""
        lacking = [column for column in table.columns if column.name not in rows.columns]
        required = [column.name for column in lacking if column.required]
        if required:
            raise LakeError(f"{self.path(table)} is not of this version's contract: it lacks {', '.join(required)}; make the lake anew")
        return lacking

    def _write(self, table: Table, rows: DataFrame, mode: str, commit_id: str | None) -> None:
        writer = conform(rows, table).write.format("delta").mode(mode)
        if commit_id:
            writer = writer.option("txnAppId", _application(table, commit_id)).option("txnVersion", 1)
        _retried(lambda: writer.save(self.path(table)))

    def _write_plain(self, table: Table, rows: pa.Table, mode: Literal["append", "overwrite"], commit_id: str | None = None) -> None:
        """By delta-rs and not by Spark, which takes a second or two for it, and would wait for a worker where a run ends because there is none.

        Of two writers at once one loses: it tries again, unless the other's commit was of the same id.
        """
        taken = [deltalake.Transaction(_application(table, commit_id), 1)] if commit_id else None

        def write() -> None:
            if not (commit_id and self.has_commit(table, commit_id)):
                deltalake.write_deltalake(self.path(table), rows, mode=mode, commit_properties=deltalake.CommitProperties(app_transactions=taken))

        _retried(write)

    def _merge(self, table: Table, rows: DataFrame, commit_id: str, clauses: Callable[[DeltaMergeBuilder], DeltaMergeBuilder]) -> None:
        same_key = " AND ".join(f"old.{key} = new.{key}" for key in table.keys if key in rows.columns)
        conf = {"spark.databricks.delta.write.txnAppId": _application(table, commit_id), "spark.databricks.delta.write.txnVersion": "1"}
        conf["spark.databricks.delta.merge.materializeSource"] = "none"  # the rows are staged: they read the same each time
        with _set(self.spark, conf):
            _retried(lambda: clauses(DeltaTable.forPath(self.spark, self.path(table)).alias("old").merge(rows.alias("new"), same_key)).execute())


def _application(table: Table, commit_id: str) -> str:
    """What Delta knows a commit by that it takes once."""
    return f"{table.name}/{commit_id}"


@contextmanager
def _set(spark: SparkSession, conf: dict[str, str]) -> Iterator[None]:
    """While the block runs the session has these settings; a merge takes its commit's id from there, and there is one writer in the session."""
    for key, value in conf.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key in conf:
            spark.conf.unset(key)


def _quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _retried(write: Callable[[], object]) -> None:
    """Writes; a commit that lost a race (to OPTIMIZE, say) is tried again from the same rows."""
    for left in reversed(range(_TRIES)):
        try:
            write()
            return
        except (DeltaConcurrentModificationException, CommitFailedError):  # Spark's and delta-rs's
            if not left:
                raise


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """`rows` with the contract's columns in the contract's order.

    Raises:
        LakeError: one is missing, or there is one too many.
    """
    missing, extra = set(table.names) - set(rows.columns), set(rows.columns) - set(table.names) - {"is_new"}
    if missing or extra:
        raise LakeError(f"rows for {table.name} do not fit its contract: missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}")
    return rows.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))
