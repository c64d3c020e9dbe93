"""A newcomer's path: a clean clone, the README's commands in order, the cookbook's queries, and `make demo` again without a network.

Minutes: run by `make test-slow`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from xlclass.cookbook import queries

pytestmark = pytest.mark.slow


SETTING_UP_AND_ALL_JOBS = 3_600  # seconds


def newly(clone: Path, *command: str, timeout: int = 1_800) -> subprocess.CompletedProcess:
    """A command as in a new shell in the clone: nothing of this environment's is on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "PYTEST"))}
    kept["PATH"] = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    kept["HOME"] = str(clone.parent)  # no encoder, no jar, nothing cached from before
    return subprocess.run(command, cwd=clone, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)


def readme_commands(text: str) -> list[str]:
    """The commands of the blocks of `sh`, in order, without comments and without `make test`.

    A block is a template, and left out, where a command has a word in capitals for the reader to fill in, such as HOST.
    """
    blocks = [re.sub(r"\s+#.*", "", block) for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]
    commands = [block.replace("\\\n", "").splitlines() for block in blocks if not re.search(r"(?<![$\w{])[A-Z]{3,}(?![\w=}])", block)]
    return [command.strip() for block in commands for command in block if command.strip() not in ("", "make test")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of this commit, without a virtual environment."""
    folder = tmp_path_factory.mktemp("newcomer") / "xlclass"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def walked(clone):
    """What the README's commands print, one after the other in one shell of a fresh clone."""
    commands = readme_commands((clone / "README.md").read_text(encoding="utf-8"))
    assert commands[0] == "make demo"
    done = newly(clone, "sh", "-exc", "\n".join(commands), timeout=SETTING_UP_AND_ALL_JOBS)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def _table(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]


def test_readme_commands_are_those_that_a_newcomer_can_run():
    text = "```sh\nmake demo   # first\nmake test\n```\n```text\nls\n```\n```sh\nexport A_B=$PWD/x\nrun \\\n  it\n```\n```sh\nssh HOST\n```\n"
    assert readme_commands(text) == ["make demo", "export A_B=$PWD/x", "run   it"]


def test_readmes_commands_run_in_their_order_in_a_fresh_clone(clone, walked):
    rest = readme_commands((clone / "README.md").read_text(encoding="utf-8"))[1:]
    demo, shell = walked.split(f"+ {rest[0]}\n", 1)
    assert len(_table(demo)) >= 24
    assert f"tables: {clone}/build/demo" in demo
    assert _table(shell)[: len(_table(demo))] == _table(demo)  # the main job again: nothing is new
    assert "sports" in shell.split("+ xlclass classify")[1]


def test_cookbook_answers_in_a_fresh_clone_without_spark(clone, walked):
    """By the page's own lines, in the lake that the README's commands left; the demo has one model version, no bad row, and a label on every video."""
    code = (
        "import sys; sys.modules['pyspark'] = None\n"
        "from xlclass.cookbook import queries\nfrom xlclass.cookbook.dictionary import READING\n"
        "exec(READING.split('```python\\n')[2].split('```')[0])\n"
        "lake.execute(READING.split('```sql\\n')[1].split(';')[0])\n"
        "for query in queries():\n    if query.runs_on('DuckDB'):\n        print('ran', query.name, len(lake.execute(query.sql).fetchall()))\n"
    )
    done = newly(clone, str(clone / ".venv" / "bin" / "python"), "-c", code)
    assert done.returncode == 0, done.stdout[-3000:]
    ran = dict(re.findall(r"^ran (\w+) (\d+)$", done.stdout, re.MULTILINE))
    assert set(ran) == {query.name for query in queries()}
    assert {name for name, num_rows in ran.items() if num_rows == "0"} <= {"changed", "rejected", "same_text", "without_category", "worth_labelling"}


def test_demo_runs_afresh_without_a_network(clone, walked):
    offline = ["unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*offline, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    shutil.rmtree(clone / "build")
    afresh = newly(clone, *offline, "make", "demo")
    assert afresh.returncode == 0, afresh.stdout[-3000:]
    assert len(_table(afresh.stdout)) == len(_table(walked.split("tables: ")[0]))
    assert "installing" not in afresh.stdout


def test_make_alone_prints_help(clone):
    done = newly(clone, "make", "help")
    assert done.stdout == newly(clone, "make").stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"demo", "test", "test-slow", "test-fast", "check", "format", "bench", "dist", "clean"}


@pytest.mark.parametrize(("version", "sentence"), [("11.0.2", "is Java 11, Spark needs 17 or newer"), (None, "there is no Java")])
def test_setup_without_a_fit_java_stops_with_one_sentence(clone, tmp_path, version, sentence):
    if version:
        (tmp_path / "bin").mkdir()
        java = tmp_path / "bin" / "java"
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
        java.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "xlclass.runtime.requirements"],
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
