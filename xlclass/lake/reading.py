"""Tables of a lake as Arrow data sets, read without Spark.

Why Arrow's own file system: deltalake's is written in Python, so a thread of Arrow may still hold Python objects when the
interpreter ends. A command that has done its work then dies with "terminate called without an active exception" (2 of 20 runs on
a busy machine; apache/arrow issue 45214).
"""

from __future__ import annotations

from typing import Any

from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from xlclass.errors import LakeError
from xlclass.schemas import Table


def dataset(root: str, table: Table) -> Any:
    """The newest version of a table of the lake at `root`, a `pyarrow.dataset.Dataset`.

    Raises:
        LakeError: the lake has no such table.
    """
    path = f"{root}/{table.name}"
    if not DeltaTable.is_deltatable(path):
        raise LakeError(f"the lake {root} has no table {table.name}: run the pipeline or the backfill first")
    return dataset_of(DeltaTable(path), path)


def dataset_of(table: DeltaTable, path: str) -> Any:
    """The opened version of the table at `path`, a `pyarrow.dataset.Dataset`."""
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(path, LocalFileSystem()))
