"""The frame of every job: arguments, logging, session, the run's row, and the exit code; Ctrl-C is in `interruption.py`.

Messages go to standard error in the form of `--log`, each with the run's id. The message that ends a job (one sentence for a
user's mistake, a traceback for a defect) is also printed last as plain text, in every form: it answers whoever started the job.
Nothing that a job prints or logs contains a secret.
"""

from __future__ import annotations

import argparse
import logging
import sys
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from xlclass.cli.interruption import EXIT_CODE, Interruption
from xlclass.config import Settings, lake_root, load_settings
from xlclass.errors import MachineError, XlclassError
from xlclass.runtime import logs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from xlclass.lake.runs import Run

log = logging.getLogger("xlclass")
_INTERRUPTED = "interrupted by Ctrl-C: run the same command again, it goes on with what was not committed"
_ENCODING_JOBS = ("pipeline", "backfill", "compare_encoders")  # their workers hold the encoder
Body = Callable[[Any, argparse.Namespace], None]  # takes a lake.runs.Run and the arguments


def run_job(
    name: str, description: str, body: Body, arguments: Callable[[argparse.ArgumentParser], None] | None = None, argv: Sequence[str] | None = None
) -> int:
    """Runs `body` as the job `name` and returns its exit code: 0 done, 2 a user's mistake, 130 Ctrl-C, both explained in one sentence.

    Any other error leaves as its exception, after the run's row has been written.
    """
    parser = argparse.ArgumentParser(prog=f"jobs/{name}.py", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", required=True, metavar="FILE", help="settings file, such as conf/local.toml")
    parser.add_argument("--lake", metavar="PATH", help="write to this lake instead of the settings' lake.path")
    parser.add_argument(
        "--log",
        choices=logs.FORMATS,
        default="auto",
        metavar="FORM",
        help="messages on standard error: text, json, or auto (text at a terminal, else JSON lines)",
    )
    if arguments:
        arguments(parser)
    with logs.without_secrets():
        return _run_parsed(name, parser.parse_args(argv), body, parser.prog)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option of the jobs that read the source."""
    parser.add_argument(
        "--allow-unreadable",
        action="store_true",
        help="use the source even if many rows have something unreadable, a column is empty in every row, or no label is known",
    )


def positive(text: str) -> int:
    """The whole number from 1 to 10^12 that `text` gives."""
    number = int(text)
    if not 1 <= number <= 10**12:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 1,000,000,000,000")
    return number


def moment(text: str) -> datetime:
    """The time that `text` gives in ISO 8601; in UTC where it names no zone."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _run_parsed(name: str, parsed: argparse.Namespace, body: Body, prog: str) -> int:
    """The exit code of the job, which has run."""
    form = logs.choose_format(parsed.log, name, uuid.uuid4().hex[:16])
    logs.configure(form)
    sys.excepthook = logs.print_exception
    try:
        with Interruption() as interruption:
            _run(form, load_settings(parsed.conf), parsed, body, interruption)
    except XlclassError as error:
        log.error("refused: %s", error, extra={"for_collectors": True})
        print(f"{prog}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        log.error("interrupted", extra={"for_collectors": True})
        print(f"{prog}: {_INTERRUPTED}", file=sys.stderr)
        return EXIT_CODE
    except Exception:
        log.exception("failed", extra={"for_collectors": True})
        raise
    return 0


def _run(form: logs.LogFormat, settings: Settings, parsed: argparse.Namespace, body: Body, interruption: Interruption) -> None:
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.lake.progress import Monitor
    from xlclass.lake.runs import Run
    from xlclass.lake.tables import Lake

    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))  # a bad setting stops the job before Spark starts
    preparation = load_preparation(settings)
    root = lake_root(settings, parsed.lake)
    spark = _session(form, settings)
    interruption.watch(spark)
    lake = Lake(spark, root)
    run = Run(form.job, lake, settings, preparation, taxonomy, form.run_id)
    try:
        with Monitor(run) as monitor:
            body(run, parsed)
    except (Exception, KeyboardInterrupt) as error:
        if interruption.has_come or isinstance(error, KeyboardInterrupt):  # then a cancelled job of Spark is no error
            _record(run, "failed", _INTERRUPTED)
            raise KeyboardInterrupt from error
        if isinstance(error, XlclassError):
            _record(run, "refused", str(error))
            raise
        sentence = monitor.explanation(error)
        _record(run, "failed", sentence or f"{type(error).__name__}: {error}")
        if sentence:
            raise MachineError(sentence) from error
        raise
    run.record("done")
    log.info("run %s done; tables in %s", run.run_id, lake.root)


def _session(form: logs.LogFormat, settings: Settings) -> SparkSession:
    """The job's session."""
    from xlclass.encoders.capacity import available_memory
    from xlclass.lake.session import open_session

    free_bytes = available_memory()  # before the session takes its share
    spark = open_session(form.job)
    spark.sparkContext.setLocalProperty(logs.LOCAL_PROPERTY, form.to_text())
    if form.job in _ENCODING_JOBS and spark.sparkContext.master.startswith("local"):
        _warn_of_little_memory(spark, settings, free_bytes)
    return spark


def _warn_of_little_memory(spark: SparkSession, settings: Settings, free_bytes: int | None) -> None:
    """Logs a warning if the encoder's workers need more memory than was free; the job goes on, as a small catalogue may need less."""
    from xlclass.encoders.capacity import parse_size, require_memory, worker_bytes

    try:
        heap = parse_size("spark.driver.memory", spark.conf.get("spark.driver.memory", "1g"))
        require_memory(spark.sparkContext.defaultParallelism, free_bytes, heap, worker_bytes(settings.encoder))
    except MachineError as error:
        log.warning("%s", error)


def _record(run: Run, outcome: str, message: str) -> None:
    """Writes the run's row; if that fails too (a full disk), logs a warning, so that the first failure is the one reported."""
    try:
        run.record(outcome, message)
    except Exception as error:
        log.warning("the run's row could not be written: %s", error)
