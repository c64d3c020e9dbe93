"""What watches a run from beside it: how far it is, and whether there is any worker left to do it."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from xlclass.lake.runs import Run
from xlclass.runtime import logs

log = logging.getLogger(__name__)
_SECONDS = 1.0  # between two looks
_LOG_SECONDS = 60.0  # between two lines in a log; a terminal's line is renewed at every look
_FULL_DISK = ("No space left on device", "Disk quota exceeded")


class Monitor:
    """While the block runs: a line of progress, and an end to a run that has waited too long for workers."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._context = run.lake.spark.sparkContext
        self._limit = run.settings.backfill.no_worker_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        self._gave_up = False
        self._shown = time.monotonic()
        self._at_terminal = logs.is_terminal()

    def __enter__(self) -> Monitor:
        """Begins to watch."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Ends watching."""
        self._stopped.set()
        self._thread.join()
        logs.show_progress("")

    def explained(self, error: BaseException) -> str | None:
        """One sentence for a failure of the machines, null for any other."""
        if self._gave_up:
            return (
                f"there was no worker for {self._limit} s (backfill.no_worker_seconds), so the run was given up: "
                "start workers and run the same command again, it goes on where it stopped"
            )
        if any(words in str(error) for words in _FULL_DISK):
            return f"a disk is full ({self._run.lake.root}, or Spark's temporary folder): make room and run the same command again, it goes on where it stopped"
        return None

    def _watch(self) -> None:
        is_local = self._context.master.startswith("local")
        alone_since = None
        while not self._stopped.wait(_SECONDS):
            self._show()
            if is_local or self._num_executors():
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > self._limit:
                self._gave_up = True
                self._context.cancelAllJobs()
                return

    def _num_executors(self) -> int:
        return len(self._context._jsc.sc().statusTracker().getExecutorInfos()) - 1  # one is the driver

    def _show(self) -> None:
        """How far the running stage of the encoding step is."""
        step = self._run.steps[-1] if self._run.steps else None
        if step is None or not step.num_expected:
            return
        tracker = self._context.statusTracker()
        stages = [info for info in map(tracker.getStageInfo, tracker.getActiveStageIds()) if info and info.numTasks > 1]
        if not stages:
            return
        stage = max(stages, key=lambda info: info.numTasks)
        done = step.num_expected * stage.numCompletedTasks / stage.numTasks
        seconds = time.monotonic() - step.started
        if not done or not self._at_terminal and time.monotonic() - self._shown < _LOG_SECONDS:
            return
        self._shown = time.monotonic()
        left = seconds * (step.num_expected - done) / done
        line = f"{step.name}: {done:,.0f} of {step.num_expected:,} videos, {done / seconds:,.0f} a second, {left / 60:.0f} min left"
        if self._at_terminal:
            logs.show_progress(line)
        else:
            log.info("%s", line)
