"""The lease: only one run at a time changes the lake's videos, embeddings and predictions.

Why a file and not a row in `runs`: a heartbeat every few seconds would add a Delta version each time, for days. The driver sees
the lake as a path, so it can use a file.

The holder updates the modification time of `_lease.json`. If the file has not changed for the length of the lease, the next run
takes it over. Ages are differences between times of one file system, so the clocks of two machines are never compared.
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

_HEARTBEATS = 4  # during the length of a lease


class Lease:
    """The lease on the lake at `root`, held while the block runs; call `check` before each commit."""

    def __init__(self, root: str, run_id: str, job: str, seconds: int) -> None:
        self._root, self._seconds = Path(root), seconds
        self._holder = {"run_id": run_id, "job": job, "host": socket.gethostname(), "pid": os.getpid(), "pid_namespace": _pid_namespace()}
        self._file = self._root / "_lease.json"
        self._stopped = threading.Event()
        self._heartbeat = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Lease:
        """Takes the lease.

        Raises:
            LakeError: another run holds it.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        with self._locked() as now:
            current = self._current_holder()
            if current and now - self._file.stat().st_mtime < self._seconds and not _is_dead(current):
                raise LakeError(
                    f"the lake {self._root} is being changed by run {current['run_id']} ({current['job']}, process {current['pid']} on {current['host']}): "
                    f"wait until that run ends; if it was killed, its lease expires within {self._seconds} s (backfill.lease_seconds)"
                )
            self._write()
        self._heartbeat.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Releases the lease if this run still holds it."""
        self._stopped.set()
        self._heartbeat.join()
        with self._locked():
            if self._is_held():
                self._file.unlink()

    def check(self) -> None:
        """Passes if this run still holds the lease.

        Raises:
            LakeError: this process was suspended for longer than the lease, and another run took over.
        """
        if not self._is_held():
            raise LakeError(
                f"the lake {self._root} was taken over by another run, because this run did not renew its lease for {self._seconds} s "
                "(backfill.lease_seconds): this run writes nothing more; start it again"
            )

    def _renew(self) -> None:
        while not self._stopped.wait(self._seconds / _HEARTBEATS):
            if self._is_held():
                os.utime(self._file)

    def _is_held(self) -> bool:
        return self._current_holder() == self._holder

    def _current_holder(self) -> dict[str, Any] | None:
        try:
            return json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def _write(self) -> None:
        write_whole(self._file, json.dumps(self._holder))

    @contextmanager
    def _locked(self) -> Iterator[float]:
        """Keeps other runs from reading or changing the lease during the block; yields the file system's current time."""
        guard = self._root / "_lease.lock"
        with guard.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            os.utime(guard)
            yield guard.stat().st_mtime


def _pid_namespace() -> str:
    """An identifier of this boot of this machine and of this container, within which a process number is unique; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    """True if the holder ran in this PID namespace and its process no longer exists; false if it runs or cannot be seen from here."""
    return bool(holder["pid_namespace"]) and holder["pid_namespace"] == _pid_namespace() and not Path(f"/proc/{holder['pid']}").exists()
