"""Tables of a lake as Arrow data sets, read without Spark.

Why Arrow's own file system: deltalake's is written in Python, so a thread of Arrow may still hold Python objects when the
interpreter ends. A command that has done its work then dies with "terminate called without an active exception" (2 of 20 runs on
a busy machine; apache/arrow issue 45214).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from xlclass.encoders.pair import Route
from xlclass.errors import LakeError
from xlclass.schemas import EMBEDDINGS, TABLES, VIDEOS, Table


def dataset(root: str, table: Table) -> Any:
    """The newest version of a table of the lake at `root`, a `pyarrow.dataset.Dataset`.

    Raises:
        LakeError: the lake has no such table, or it is of another contract.
    """
    path = f"{root}/{table.name}"
    if not DeltaTable.is_deltatable(path):
        raise LakeError(f"the lake {root} has no table {table.name}: run the pipeline or the backfill first")
    rows = dataset_of(opened(path), path)
    require_contract(path, table, rows.schema.names)
    return rows


def opened(path: str, version: int | None = None) -> DeltaTable:
    """The table at `path`, its newest version or another one, opened by delta-rs.

    Raises:
        LakeError: its log cannot be read.
    """
    try:
        return DeltaTable(path, version=version)
    except DeltaError as error:
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise LakeError(f"the table {path} cannot be read ({found}): restore its folder from a copy, or make the lake anew") from error


def require_lake(root: str) -> str:
    """`root`, if it is the folder of a lake: it holds at least one of the tables.

    Raises:
        LakeError: it is not.
    """
    folder = Path(root)
    if any((folder / table.name / "_delta_log").is_dir() for table in TABLES):
        return root
    if not folder.exists():
        found = "there is no such folder"
    elif not folder.is_dir():
        found = "it is a file"
    else:
        found = "it is an empty folder" if next(folder.iterdir(), None) is None else "it holds other files"
    raise LakeError(
        f"{root} is no lake ({found}): a folder with tables of xlclass was looked for, such as {root}/{VIDEOS.name}/_delta_log; "
        "check --lake or lake.path, or make the lake with jobs/pipeline.py"
    )


def embeddings_on(root: str, route: Route) -> Any:
    """The rows of `embeddings` by the encoder for their language, one per video, a `pyarrow.dataset.Dataset`; in Spark: `Lake.embeddings_on`."""
    return dataset(root, EMBEDDINGS).filter(route.expression())


def require_contract(path: str, table: Table, names: Iterable[str]) -> None:
    """Makes sure that the columns `names` of the table at `path` include those of its contract.

    Raises:
        LakeError: some are missing.
    """
    present = set(names)
    missing = [name for name in table.names if name not in present]
    if missing:
        raise LakeError(f"the table {path} is of another xlclass: it lacks the columns {', '.join(missing)}; make the lake anew")


def dataset_of(table: DeltaTable, path: str) -> Any:
    """The opened version of the table at `path`, a `pyarrow.dataset.Dataset`."""
    return table.to_pyarrow_dataset(filesystem=SubTreeFileSystem(path, LocalFileSystem()))
