"""The rows of an evaluation: written once to the tables of all evaluations, and the champion's last one copied to the tables `latest_*`."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from xlclass.lake.reading import dataset
from xlclass.lake.registry import Registry
from xlclass.lake.tables import Lake
from xlclass.schemas import LATEST, TABLES, Table


def has_rows(lake: Lake, table: Table, evaluation_id: str) -> bool:
    """Whether the table, which must be there, has rows of the evaluation."""
    return bool(lake.scan(table, "evaluation_id", where=pc.field("evaluation_id") == evaluation_id, limit=1))


def add_rows(lake: Lake, table: Table, values: Sequence[tuple[object, ...]], evaluation_id: str) -> None:
    """Adds all of an evaluation's rows in one commit, unless a run that died wrote them.

    Of two runs at once, which see one version of the table, the later adds none.
    """
    seen = lake.version(table)
    if values and not has_rows(lake, table, evaluation_id):
        lake.append_values(table, values, app_id=f"{evaluation_id}/{seen}")


def publish_latest(lake: Lake, evaluation_id: str, model_version: str) -> None:
    """Puts the rows of this evaluation into the tables `latest_*`, if the model version is the champion; a table that has them is left alone.

    An evaluation's rows never change once they are whole, so its id tells whether a table has them.
    """
    champion = Registry(lake.root).history().champion
    if champion is None or champion.model_version != model_version:
        return
    lake.ensure(*LATEST)
    for table in LATEST:
        rows = dataset(lake.root, original(table)).to_table(filter=pc.field("evaluation_id") == evaluation_id)
        if set(rows["evaluation_id"].to_pylist()) != {row["evaluation_id"] for row in lake.scan(table, "evaluation_id")}:
            lake.replace_values(table, rows)


def original(latest: Table) -> Table:
    """The table that holds every evaluation."""
    return next(table for table in TABLES if f"latest_{table.name}" == latest.name)
