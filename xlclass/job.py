"""What stands around every job: arguments, logging, session, the run's row, and the exit code."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from xlclass.config import Settings, lake_root, load_settings
from xlclass.errors import XlclassError

log = logging.getLogger("xlclass")
Body = Callable[[Any, argparse.Namespace], None]  # takes a lake.runs.Run and the arguments


def run_job(
    name: str, description: str, body: Body, arguments: Callable[[argparse.ArgumentParser], None] | None = None, argv: Sequence[str] | None = None
) -> int:
    """Runs `body` as the job `name` and gives its exit code: 0 done, 2 a mistake of the user's, told in one line.

    Anything else that goes wrong leaves as its exception, after the run's row has been written.
    """
    parser = argparse.ArgumentParser(prog=f"jobs/{name}.py", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", required=True, metavar="FILE", help="settings file, such as conf/local.toml")
    parser.add_argument("--lake", metavar="PATH", help="write to this lake instead of the settings' lake.path")
    if arguments:
        arguments(parser)
    parsed = parser.parse_args(argv)
    configure_logging()
    try:
        settings = load_settings(parsed.conf)
        _run(name, settings, parsed, body)
    except XlclassError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def configure_logging() -> None:
    """The jobs' own messages on standard error."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING, stream=sys.stderr)
    log.setLevel(logging.INFO)


def _run(name: str, settings: Settings, parsed: argparse.Namespace, body: Body) -> None:
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.lake.runs import Run
    from xlclass.lake.session import open_session
    from xlclass.lake.tables import Lake

    load_taxonomy(settings.resolve(settings.taxonomy.file))  # a bad setting stops the job before Spark starts
    load_preparation(settings)
    root = lake_root(settings, parsed.lake)
    lake = Lake(open_session(name), root)
    run = Run(name, lake, settings)
    try:
        body(run, parsed)
    except XlclassError as error:
        run.record("refused", str(error))
        raise
    except Exception as error:
        run.record("failed", f"{type(error).__name__}: {error}"[:1000])
        raise
    run.record("done")
    log.info("run %s done; tables in %s", run.run_id, lake.root)
