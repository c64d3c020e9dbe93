"""Scores the champion on the labelled test videos, prints its accuracy per language, and lists labels to check."""

import sys

from xlclass.cli.job import run_job
from xlclass.evaluation.evaluate import evaluate
from xlclass.evaluation.label_issues import find_label_issues
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.report.console import summary


def body(run: Run, _: object) -> None:
    """Reads predictions and videos; writes the accuracy and confidence tables and label_issues."""
    champion = Registry(run.lake.root).champion()
    evaluation_id = evaluate(run, champion)
    find_label_issues(run, champion, evaluation_id)
    print(summary(run, evaluation_id, champion))


if __name__ == "__main__":
    sys.exit(run_job("evaluate", __doc__, body))
