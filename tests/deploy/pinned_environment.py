"""An environment of its own for a library that the package does not need, from pinned versions."""

import subprocess
import sys
from pathlib import Path


def environment(folder: Path, pins: Path) -> Path:
    """The Python of a new virtual environment in `folder` with the packages of `pins`."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins)], check=True)
    return python
