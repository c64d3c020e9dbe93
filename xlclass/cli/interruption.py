"""Ctrl-C in a job: Spark's jobs are cancelled, and the job ends as after any error, so that its lease is released and its row written.

Why not PySpark's own handler: it calls the JVM on the connection on which the interrupted call still waits for its answer, which raises
an error of its own or mixes up the answers. Here another thread cancels the jobs, and the waiting call fails by itself. Elsewhere
KeyboardInterrupt is raised at once, and only once, so that it does not break into the end of the run.

Why the JVM ignores SIGINT: a terminal sends it to the JVM of spark-submit too, which would end before the run has written its row.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXIT_CODE = 130  # of a process that SIGINT ended, by the shell's convention
_CANCEL_SECONDS = 0.5
_PATIENCE = 5.0  # seconds after which a call of the JVM that runs no job is not waited for any longer


class Interruption:
    """While the block runs, SIGINT stops the run of this process; `has_come` says whether it came."""

    def __init__(self) -> None:
        self.has_come = False
        self._has_raised = False
        self._context: Any = None
        self._ended = threading.Event()
        self._previous: Any = None

    def __enter__(self) -> Interruption:
        """Installs the handler."""
        self._install()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Restores the previous handler."""
        self._ended.set()
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def watch(self, spark: SparkSession) -> None:
        """From now on SIGINT cancels the session's jobs, and the JVM ignores it. Call it after the session is opened, which installs PySpark's handler."""
        from py4j.protocol import Py4JError

        self._context = spark.sparkContext
        self._install()
        if "PYSPARK_GATEWAY_PORT" in os.environ:  # a JVM that Python started ignores SIGINT already
            misc = self._context._jvm.sun.misc
            with suppress(Py4JError):  # with the option -Xrs a JVM leaves signals alone
                misc.Signal.handle(misc.Signal("INT"), misc.SignalHandler.SIG_IGN)

    def _install(self) -> None:
        if threading.current_thread() is threading.main_thread():  # others cannot
            previous = signal.signal(signal.SIGINT, self._handle)
            self._previous = self._previous or previous

    def _handle(self, _: int, frame: FrameType | None) -> None:
        if not self.has_come:
            self.has_come = True
            threading.Thread(target=self._cancel, name="interruption", daemon=True).start()
        if not self._has_raised and (self._context is None or not _is_in_py4j(frame)):
            self._has_raised = True
            raise KeyboardInterrupt

    def _cancel(self) -> None:
        """Cancels Spark's jobs until the run has ended; later also asks the main thread to stop where it does not wait for a job."""
        seconds = 0.0
        if self._context is not None:
            with suppress(Exception):  # the JVM may have ended
                self._context.setLogLevel("OFF")  # else executors print a stack for each task, after the job's last sentence
        while True:
            if self._context is not None:
                with suppress(Exception):  # the JVM may have ended
                    self._context.cancelAllJobs()
            if self._ended.wait(_CANCEL_SECONDS):
                return
            seconds += _CANCEL_SECONDS
            if seconds >= _PATIENCE and not self._has_raised:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _is_in_py4j(frame: FrameType | None) -> bool:
    """Whether the interrupted function was called by py4j, or is py4j's: it waits for an answer of the JVM."""
    while frame:
        if frame.f_globals.get("__name__", "").startswith("py4j."):
            return True
        frame = frame.f_back
    return False
