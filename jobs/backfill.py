"""Brings the lake up to the catalogue with the champion: videos, embeddings and predictions, only what is new or changed.

A run that was killed is gone on with by the same command; a second one at the same time is refused.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import moment, run_job
from xlclass.encoders import resolve_encoder
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill


def arguments(parser: ArgumentParser) -> None:
    """What one run does differently."""
    parser.add_argument("--since", type=moment, metavar="TIME", help="pass over rows that were last changed before, such as 2026-01-31 or 2026-01-31T12:00Z")
    parser.add_argument("--limit", type=int, metavar="N", help="take at most N of the new and changed rows")
    parser.add_argument("--languages", type=lambda codes: tuple(codes.split(",")), default=(), metavar="CODES", help="encode and classify only these: en,fr")
    parser.add_argument("--full", action="store_true", help="rebuild the channels' profiles, and delete what the source no longer has")
    parser.add_argument("--allow-deletes", action="store_true", help="with --full: even if that is more than backfill.most_deleted of the videos")
    parser.add_argument("--abandon", action="store_true", help="drop the plan of a run that was not finished, and plan anew")
    parser.add_argument("--dry-run", action="store_true", help="print what is to do, and do nothing")


def body(run: Run, given: Namespace) -> None:
    """The champion first: without one there is nothing to categorise with."""
    champion = Registry(run.lake.root).champion()
    asked = {name: getattr(given, name) for name in BackfillOptions.__dataclass_fields__}
    backfill(run, read_catalogue(run.lake.spark, run.settings), resolve_encoder(run.settings), champion, BackfillOptions(**asked))


if __name__ == "__main__":
    sys.exit(run_job("backfill", __doc__, body, arguments))
