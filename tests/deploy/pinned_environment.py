"""An environment of its own for a library that the package does not need, with pinned versions."""

import subprocess
import sys
from pathlib import Path


def environment(folder: Path, pins: Path) -> Path:
    """The Python of a new virtual environment in `folder` that has the packages of the requirements file `pins`."""
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile", "--no-deps", "--requirement", str(pins)]
    subprocess.run(install, check=True)
    return python
