"""Writes a report as one HTML page: the champion's accuracy in every language, the catalogue, the runs, and videos to label.

The page needs no network. It contains titles of videos: share it only with people who may read the lake.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import run_job
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.report.tables import report_file, report_page
from xlclass.runtime.files import write_whole


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the file of the page."""
    parser.add_argument("--out", metavar="FILE", help="write the page to FILE (default: report.html in the lake's folder)")


def body(run: Run, args: Namespace) -> None:
    """Reads the champion's newest evaluation and the tables around it; writes the page."""
    champion = Registry(run.lake.root).champion()
    file = report_file(run.lake, args.out)
    write_whole(file, report_page(run, champion))
    print(f"report: {file}")


if __name__ == "__main__":
    sys.exit(run_job("report", __doc__, body, add_arguments))
