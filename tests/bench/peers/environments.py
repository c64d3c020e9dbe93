"""Virtual environments of the peers: made once from the pinned versions of NAME.txt, and kept in the user's cache."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path("~/.cache/xlclass/bench-peers").expanduser()


class NotInstalled(Exception):
    """A peer's environment could not be made; the message has the reason."""


def environment(name: str) -> Path:
    """The Python of the environment `name`; if there is none yet, it is made, which takes minutes and about 3 GB.

    Raises:
        NotInstalled: venv or pip failed.
    """
    pins = Path(__file__).with_name(f"{name}.txt")
    folder = CACHE / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if (folder / ".ready").exists():
        return python
    print(f"making the environment of {name} in {folder}: takes some minutes, only once", flush=True)
    start = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins))
    (folder / ".ready").touch()
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    print(f"made in {time.monotonic() - start:.0f} s, {size / 1e9:.1f} GB", flush=True)
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reasons = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("ERROR")] or done.stderr.splitlines() or ["no message"]
        raise NotInstalled(f"{' '.join(command[1:4])} failed: {reasons[-1][:300]}")
