"""The tables `latest_*`: the evaluation that the champion got last, copied where readers need no condition to find it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from xlclass.lake.tables import Lake
from xlclass.schemas import LATEST, MODELS, TABLES, Table


def publish_latest(lake: Lake, evaluation_id: str, model_version: str) -> None:
    """Puts the rows of this evaluation into the tables `latest_*`, if the model version is the champion; a table that has them is left alone.

    An evaluation's rows never change once they are whole, so its id tells whether a table has them.
    """
    if _champion(lake) != model_version:
        return
    lake.ensure(*LATEST)
    fresh = {table: lake.read(original(table)).where(F.col("evaluation_id") == evaluation_id) for table in LATEST}
    wanted, found = _evaluations(fresh.items()), _evaluations((table, lake.read(table)) for table in LATEST)
    for table, rows in fresh.items():
        if wanted.get(table.name) != found.get(table.name):
            lake.replace(table, rows)


def original(latest: Table) -> Table:
    """The table that holds every evaluation."""
    return next(table for table in TABLES if f"latest_{table.name}" == latest.name)


def _champion(lake: Lake) -> str | None:
    events = lake.read(MODELS).where("event = 'champion'").orderBy(F.desc("event_number")).select("model_version").first()
    return events[0] if events else None


def _evaluations(tables: Iterable[tuple[Table, DataFrame]]) -> dict[str, list[str]]:
    """The evaluations in each table that has rows, by its name; one query for all."""
    ids = [rows.select(F.lit(table.name).alias("name"), "evaluation_id") for table, rows in tables]
    return {name: sorted(found) for name, found in reduce(DataFrame.unionAll, ids).groupBy("name").agg(F.collect_set("evaluation_id")).collect()}
