"""The lake: a folder of Delta tables, each with the contract in `schemas.py`, which every write checks.

A commit may carry an id, `app_id`, and a `version`. Delta keeps the last version of each id in the table's log and skips a commit whose
version is not newer. Therefore a commit that is repeated after a kill adds nothing. Work that happens once uses an id of its own and
version 1. A stream uses one id and the number of each batch, because every id stays in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

from xlclass.encoders.pair import Route
from xlclass.errors import LakeError
from xlclass.lake.reading import dataset, opened, require_contract
from xlclass.lake.staging import NUM_CHANGED, NUM_NEW, Staged
from xlclass.lake.table_files import read_rows
from xlclass.schemas import EMBEDDINGS, Table

_TRIES = 4
_LISTING = 16  # tasks in which VACUUM lists a table's folder, which has no partitions; with Spark's default of 10,000 it takes minutes a table on two cores
_MANY_FILES, _FILE_BYTES = 16, 128 << 20
_BROADCAST_ROWS = 50_000  # changed rows that a merge broadcasts, some KiB each
_PROPERTIES = {"delta.enableDeletionVectors": "false", "delta.checkpointPolicy": "classic"}  # what delta-rs and DuckDB can read


class Lake:
    """The tables in the folder `root`."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self.spark = spark
        self.root = root.rstrip("/")
        self._ensured: set[Table] = set()

    def path(self, table: Table) -> str:
        """The table's folder."""
        return f"{self.root}/{table.name}"

    def exists(self, table: Table) -> bool:
        """Whether the table has been created."""
        return deltalake.DeltaTable.is_deltatable(self.path(table))

    def ensure(self, *tables: Table) -> None:
        """Creates the tables that are missing, with comments, NOT NULL, constraints and clustering. This object checks each table once.

        Raises:
            LakeError: a table is of another contract.
        """
        for table in tables:
            if table not in self._ensured:
                self._ensure(table)
                self._ensured.add(table)

    def read(self, table: Table) -> DataFrame:
        """The table's rows.

        Raises:
            LakeError: the table is missing, or of another contract.
        """
        if table not in self._ensured and not self.exists(table):
            raise LakeError(f"the lake {self.root} has no table {table.name}: run the pipeline or the backfill first")
        rows = read_rows(self.spark, self.path(table))
        require_contract(self.path(table), table, rows.columns)
        return rows

    def embeddings_on(self, route: Route) -> DataFrame:
        """The rows of `embeddings` by the encoder for their language, one per video; without Spark: `reading.embeddings_on`."""
        return self.read(EMBEDDINGS).where(route.is_on_it())

    def warm_snapshots(self, *tables: Table) -> None:
        """Warms Delta's snapshot cache (about 1 s a table) so that it overlaps other work: a commit with an id needs the snapshot first."""
        for table in tables:
            DeltaTable.forPath(self.spark, self.path(table)).detail().select("numFiles").first()

    def scan(self, table: Table, *columns: str, where: pc.Expression | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Reads a few rows as dicts through Arrow, without Spark, which would take a second or two.

        Raises:
            LakeError: the table is missing, or of another contract.
        """
        scanner = dataset(self.root, table).scanner(columns=list(columns), filter=where)
        rows = scanner.to_table() if limit is None else scanner.head(limit)
        return rows.to_pylist()

    def version(self, table: Table) -> int:
        """The table's newest Delta version."""
        return int(opened(self.path(table)).version())

    def append(self, table: Table, rows: DataFrame, app_id: str | None = None, version: int = 1) -> None:
        """Adds rows in one commit; columns are checked and put in the contract's order."""
        self._write(table, rows, "append", app_id, version)

    def replace(self, table: Table, rows: DataFrame, app_id: str | None = None, version: int = 1) -> None:
        """Replaces all rows of the table by `rows`, in one commit."""
        self._write(table, rows, "overwrite", app_id, version)

    def append_values(self, table: Table, values: Iterable[Sequence[object]], app_id: str | None = None, version: int = 1) -> None:
        """Adds a few rows that the driver holds, each in the contract's order.

        The table must not be clustered: delta-rs, which writes them, cannot write clustered tables.
        """
        self.ensure(table)
        rows = [dict(zip(table.names, row, strict=True)) for row in values]
        self._write_plain(table, pa.Table.from_pylist(rows, dataset(self.root, table).schema), "append", app_id, version)

    def replace_values(self, table: Table, rows: pa.Table) -> None:
        """Replaces all rows of the table by a few rows with all columns of the contract."""
        self.ensure(table)
        schema = dataset(self.root, table).schema
        self._write_plain(table, rows.select(schema.names).cast(schema), "overwrite")

    def commit(self, table: Table, staged: Staged, app_id: str, version: int = 1) -> None:
        """Appends the staged rows with `is_new`; every other row replaces the row with the same key. One commit for each kind that has rows.

        `staged` has the sums of `change_sums`. A row that is not new must exist in the table: a merge that may insert rows shuffles the
        whole table, this merge only reads it.
        """
        if staged.sums[NUM_NEW]:
            self.append(table, staged.rows(self.spark).where("is_new"), f"{app_id}/new", version)
        if staged.sums[NUM_CHANGED]:
            self.ensure(table)
            session = self._committing_session(table, f"{app_id}/changed", version)
            changed = conform(staged.rows(session).where("NOT is_new"), table)
            is_small = staged.sums[NUM_CHANGED] <= _BROADCAST_ROWS
            self._merge(table, F.broadcast(changed) if is_small else changed, lambda merge: merge.whenMatchedUpdateAll())

    def delete(self, table: Table, keys: Staged, app_id: str, version: int = 1) -> None:
        """Deletes the rows with the staged keys. Keys may be a part of the table's key: then all rows with that part are deleted."""
        session = self._committing_session(table, app_id, version)
        self._merge(table, keys.rows(session), lambda merge: merge.whenMatchedDelete())

    def has_commit(self, table: Table, app_id: str, version: int = 1) -> bool:
        """Whether a commit with this id and version, or a newer one, is in."""
        last = opened(self.path(table)).transaction_version(_transaction_id(table, app_id))
        return last is not None and last >= version

    def may_contain(self, table: Table, column: str, value: str) -> bool:
        """Whether a row's `column` may be `value`, by the statistics of each file in the table's log: no row is read."""
        files = self._files(table)
        statistics = [name for name in (f"min.{column}", f"max.{column}") if name in files.column_names]
        if len(statistics) < 2:
            return files.num_rows > 0
        ranges = zip(*(files[name].to_pylist() for name in statistics), strict=True)
        return any(low is None or high is None or low <= value <= high for low, high in ranges)

    def num_rows(self, table: Table) -> int:
        """The number of the table's rows: by the statistics in its log, if every file has them."""
        files = self._files(table)
        counts: list[Any] = files["num_records"].to_pylist() if "num_records" in files.column_names else [None] * files.num_rows
        return self.read(table).count() if None in counts else sum(counts)

    def optimize(self, table: Table) -> bool:
        """Compacts small files, in the order of the table's clustering, if there are many; gives whether it did."""
        sizes = self._files(table)["size_bytes"].to_pylist()  # by delta-rs: Spark takes half a second a table for it
        has_many = len(sizes) > _MANY_FILES + 2 * sum(sizes) // _FILE_BYTES
        if has_many:
            DeltaTable.forPath(self.spark, self.path(table)).optimize().executeCompaction()
        return has_many

    def delete_where(self, table: Table, condition: Expression) -> None:
        """Deletes the rows for which `condition` is true."""
        _retried(lambda: DeltaTable.forPath(self.spark, self.path(table)).delete(condition))

    def vacuum(self, table: Table, hours: int) -> int:
        """Removes data files that no version of the last `hours` needs, and gives how many; the table gets no new version."""
        num_before = self._num_files_kept(table)
        session = self._session(
            {
                "spark.databricks.delta.vacuum.logging.enabled": "false",
                "spark.databricks.delta.retentionDurationCheck.enabled": "false",  # it would refuse a period that the settings may ask for
                "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(_LISTING),
            }
        )
        DeltaTable.forPath(session, self.path(table)).vacuum(hours)
        return num_before - self._num_files_kept(table)

    def _ensure(self, table: Table) -> None:
        if self.exists(table):  # by its log, without Spark, which would wait if it had no worker
            fields = opened(self.path(table)).schema().fields
            require_contract(self.path(table), table, [field.name for field in fields])
            return
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).comment(table.grain)
        for column in table.columns:
            builder = builder.addColumn(column.name, column.type, nullable=not column.required, comment=column.comment)
        for name, value in {**_PROPERTIES, **{f"delta.constraints.{name}": check for name, check in table.checks}}.items():
            builder = builder.property(name, value)
        (builder.clusterBy(*table.cluster_by) if table.cluster_by else builder).execute()

    def _files(self, table: Table) -> pa.Table:
        """The files of the table's newest version, with the statistics of each in the log."""
        return pa.table(opened(self.path(table)).get_add_actions(flatten=True))

    def _num_files_kept(self, table: Table) -> int:
        return sum(1 for _ in Path(self.path(table)).rglob("*.parquet"))  # those of older versions included

    def _write(self, table: Table, rows: DataFrame, mode: str, app_id: str | None, version: int) -> None:
        self.ensure(table)
        writer = conform(rows, table).write.format("delta").mode(mode)
        if app_id:
            writer = writer.option("txnAppId", _transaction_id(table, app_id)).option("txnVersion", version)
        _retried(lambda: writer.save(self.path(table)))

    def _write_plain(self, table: Table, rows: pa.Table, mode: Literal["append", "overwrite"], app_id: str | None = None, version: int = 1) -> None:
        """Writes with delta-rs: Spark takes a second or two for it, and would wait for a worker when a run ends because it has none.

        One of two writers at once loses and tries again, unless the winner's commit had the same id.
        """
        transactions = [deltalake.Transaction(_transaction_id(table, app_id), version)] if app_id else None

        def write() -> None:
            if not (app_id and self.has_commit(table, app_id, version)):
                properties = deltalake.CommitProperties(app_transactions=transactions)
                deltalake.write_deltalake(self.path(table), rows, mode=mode, commit_properties=properties)

        _retried(write)

    def _committing_session(self, table: Table, app_id: str, version: int) -> SparkSession:
        """A session for one merge. Delta takes the id of a merge from its session: left in the main session, it would make Delta skip later appends."""
        return self._session(
            {
                "spark.databricks.delta.write.txnAppId": _transaction_id(table, app_id),
                "spark.databricks.delta.write.txnVersion": str(version),
                "spark.databricks.delta.merge.materializeSource": "none",  # staged rows read the same each time
            }
        )

    def _session(self, conf: dict[str, str]) -> SparkSession:
        """A new session with these settings (10 ms). It also has those of `open_session`, which are settings of the context."""
        session = self.spark.newSession()
        for key, value in conf.items():
            session.conf.set(key, value)
        return session

    def _merge(self, table: Table, rows: DataFrame, clauses: Callable[[DeltaMergeBuilder], DeltaMergeBuilder]) -> None:
        """Merges rows on those columns of the table's key that they have, in the session that reads them."""
        same_key = " AND ".join(f"old.{key} = new.{key}" for key in table.keys if key in rows.columns)
        session = rows.sparkSession
        _retried(lambda: clauses(DeltaTable.forPath(session, self.path(table)).alias("old").merge(rows.alias("new"), same_key)).execute())


def _transaction_id(table: Table, app_id: str) -> str:
    """The id under which Delta knows a commit."""
    return f"{table.name}/{app_id}"


def _retried(write: Callable[[], object]) -> None:
    """Writes; a commit that lost a race, such as to OPTIMIZE, is tried again from the same rows."""
    for tries_left in reversed(range(_TRIES)):
        try:
            write()
            return
        except (DeltaConcurrentModificationException, CommitFailedError):  # Spark's and delta-rs's
            if not tries_left:
                raise


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """`rows` with the contract's columns in the contract's order.

    Raises:
        LakeError: a column is missing, or one other than `is_new` is not in the contract.
    """
    missing, extra = set(table.names) - set(rows.columns), set(rows.columns) - set(table.names) - {"is_new"}
    if missing or extra:
        raise LakeError(f"rows for {table.name} do not fit its contract: missing {sorted(missing) or 'none'}, unknown {sorted(extra) or 'none'}")
    return rows.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))
