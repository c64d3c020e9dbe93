"""Jobs as their users start them, by spark-submit, and the same files run inside the tests' session, which saves a JVM each time."""

import contextlib
import io
import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

from conftest import ROOT, SHORT_LIVED

from xlclass.runtime import logs

BIN = Path(sys.executable).parent
DEMO_SETTINGS = ROOT / "conf" / "local.toml"


def submit(job: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The job run by spark-submit, which writes standard error of a Python job to standard output."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
    environment.pop("PYSPARK_SUBMIT_ARGS", None)  # set by the `spark` fixture
    command = [str(BIN / "spark-submit"), "--master", "local[2]", "--driver-java-options", SHORT_LIVED, str(ROOT / "jobs" / f"{job}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1_200)


def run_in_session(spark, job: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The job's file run as a script in this process and its Spark session."""
    root, package = logging.getLogger(), logging.getLogger("xlclass")
    handlers, level, hook = root.handlers[:], package.level, sys.excepthook
    out, err = io.StringIO(), io.StringIO()
    script = str(ROOT / "jobs" / f"{job}.py")
    try:
        with (
            mock.patch.object(sys, "argv", [script, *arguments]),
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        return subprocess.CompletedProcess([script, *arguments], end.code, out.getvalue(), err.getvalue())
    finally:
        root.handlers[:] = handlers
        package.setLevel(level)
        sys.excepthook = hook
        spark.sparkContext.setLocalProperty(logs.LOCAL_PROPERTY, None)
    raise AssertionError(f"{script} did not end with an exit code")


def demo_settings(folder: Path, more: str = "", source: str = "demo") -> str:
    """Name of a settings file in `folder`: the demo's, with `more` TOML, another source, and the lake in the same folder."""
    conf = ROOT / "conf"
    text = DEMO_SETTINGS.read_text(encoding="utf-8")
    for old, new in {
        'path = "demo"': f'path = "{source}"',
        '"abbreviations.toml"': f'"{conf / "abbreviations.toml"}"',
        '"../build/demo"': '"lake"',
        "[taxonomy]": f'[taxonomy]\nfile = "{conf / "taxonomy.toml"}"',
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "settings.toml").write_text(text + more, encoding="utf-8")
    return "settings.toml"
