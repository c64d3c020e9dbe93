"""Scores the champion's predictions on the labelled test videos, per language, and prints the table."""

import sys

from xlclass.encoders import resolve_encoder
from xlclass.evaluation import evaluate, summary
from xlclass.job import run_job
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run


def body(run: Run, _: object) -> None:
    """Reads predictions and videos; writes the accuracy and confidence tables."""
    champion = Registry(run.lake.root).champion()
    print(summary(run, evaluate(run, champion), champion, resolve_encoder(run.settings)))


if __name__ == "__main__":
    sys.exit(run_job("evaluate", __doc__, body))
