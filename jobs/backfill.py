"""Updates the lake from the catalogue: prepares, encodes and classifies new and changed videos with the champion.

Run the same command again to resume a killed run. A second backfill at the same time is refused.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.catalog.language_codes import base_languages
from xlclass.cli.job import add_source_arguments, moment, positive, run_job
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill
from xlclass.pipeline.feeds import nightly_feeds


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the options of one run."""
    add_source_arguments(parser)
    parser.add_argument("--since", type=moment, metavar="TIME", help="skip rows last changed before TIME, such as 2026-01-31 or 2026-01-31T12:00Z")
    parser.add_argument("--limit", type=positive, metavar="N", help="process at most N new and changed rows")
    parser.add_argument("--encoder", metavar="FILE", help="also encode with the encoder of this settings file, from now on, until a head on it is the champion")
    parser.add_argument("--languages", metavar="CODES", help="encode and classify these languages only, such as en,fr")
    parser.add_argument("--full", action="store_true", help="rebuild the channel profiles, and delete videos that the source no longer has")
    parser.add_argument("--allow-deletes", action="store_true", help="with --full: delete even more than backfill.max_deleted_share of the videos")
    parser.add_argument("--abandon", action="store_true", help="drop the plan of an unfinished run and make a new one")
    parser.add_argument("--dry-run", action="store_true", help="print what the run would do, and do nothing")


def body(run: Run, args: Namespace) -> None:
    """Reads the champion first: without one the job ends before any work."""
    args.languages = base_languages(args.languages) if args.languages else ()
    champion = Registry(run.lake.root).champion()
    options = BackfillOptions(**{name: getattr(args, name) for name in BackfillOptions.__dataclass_fields__})
    backfill(run, read_catalogue(run.lake.spark, run.settings), nightly_feeds(run, args.encoder), champion, options)


if __name__ == "__main__":
    sys.exit(run_job("backfill", __doc__, body, add_arguments))
