"""The main job: prepares, encodes, trains, categorises and evaluates a catalogue, the embedded demo unless told otherwise."""

import sys

from xlclass.backfill import backfill, classify
from xlclass.encoders import resolve_encoder
from xlclass.evaluation import evaluate, summary
from xlclass.job import run_job
from xlclass.labelling import find_label_issues
from xlclass.lake.runs import Run
from xlclass.lake.sources import read_catalogue
from xlclass.promotion import settle
from xlclass.training import train


def body(run: Run, _: object) -> None:
    """Every step in order; where the new version does not pass the gate the champion serves on."""
    encoder = resolve_encoder(run.settings)
    backfill(run, read_catalogue(run.lake.spark, run.settings), encoder, version=None)
    version = settle(run, train(run, encoder))
    classify(run, version)
    evaluation_id = evaluate(run, version)
    find_label_issues(run, version, evaluation_id)
    print(summary(run, evaluation_id, version, encoder))


if __name__ == "__main__":
    sys.exit(run_job("pipeline", __doc__, body))
