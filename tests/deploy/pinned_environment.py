"""A separate virtual environment with pinned versions, for libraries that only a test needs."""

import subprocess
import sys
from pathlib import Path


def environment(folder: Path, pins: Path) -> Path:
    """The Python of a new virtual environment in `folder` that has the packages of the requirements file `pins`."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(pins)], check=True)
    return python
