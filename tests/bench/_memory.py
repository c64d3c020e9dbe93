"""The resident memory of a bench's process family at its peak."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

_POLL_SECONDS = 0.5
_PAGE_BYTES = 4096
_SHOWN_BYTES = 100 << 20


class Memory:
    """While the block runs, records the resident memory of this process and all below it; `peak` has the bytes of each process at the largest sum.

    With `sizes` it records what that gives instead, and with `size=max` keeps the numbers whose largest is largest.
    """

    peak: list[int]

    def __init__(self, sizes: Callable[[], list[int]] | None = None, size: Callable[[list[int]], int] = sum) -> None:
        self._sizes, self._size = sizes or _resident, size

    def __enter__(self) -> Memory:
        self.peak, self._stopped = [0], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            self.peak = max(self.peak, self._sizes(), key=self._size)

    @property
    def shown(self) -> str:
        """The processes at the peak by size, in MiB, without small ones."""
        return " + ".join(f"{size >> 20}" for size in sorted(self.peak, reverse=True) if size > _SHOWN_BYTES)


def _resident() -> list[int]:
    """Resident bytes of each process of this family, without the bare loop's processes and without forks of the JVM that are about to run a shell command."""
    parents, sizes, commands = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # the process ended meanwhile
                continue
            pid = int(entry.name)
            parents[pid], sizes[pid], commands[pid] = int(fields[1]), _PAGE_BYTES * int(fields[21]), command
    this_process = multiprocessing.current_process().pid
    family = []
    for pid, command in commands.items():
        ancestor = pid
        while ancestor and ancestor != this_process:
            ancestor = parents.get(ancestor, 0)
        is_fork = b"java" in command.partition(b"\0")[0] and commands.get(parents[pid]) == command
        if ancestor == this_process and b"spawn_main" not in command and not is_fork:
            family.append(sizes[pid])
    return family
