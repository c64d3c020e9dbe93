"""The lease: only one run at a time changes the lake's videos, embeddings and predictions.

Why a file and not a row in `runs`: a heartbeat every few seconds would add a Delta version each time, for days. The driver sees
the lake as a path, so it can use a file.

The holder updates the modification time of `_lease.json`. If the file has not changed for the length of the lease, the next run
takes it over. Ages are differences between times of one file system, so the clocks of two machines are never compared. A file that is
dated in the future would never expire: whoever finds it dates it to now. A file that cannot be read counts as the lease of an unknown run.
"""

from __future__ import annotations

import errno
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
from xlclass.lake.notes import is_of, read_note, require_own
from xlclass.runtime.files import write_whole

_HEARTBEATS = 4  # during the length of a lease
_HOLDER = {"run_id": str, "job": str, "host": str, "pid": int, "pid_namespace": str}


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
            self._require_free(now)
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

    def _require_free(self, now: float) -> None:
        """Passes if no run holds the lease: there is no file, or it has expired, or its run is dead."""
        current = self._current_holder()
        if current is None or _is_dead(current):
            return
        age = now - self._file.stat().st_mtime
        if age < 0:
            os.utime(self._file, (now, now))
        if age < self._seconds and current:
            raise LakeError(
                f"the lake {self._root} is being changed by run {current['run_id']} ({current['job']}, process {current['pid']} on {current['host']}): "
                f"wait until that run ends; if it was killed, its lease expires within {self._seconds} s (backfill.lease_seconds)"
            )
        if age < self._seconds:
            raise LakeError(
                f"the lake {self._root} may be in use: {self._file}, the lease of a run, cannot be read, because it is empty, cut or of another form; "
                f"it expires within {self._seconds} s (backfill.lease_seconds): wait, or delete it if no run is active"
            )

    def _renew(self) -> None:
        while not self._stopped.wait(self._seconds / _HEARTBEATS):
            if self._is_held():
                os.utime(self._file)

    def _is_held(self) -> bool:
        return self._current_holder() == self._holder

    def _current_holder(self) -> dict[str, Any] | None:
        """Who holds the lease; empty if the file cannot be read, null if there is none."""
        try:
            holder = read_note(self._file)
        except ValueError:
            return {}
        if isinstance(holder, dict) and all(is_of(holder.get(name), kind) for name, kind in _HOLDER.items()):
            return holder
        return {} if self._file.exists() else None

    def _write(self) -> None:
        write_whole(self._file, json.dumps(self._holder))

    @contextmanager
    def _locked(self) -> Iterator[float]:
        """Keeps other runs from reading or changing the lease during the block; yields the file system's current time."""
        guard = self._root / "_lease.lock"
        require_own(self._file)
        try:
            descriptor = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                raise
            raise LakeError(f"{guard} is a link or a folder, and not the file that guards the lease: remove it, then run this again") from error
        with os.fdopen(descriptor, "r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            os.utime(descriptor)
            yield os.fstat(descriptor).st_mtime


def _pid_namespace() -> str:
    """An identifier of this boot of this machine and of this container, within which a process number is unique; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    except OSError:  # no Linux
        return ""


def _is_dead(holder: dict[str, Any]) -> bool:
    """True if the holder ran in this PID namespace and its process no longer exists; false if it runs or cannot be seen from here."""
    namespace = holder.get("pid_namespace")
    return bool(namespace) and namespace == _pid_namespace() and not Path(f"/proc/{holder['pid']}").exists()
