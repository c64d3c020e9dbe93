"""`xlclass runs`: the job runs of a lake, from its table `runs`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import datetime
from typing import Any

from xlclass.cli.commands import add_lake_arguments, lake_of
from xlclass.cli.job import positive
from xlclass.runtime.terminal import format_seconds, format_table, printable

_HEAD = ("run_id", "job", "outcome", "started (UTC)", "took", "rows in", "ok", "rejected", "reused")
_COUNTS = ("rows_in", "rows_ok", "rows_rejected", "rows_reused")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the lake, the run to show, and the output format."""
    add_lake_arguments(parser)
    parser.add_argument(
        "run_id", nargs="?", metavar="RUN_ID", help="show this run with its steps, rules and settings; the first characters of its id are enough"
    )
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="list the newest N runs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON lines, one per run")


def body(args: Namespace) -> None:
    """Prints a table of runs, or one run in full."""
    from xlclass.lake.run_history import newest_runs, one_run

    root = lake_of(args)
    runs = [one_run(root, args.run_id)] if args.run_id else newest_runs(root, max(args.limit, 0))
    if args.json:
        print("\n".join(json.dumps(run, default=_json_value, ensure_ascii=False) for run in runs))
    else:
        print(_full_text(runs[0]) if args.run_id else _runs_table(runs))


def _runs_table(runs: list[dict[str, Any]]) -> str:
    rows = [
        (run["run_id"], printable(run["job"]), run["outcome"], f"{run['started_at']:%Y-%m-%d %H:%M:%S}", _took(run), *(_number(run[name]) for name in _COUNTS))
        for run in runs
    ]
    return format_table(_HEAD, rows, right=("took", "rows in", "ok", "rejected", "reused"))


def _full_text(run: dict[str, Any]) -> str:
    facts = [
        ("run", f"{run['run_id']}, {run['job']}, {run['outcome']}"),
        ("message", run["message"]),
        ("time", f"{run['started_at']:%Y-%m-%d %H:%M:%S} to {run['finished_at']:%H:%M:%S} UTC, {_took(run)}"),
        ("source", run["source"] and f"{run['source']}, version {run['source_version']}"),
        ("rows", ", ".join(f"{_number(run[name])} {name.removeprefix('rows_')}" for name in _COUNTS) if run["rows_in"] is not None else None),
        ("code", f"xlclass {run['code_version']}, settings {run['settings_fingerprint']}"),
    ]
    parts = ["\n".join(f"{name:<9}{printable(text, limit=1_000)}" for name, text in facts if text)]
    if run["steps"]:
        steps = [(printable(step["name"]), format_seconds(step["seconds"]), _number(step["num_rows"])) for step in run["steps"]]
        parts.append(format_table(("step", "took", "rows"), steps, right=("took", "rows")))
    if rules := [(name, _number(num_rows)) for name, num_rows in run["rules"].items() if num_rows]:
        parts.append(format_table(("rule", "rows"), rules, right=("rows",)))
    if run["settings"]:
        parts.append(format_table(("changed setting", "value"), [(key, printable(_setting(value))) for key, value in sorted(run["settings"].items())]))
    return "\n\n".join(parts)


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _took(run: dict[str, Any]) -> str:
    return format_seconds((run["finished_at"] - run["started_at"]).total_seconds())


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _json_value(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
