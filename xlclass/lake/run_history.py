"""The table `runs`, read without Spark."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from xlclass.config import LakeSettings, Settings, SourceSettings
from xlclass.errors import LakeError
from xlclass.lake.reading import dataset
from xlclass.schemas import RUNS

_OVERVIEW = ("run_id", "job", "outcome", "message", "started_at", "finished_at", "rows_in", "rows_ok", "rows_rejected", "rows_reused")


def newest_runs(root: str, limit: int) -> list[dict[str, Any]]:
    """At most `limit` runs of the lake at `root`, the latest start first; without their settings, source, rules and steps.

    Raises:
        LakeError: the lake has no table of runs.
    """
    rows = dataset(root, RUNS).to_table(columns=list(_OVERVIEW)).sort_by([("started_at", "descending")])
    return [*rows.slice(0, limit).to_pylist()]


def one_run(root: str, run_id: str) -> dict[str, Any]:
    """The row of the run whose id begins with `run_id`; rules as a dictionary, settings as `changed_settings` gives them.

    Raises:
        LakeError: there is no such run, or more than one.
    """
    table = dataset(root, RUNS)
    run_ids = table.to_table(columns=["run_id"])["run_id"].to_pylist()
    matches = [run_id] if run_id in run_ids else [name for name in run_ids if name.startswith(run_id)]
    if not matches:
        raise LakeError(f"the lake {root} has no run {run_id}: `xlclass runs` lists its runs")
    if len(matches) > 1:
        raise LakeError(f"the lake {root} has {len(matches)} runs whose id begins with {run_id}: give more of the id that `xlclass runs` lists")
    (row,) = [row for row in table.to_table().to_pylist() if row["run_id"] == matches[0]]
    return {**row, "rules": dict(row["rules"] or []), "settings": changed_settings(json.loads(row["settings"]))}


def changed_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run that differ from today's defaults or have none, by dotted name.

    >>> changed_settings({"source": {"path": "videos", "delimiter": "|"}, "split": {"train": 0.5}})
    {'source.path': 'videos', 'split.train': 0.5}
    """
    defaults = _flat(json.loads(json.dumps(dataclasses.asdict(Settings(SourceSettings(path=""), LakeSettings(path=""))), default=str)))
    return {key: value for key, value in _flat(settings).items() if key != "file" and (key not in defaults or value != defaults[key])}


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested tables by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat
