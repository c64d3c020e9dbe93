"""Trains a model version on the lake's labelled videos of the training languages: a candidate, or the champion of a lake without one."""

import sys
from argparse import ArgumentParser, Namespace

from xlclass.cli.job import run_job
from xlclass.encoders import resolve_encoder
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.training.promotion import promote_if_better
from xlclass.training.train import train


def arguments(parser: ArgumentParser) -> None:
    """Whether it is to serve."""
    parser.add_argument("--promote", action="store_true", help="make it the champion if it passes the gate against the present one (settings: [gate])")


def body(run: Run, given: Namespace) -> None:
    """Reads videos and embeddings; writes a model version and its events."""
    version = train(run, resolve_encoder(run.settings))
    serving = promote_if_better(run, version) if given.promote else Registry(run.lake.root).champion()
    print(f"model version {version.name} in {version.folder}")
    if serving.name == version.name:
        print("it is the champion: jobs/backfill.py replaces the predictions of the one before")
    else:
        print(f"the champion is {serving.name}; xlclass models compare {serving.name} {version.name}; xlclass models promote {version.name}")


if __name__ == "__main__":
    sys.exit(run_job("train", __doc__, body, arguments))
