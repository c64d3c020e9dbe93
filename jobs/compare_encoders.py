"""Compares the encoders that the settings name ([comparison]) on the same videos, split and head, and says which wins on what.

It needs a lake that jobs/backfill.py has filled. Encoding ten thousand videos with a Transformer takes some minutes.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import positive, run_job
from xlclass.evaluation.encoder_comparison import compare_encoders
from xlclass.lake.runs import Run
from xlclass.report.console import comparison_summary


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the size of the sample."""
    parser.add_argument("--videos", type=positive, metavar="N", help="compare on a sample of at most N videos (default: comparison.videos)")


def body(run: Run, args: Namespace) -> None:
    """Reads videos and embeddings; writes encoder_comparison."""
    print(comparison_summary(run, compare_encoders(run, args.videos)))


if __name__ == "__main__":
    sys.exit(run_job("compare_encoders", __doc__, body, add_arguments))
