"""`xlclass doctor`; `spark-submit jobs/doctor.py` is the same on a cluster's own session."""

from __future__ import annotations

import dataclasses
import json
from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import CONF, lake_arguments
from xlclass.runtime.terminal import printable

_MARKS = {"ok": "ok", "wrong": "WRONG", "skipped": "-"}


def arguments(parser: ArgumentParser) -> None:
    """What to look at."""
    lake_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def body(given: Namespace) -> int:
    """Prints a line per check, and gives 2 where one found something wrong."""
    from xlclass.cli.preflight import examine

    is_well = True
    for finding in examine(given.conf or CONF, given.lake):
        is_well &= finding.state == "ok"
        if given.json:
            print(json.dumps(dataclasses.asdict(finding), ensure_ascii=False), flush=True)
        else:
            print(f"{_MARKS[finding.state]:<6} {finding.name:<10} {printable(finding.text, limit=1_000)}", flush=True)
    return 0 if is_well else 2
