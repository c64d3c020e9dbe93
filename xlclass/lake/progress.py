"""Watches a run while it works: shows its progress, and stops it if it waits too long for workers."""

from __future__ import annotations

import logging
import re
import threading
import time
from types import TracebackType

from xlclass.lake.runs import Run
from xlclass.runtime import logs

log = logging.getLogger(__name__)
_POLL_SECONDS = 1.0
_LOG_SECONDS = 60.0  # between two lines of a log; a terminal's line is renewed at every poll
_UNREADABLE_FILE = re.compile(r"\[FAILED_READ_FILE[^\]]*\] Encountered error while reading file (.+?)\.\s")  # Spark's message
_FULL_DISK = ("No space left on device", "Disk quota exceeded")


def _first_cause(error: BaseException) -> str:
    """The message of the Java error that led to all others, in one line."""
    cause = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    words = str(cause.getMessage() or cause.toString()) if cause is not None else str(error)
    return words.splitlines()[0]


class Monitor:
    """While the block runs, shows a line of progress, and stops a run that has waited too long for workers."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._context = run.lake.spark.sparkContext
        self._limit = run.settings.backfill.no_worker_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        self._cancelled = False
        self._shown_at = time.monotonic()
        self._at_terminal = logs.is_terminal()

    def __enter__(self) -> Monitor:
        """Starts to watch."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stops watching."""
        self._stopped.set()
        self._thread.join()
        logs.show_progress("")

    def explanation(self, error: BaseException) -> str | None:
        """One sentence for an error that the machines caused; null for any other error."""
        if self._cancelled:
            return (
                f"there was no worker for {self._limit} s (backfill.no_worker_seconds), so the run was stopped: "
                "start workers and run the same command again, it resumes where it stopped"
            )
        if any(words in str(error) for words in _FULL_DISK):
            return f"a disk is full ({self._run.lake.root}, or Spark's temporary folder): make room and run the same command again, it resumes where it stopped"
        unreadable = _UNREADABLE_FILE.search(str(error))
        if unreadable:
            return f"{unreadable[1]} cannot be read ({_first_cause(error)}): is it whole? Replace it or move it away, and run the same command again"
        return None

    def _watch(self) -> None:
        is_local = self._context.master.startswith("local")
        no_worker_since = None
        while not self._stopped.wait(_POLL_SECONDS):
            self._show()
            if is_local or self._num_executors():
                no_worker_since = None
            elif no_worker_since is None:
                no_worker_since = time.monotonic()
            elif time.monotonic() - no_worker_since > self._limit:
                self._cancelled = True
                self._context.cancelAllJobs()
                return

    def _num_executors(self) -> int:
        return len(self._context._jsc.sc().statusTracker().getExecutorInfos()) - 1  # the driver is listed as one

    def _show(self) -> None:
        """Shows how far the largest running stage of the current step is, if the step says how many videos it expects."""
        step = self._run.steps[-1] if self._run.steps else None
        if step is None or not step.num_expected:
            return
        tracker = self._context.statusTracker()
        stages = [info for info in map(tracker.getStageInfo, tracker.getActiveStageIds()) if info and info.numTasks > 1]
        if not stages:
            return
        stage = max(stages, key=lambda info: info.numTasks)
        num_done = step.num_expected * stage.numCompletedTasks / stage.numTasks
        if not num_done or not self._at_terminal and time.monotonic() - self._shown_at < _LOG_SECONDS:
            return
        self._shown_at = time.monotonic()
        seconds = self._shown_at - step.started
        seconds_left = seconds * (step.num_expected - num_done) / num_done
        line = f"{step.name}: {num_done:,.0f} of {step.num_expected:,} videos, {num_done / seconds:,.0f} a second, {seconds_left / 60:.0f} min left"
        if self._at_terminal:
            logs.show_progress(line)
        else:
            log.info("%s", line)
