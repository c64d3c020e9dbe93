"""Draws the lake as one HTML page: how good the champion is in every language, the catalogue, the runs, and what to label next.

The page needs no network and holds titles of videos: it may be sent where the lake itself may.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import run_job
from xlclass.encoders import resolve_encoder
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.report.tables import report_file, report_page
from xlclass.runtime.files import write_whole


def arguments(parser: ArgumentParser) -> None:
    """Where the page goes."""
    parser.add_argument("--out", metavar="FILE", help="write the page here; unless given, report.html in the lake's folder")


def body(run: Run, given: Namespace) -> None:
    """Reads the newest evaluation of the champion and what stands around it; writes the page."""
    champion = Registry(run.lake.root).champion()
    file = report_file(run.lake, given.out)
    write_whole(file, report_page(run, champion, resolve_encoder(run.settings)))
    print(f"report: {file}")


if __name__ == "__main__":
    sys.exit(run_job("report", __doc__, body, arguments))
