"""The lease: one run at a time changes the lake's videos, embeddings and predictions.

Why a file and not a row in `runs`: a heartbeat every few seconds would add a Delta version each, for days, and the lake is a
path that the driver sees. The holder touches `_lease.json`; who finds it untouched for the lease's length takes it over. Ages
are differences of times that the file system itself gave, so that clocks of two machines are never compared.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from xlclass.errors import LakeError
from xlclass.runtime.files import write_whole

_BEATS = 4  # heartbeats in the length of a lease


class Lease:
    """Held while the block runs; `check` before each commit makes sure that it still is."""

    def __init__(self, root: str, run_id: str, job: str, seconds: int) -> None:
        self._folder, self._seconds = Path(root), seconds
        self._mine = {"run_id": run_id, "job": job, "host": socket.gethostname(), "pid": os.getpid(), "place": _place()}
        self._file = self._folder / "_lease.json"
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Takes the lease.

        Raises:
            LakeError: another run holds it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone() as now:
            holder = self._holder()
            if holder and now - self._file.stat().st_mtime < self._seconds and not _is_gone(holder):
                raise LakeError(
                    f"the lake {self._folder} is being changed by run {holder['run_id']} ({holder['job']}, process {holder['pid']} on {holder['host']}): "
                    f"wait until it ends; if it was killed there, this lease frees itself within {self._seconds} s (backfill.lease_seconds)"
                )
            self._write()
        self._heart.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Gives it back, if it is still held."""
        self._stopped.set()
        self._heart.join()
        with self._alone():
            if self._holder() == self._mine:
                self._file.unlink()

    def check(self) -> None:
        """Makes sure that the lease is still held.

        Raises:
            LakeError: this process slept longer than the lease is long, and another run took over.
        """
        if self._holder() != self._mine:
            raise LakeError(f"the lake {self._folder} was taken over by another run while this one slept: nothing more is written, run it again")

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds / _BEATS):
            if self._holder() == self._mine:
                os.utime(self._file)

    def _holder(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _write(self) -> None:
        write_whole(self._file, json.dumps(self._mine))

    @contextmanager
    def _alone(self) -> Iterator[float]:
        """A moment in which no other run looks at the lease; gives the file system's time."""
        guard = self._folder / "_lease.lock"
        with guard.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            os.utime(guard)
            yield guard.stat().st_mtime


def _place() -> str:
    """Where process numbers mean the same: this boot of this machine, this container."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        return ""


def _is_gone(holder: dict[str, Any]) -> bool:
    """Whether the holder is known to be dead: a process of this place that is no more."""
    return bool(holder["place"]) and holder["place"] == _place() and not Path(f"/proc/{holder['pid']}").exists()
