"""Runs every step on a catalogue: prepares, encodes, trains, classifies and evaluates.

With conf/local.toml the catalogue is the embedded demo.
"""

import sys
from argparse import Namespace

from xlclass.cli.job import add_source_arguments, run_job
from xlclass.encoders import resolve_encoders
from xlclass.evaluation.evaluate import evaluate
from xlclass.evaluation.label_issues import find_label_issues
from xlclass.lake.runs import Run
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill, classify
from xlclass.pipeline.feeds import main_job_feeds
from xlclass.report.console import summary
from xlclass.training.promotion import promote_if_better
from xlclass.training.train import train


def body(run: Run, args: Namespace) -> None:
    """Runs the steps in order; a new model version that does not pass the gate leaves the champion in use."""
    encoders = resolve_encoders(run.settings)
    options = BackfillOptions(allow_unreadable=args.allow_unreadable)
    backfill(run, read_catalogue(run.lake.spark, run.settings), main_job_feeds(run, encoders), version=None, options=options)
    version = promote_if_better(run, train(run, encoders))
    classify(run, version)
    evaluation_id = evaluate(run, version)
    find_label_issues(run, version, evaluation_id)
    print(summary(run, evaluation_id, version))


if __name__ == "__main__":
    sys.exit(run_job("pipeline", __doc__, body, add_source_arguments))
