"""Cleans up the lake: deletes old rows, vectors of former encoders and leftovers of killed runs, joins small files, removes files of old table versions.

The settings' [retention] defines how long rows and files are kept. Run the job between backfills, about once a week.
A second run changes nothing.
"""

import sys

from xlclass.cli.job import run_job
from xlclass.lake.maintenance import maintain
from xlclass.lake.runs import Run
from xlclass.pipeline.feeds import needed_encoders


def body(run: Run, _: object) -> None:
    """Cleans up, and prints what was removed."""
    print(maintain(run, needed_encoders(run.lake.root, run.settings)).summary)


if __name__ == "__main__":
    sys.exit(run_job("maintain", __doc__, body))
