"""Trains a model version on the lake's labelled videos of the training languages.

It becomes a candidate, or the champion if the lake has none.
"""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import run_job
from xlclass.encoders import resolve_encoders
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.training.promotion import promote_if_better
from xlclass.training.train import train


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the option to promote."""
    parser.add_argument(
        "--promote", action="store_true", help="make it the champion if it passes the gate: it must not score clearly worse than the present champion"
    )


def body(run: Run, args: Namespace) -> None:
    """Reads videos and embeddings; writes a model version and its events."""
    version = train(run, resolve_encoders(run.settings))
    champion = promote_if_better(run, version) if args.promote else Registry(run.lake.root).champion()
    print(f"model version {version.name} in {version.folder}")
    if champion.name == version.name:
        print("it is the champion: run jobs/backfill.py to replace the predictions of the previous one")
    else:
        print(f"the champion is still {champion.name}; compare them: xlclass models compare {champion.name} {version.name}")
        print(f"to use the new one: xlclass models promote {version.name}")


if __name__ == "__main__":
    sys.exit(run_job("train", __doc__, body, add_arguments))
