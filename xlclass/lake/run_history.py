"""The table `runs` read without Spark, through delta-rs: what happened in a lake, newest first."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from xlclass.config import LakeSettings, Settings, SourceSettings
from xlclass.errors import LakeError
from xlclass.lake.reading import dataset
from xlclass.schemas import RUNS

_BRIEF = ("run_id", "job", "outcome", "message", "started_at", "finished_at", "rows_in", "rows_ok", "rows_rejected", "rows_reused")


def newest_runs(root: str, most: int) -> list[dict[str, Any]]:
    """At most `most` runs of the lake at `root`, the one that started last first: the columns of `runs` but settings, rules and steps.

    Raises:
        LakeError: there is no table of runs.
    """
    rows = dataset(root, RUNS).to_table(columns=list(_BRIEF)).sort_by([("started_at", "descending")])
    return [*rows.slice(0, most).to_pylist()]


def one_run(root: str, run_id: str) -> dict[str, Any]:
    """The whole row of the run whose id begins with `run_id`; rules and settings as dictionaries, of the settings those unlike the defaults.

    Raises:
        LakeError: there is no such run, or more than one.
    """
    table = dataset(root, RUNS)
    known = table.to_table(columns=["run_id"])["run_id"].to_pylist()
    found = [run_id] if run_id in known else [name for name in known if name.startswith(run_id)]
    if len(found) != 1:
        many = f"{len(found)} runs whose id begins with" if found else "no run"
        raise LakeError(f"the lake {root} has {many} {run_id}: `xlclass runs` lists them")
    (row,) = [row for row in table.to_table().to_pylist() if row["run_id"] == found[0]]
    return {**row, "rules": dict(row["rules"] or []), "settings": changed_settings(json.loads(row["settings"]))}


def changed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Of a run's settings those unlike today's defaults, by dotted name; those that have no default are always there.

    >>> changed_settings({"source": {"path": "videos", "delimiter": "|"}, "split": {"train": 0.5}})
    {'source.path': 'videos', 'split.train': 0.5}
    """
    usual = Settings(SourceSettings(path=""), LakeSettings(path=""))
    defaults = _flat(json.loads(json.dumps(dataclasses.asdict(usual), default=str)))
    return {key: value for key, value in _flat(settings).items() if key != "file" and (key not in defaults or value != defaults[key])}


def _flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, dict) else {above + key: value}
    return flat
