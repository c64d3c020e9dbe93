"""Tables of a lake where no Spark runs, for Arrow.

Why Arrow's own file system: with deltalake's, which is Python, threads of Arrow may still hold Python objects when the interpreter
ends, and a command that did its work dies of "terminate called without an active exception" (seen in 2 of 20 on a busy machine;
apache/arrow issue 45214).
"""

from __future__ import annotations

from typing import Any

from deltalake import DeltaTable
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from xlclass.errors import LakeError
from xlclass.schemas import Table


def dataset(root: str, table: Table) -> Any:
    """The table of the lake at `root` as it is now, a `pyarrow.dataset.Dataset`.

    Raises:
        LakeError: it is not there.
    """
    path = f"{root}/{table.name}"
    if not DeltaTable.is_deltatable(path):
        raise LakeError(f"the lake {root} has no table {table.name}: run the pipeline or the backfill first")
    return dataset_of(DeltaTable(path), path)


def dataset_of(table: DeltaTable, path: str) -> Any:
    """The version of the table at `path` that was opened."""
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(path, LocalFileSystem()))
