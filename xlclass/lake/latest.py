"""The tables `latest_*`: the evaluation that the champion got last, copied where readers need no condition to find it."""

from __future__ import annotations

import pyarrow.compute as pc

from xlclass.lake.reading import dataset
from xlclass.lake.registry import Registry
from xlclass.lake.tables import Lake
from xlclass.schemas import LATEST, TABLES, Table


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
        if set(rows["evaluation_id"].to_pylist()) != {row["evaluation_id"] for row in lake.look(table, "evaluation_id")}:
            lake.replace_values(table, rows)


def original(latest: Table) -> Table:
    """The table that holds every evaluation."""
    return next(table for table in TABLES if f"latest_{table.name}" == latest.name)
