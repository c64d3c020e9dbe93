"""Trains a model version on the lake's labelled videos of the training languages and makes it the champion."""

import sys

from xlclass.encoders import resolve_encoder
from xlclass.job import run_job
from xlclass.lake.runs import Run
from xlclass.training import train


def body(run: Run, _: object) -> None:
    """Reads videos and embeddings; writes a model version and its events."""
    version = train(run, resolve_encoder(run.settings))
    print(f"model version {version.name} in {version.folder}")


if __name__ == "__main__":
    sys.exit(run_job("train", __doc__, body))
