"""A newcomer's path: a clean clone, `make demo`, and again without a network. Minutes: run by `make test-slow`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def make(clone: Path, targets: list[str], *prefix: str) -> subprocess.CompletedProcess:
    """`make` as in a new shell: nothing of this environment's is on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "VIRTUAL_ENV", "MAKE", "MFLAGS", "PYTEST"))}
    kept["PATH"] = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    kept["HOME"] = str(clone.parent)  # no encoder, no jar, nothing cached from before
    return subprocess.run([*prefix, "make", *targets], cwd=clone, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1_800)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of this commit, without a virtual environment."""
    folder = tmp_path_factory.mktemp("newcomer") / "xlclass"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def _table(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]


def test_demo_of_a_fresh_clone_ends_with_the_table_and_again_without_a_network(clone):
    first = make(clone, ["demo"])
    assert first.returncode == 0, first.stdout[-3000:]
    assert len(_table(first.stdout)) >= 24
    assert f"tables: {clone}/build/demo" in first.stdout
    offline = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*offline, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    second = make(clone, ["demo"], *offline)
    assert second.returncode == 0, second.stdout[-3000:]
    assert _table(second.stdout) == _table(first.stdout)
    assert "installing" not in second.stdout
    shutil.rmtree(clone / "build")
    afresh = make(clone, ["demo"], *offline)
    assert afresh.returncode == 0, afresh.stdout[-3000:]
    assert len(_table(afresh.stdout)) == len(_table(first.stdout))


def test_make_alone_prints_help(clone):
    done = make(clone, ["help"])
    assert done.stdout == make(clone, []).stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"demo", "test", "test-slow", "test-fast", "check", "format", "bench", "dist", "clean"}


@pytest.mark.parametrize(("version", "sentence"), [("11.0.2", "is Java 11, Spark needs 17 or newer"), (None, "there is no Java")])
def test_setup_without_a_fit_java_stops_with_one_sentence(clone, tmp_path, version, sentence):
    if version:
        (tmp_path / "bin").mkdir()
        java = tmp_path / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "xlclass.doctor"],
        cwd=clone,
        env={"JAVA_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_setup_with_an_old_python_stops_with_one_sentence(tmp_path, clone):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = subprocess.run(["make", "demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "xlclass needs Python 3.11 or newer" in done.stdout
