"""The rows of one evaluation in a table that holds every evaluation's: whether they are there, and how they get there once."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.compute as pc

from xlclass.lake.tables import Lake
from xlclass.schemas import Table


def has_rows(lake: Lake, table: Table, evaluation_id: str) -> bool:
    """Whether the table, which must be there, has rows of the evaluation."""
    return bool(lake.look(table, "evaluation_id", where=pc.field("evaluation_id") == evaluation_id, most=1))


def add_rows(lake: Lake, table: Table, values: Sequence[tuple[object, ...]], evaluation_id: str) -> None:
    """Adds all of an evaluation's rows in one commit, unless a run that died wrote them.

    Of two runs at once, which see one version of the table, the later adds none.
    """
    seen = lake.version(table)
    if values and not has_rows(lake, table, evaluation_id):
        lake.append_values(table, values, commit_id=f"{evaluation_id}/{seen}")
