"""The rows of an evaluation: added once to the tables of all evaluations; for the champion, its last evaluation is copied to `latest_*`."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from xlclass.lake.reading import dataset
from xlclass.lake.registry import Registry
from xlclass.lake.tables import Lake
from xlclass.schemas import LATEST, TABLES, Table


def has_rows(lake: Lake, table: Table, evaluation_id: str) -> bool:
    """True if the table, which must exist, has rows of the evaluation or comparison, whose id is the first part of the table's key."""
    return bool(lake.scan(table, table.keys[0], where=pc.field(table.keys[0]) == evaluation_id, limit=1))


def add_rows(lake: Lake, table: Table, values: Sequence[tuple[object, ...]], evaluation_id: str) -> None:
    """Adds all rows of an evaluation in one commit, unless the table already has them from a run that was killed later.

    The commit's id holds the table's version. So if two runs read the same version, the second adds no rows.
    """
    version = lake.version(table)
    if values and not has_rows(lake, table, evaluation_id):
        lake.append_values(table, values, app_id=f"{evaluation_id}/{version}")


def publish_latest(lake: Lake, evaluation_id: str, model_version: str) -> None:
    """Replaces the rows of `latest_*` by those of this evaluation, if the model version is the champion.

    The complete rows of an evaluation never change, so a table that has rows of the same evaluation_id is not written again.
    """
    champion = Registry(lake.root).history().champion
    if champion is None or champion.model_version != model_version:
        return
    lake.ensure(*LATEST)
    for table in LATEST:
        rows = dataset(lake.root, full_table(table)).to_table(filter=pc.field("evaluation_id") == evaluation_id)
        if set(rows["evaluation_id"].to_pylist()) != {row["evaluation_id"] for row in lake.scan(table, "evaluation_id")}:
            lake.replace_values(table, rows)


def full_table(latest: Table) -> Table:
    """The table of all evaluations that `latest` is copied from."""
    return next(table for table in TABLES if f"latest_{table.name}" == latest.name)
