"""Brings the lake up to the catalogue with the champion: videos, embeddings and predictions, only what is new or changed."""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.backfill import backfill
from xlclass.encoders import resolve_encoder
from xlclass.job import run_job
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.sources import read_catalogue


def arguments(parser: ArgumentParser) -> None:
    """What one run does differently."""
    parser.add_argument("--full", action="store_true", help="rebuild the channels' profiles first")


def body(run: Run, given: Namespace) -> None:
    """The champion first: without one there is nothing to categorise with."""
    champion = Registry(run.lake).champion()
    backfill(run, read_catalogue(run.lake.spark, run.settings), resolve_encoder(run.settings), champion, full=given.full)


if __name__ == "__main__":
    sys.exit(run_job("backfill", __doc__, body, arguments))
