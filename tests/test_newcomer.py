"""A newcomer's first hour: a fresh clone, `make setup`, then the README's commands in order without a network, and the cookbook's queries.

Minutes: run by `make test-slow`.
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from samples import PIP_CACHE

from xlclass.cookbook import queries

pytestmark = pytest.mark.slow


LIMIT = 3_600  # seconds for the set-up and all jobs
OFFLINE = ("unshare", "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


def in_new_shell(clone: Path, *command: str, timeout: int = 1_800) -> subprocess.CompletedProcess:
    """The command as in a new shell in the clone, with a new home: no encoder, no jar; only pip's downloads are shared."""
    hidden = ("PYSPARK", "SPARK", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    environment["PATH"] = os.pathsep.join(entry for entry in os.environ["PATH"].split(os.pathsep) if ".venv" not in entry)
    environment |= {"HOME": str(clone.parent), "PIP_CACHE_DIR": str(PIP_CACHE)}
    return subprocess.run(command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False)


@functools.cache
def can_go_offline() -> bool:
    """Whether this user may make a network namespace."""
    return subprocess.run([*OFFLINE, "true"], capture_output=True, check=False).returncode == 0


def readme_commands(text: str) -> list[str]:
    """The commands of the blocks of `sh`, in order, without comments and without `make test`.

    A block with a word in capitals for the reader to fill in, such as HOST, is left out.
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
def set_up(clone):
    """What `make setup` would do and what it printed, and the clone ready to use."""
    planned = in_new_shell(clone, "make", "--dry-run", "demo").stdout
    done = in_new_shell(clone, "make", "setup")
    assert done.returncode == 0, done.stdout[-3000:]
    return planned, done.stdout


@pytest.fixture(scope="module")
def walked(clone, set_up):
    """What the README's commands printed, one after the other in one shell, without a network if this user may switch it off."""
    commands = readme_commands((clone / "README.md").read_text(encoding="utf-8"))
    assert commands[0] == "make demo"
    done = in_new_shell(clone, *(OFFLINE if can_go_offline() else ()), "sh", "-exc", "\n".join(commands), timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def _accuracy_lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]


def test_readme_commands_leaves_templates_and_comments_out():
    text = "```sh\nmake demo   # first\nmake test\n```\n```text\nls\n```\n```sh\nexport A_B=$PWD/x\nrun \\\n  it\n```\n```sh\nssh HOST\n```\n"
    assert readme_commands(text) == ["make demo", "export A_B=$PWD/x", "run   it"]


def test_make_demo_in_a_fresh_clone_begins_with_the_set_up(set_up):
    planned, printed = set_up
    assert printed.startswith("installing the packages of constraints.txt into .venv")
    assert planned.index("pip install") < planned.index("xlclass setup") < planned.index("jobs/pipeline.py")


def test_readmes_commands_run_in_order_in_a_fresh_clone(clone, walked):
    after_demo = readme_commands((clone / "README.md").read_text(encoding="utf-8"))[1:]
    demo, shell = walked.split(f"+ {after_demo[0]}\n", 1)
    assert len(_accuracy_lines(demo)) >= 24
    assert f"tables: {clone}/build/demo" in demo
    own, again = shell.split("+ spark-submit jobs/pipeline.py --conf conf/local.toml\n", 1)
    assert "build/own/lake" in own
    assert _accuracy_lines(again)[: len(_accuracy_lines(demo))] == _accuracy_lines(demo)  # the main job again: nothing is new
    assert "sports" in shell.split("+ xlclass classify")[1]


def test_readmes_commands_need_no_network_after_the_set_up(walked):
    if not can_go_offline():
        pytest.skip("this machine lets nobody make a network namespace")
    assert "installing" not in walked


def test_cookbook_answers_in_a_fresh_clone_without_spark(clone, walked):
    """With the data dictionary's own lines, on the lake that the README's commands left.

    The demo has one model version, no bad row, and a label on every video, so five queries may find nothing.
    """
    code = (
        "import sys; sys.modules['pyspark'] = None\n"
        "from xlclass.cookbook import queries\nfrom xlclass.cookbook.dictionary import READING\n"
        "exec(READING.split('```python\\n')[2].split('```')[0])\n"
        "lake.execute(READING.split('```sql\\n')[1].split(';')[0])\n"
        "for query in queries():\n    if query.runs_on('DuckDB'):\n        print('ran', query.name, len(lake.execute(query.sql).fetchall()))\n"
    )
    done = in_new_shell(clone, str(clone / ".venv" / "bin" / "python"), "-c", code)
    assert done.returncode == 0, done.stdout[-3000:]
    num_rows = dict(re.findall(r"^ran (\w+) (\d+)$", done.stdout, re.MULTILINE))
    assert set(num_rows) == {query.name for query in queries()}
    assert {name for name, num in num_rows.items() if num == "0"} <= {"changed", "rejected", "same_text", "without_category", "worth_labelling"}


def test_make_alone_prints_help(clone):
    done = in_new_shell(clone, "make", "help")
    assert done.stdout == in_new_shell(clone, "make").stdout
    assert {line.split()[0] for line in done.stdout.splitlines()} >= {"demo", "test", "test-slow", "test-fast", "check", "format", "bench", "dist", "clean"}


def test_setup_without_a_fit_java_stops_with_one_sentence(clone, tmp_path):
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    for home, sentence in ((tmp_path, "is Java 11, Spark needs 17 or newer"), (tmp_path / "none", "there is no Java")):
        command = [sys.executable, "-m", "xlclass.runtime.requirements"]
        environment = {"JAVA_HOME": str(home), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
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
