"""Keeps the lake in order: deletes old rows and what killed runs left, joins small files, removes files that no reader needs any more.

How long things are kept is said in the settings' [retention]. Run it between backfills, once a week or so; a second run
changes nothing.
"""

import sys

from xlclass.cli.job import run_job
from xlclass.lake.maintenance import maintain
from xlclass.lake.runs import Run


def body(run: Run, _: object) -> None:
    """Tidies, and prints what that was."""
    print(maintain(run).summary)


if __name__ == "__main__":
    sys.exit(run_job("maintain", __doc__, body))
