"""Makes a bench run on this checkout, started from any folder and without any exported variable.

Importing it puts the checkout first on the import path, of this process and of those that it starts, and points Spark to the
checkout's defaults unless SPARK_CONF_DIR names others.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet"  # the real catalogue, which is not in the repository

sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("SPARK_CONF_DIR", str(ROOT / "conf"))
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)


def bench_parser(description: str | None, quick: str, needs_catalogue: bool = True) -> argparse.ArgumentParser:
    """A parser with --quick, which does what `quick` says, and --catalogue where the bench needs one."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    if needs_catalogue:
        parser.add_argument("--catalogue", type=Path, default=CATALOGUE, help="the real catalogue, a Parquet file; %(default)s unless given")
    return parser


def require_catalogue(bench: str, catalogue: Path) -> None:
    """Nothing, if the catalogue is there; else ends the process with a sentence and exit code 2."""
    if not catalogue.is_file():
        print(f"{bench}: there is no {catalogue}: give the real catalogue's Parquet file by --catalogue", file=sys.stderr)
        sys.exit(2)


def job_command(job: str, *args: object, checkout: Path = ROOT) -> list[str]:
    """The command of a job of the checkout, by the spark-submit of this Python's environment if it has one."""
    submit = Path(sys.executable).with_name("spark-submit")
    return [str(submit) if submit.is_file() else "spark-submit", str(checkout / "jobs" / f"{job}.py"), *map(str, args)]
