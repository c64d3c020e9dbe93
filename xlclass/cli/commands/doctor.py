"""`xlclass doctor`; `spark-submit jobs/doctor.py` runs the same checks in a session on a cluster."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import DEFAULT_SETTINGS, add_lake_arguments
from xlclass.runtime.terminal import printable

_MARKS = {"ok": "ok", "wrong": "WRONG", "skipped": "-"}


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the settings file, the lake and the output format."""
    add_lake_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON lines, one per check")


def body(args: Namespace) -> int:
    """Prints a line per check; returns 0 if all are ok, else 2."""
    from xlclass.cli.preflight import run_checks

    all_ok = True
    for finding in run_checks(args.conf or DEFAULT_SETTINGS, args.lake):
        all_ok &= finding.state == "ok"
        if args.json:
            print(json.dumps(dataclasses.asdict(finding), ensure_ascii=False), flush=True)
        else:
            print(f"{_MARKS[finding.state]:<6} {finding.name:<10} {printable(finding.text, limit=1_000)}", flush=True)
    return 0 if all_ok else 2
