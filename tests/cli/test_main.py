"""The command line: its help frozen, its errors one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from xlclass.cli import main
from xlclass.cli.commands import models
from xlclass.errors import ModelError
from xlclass.lake.registry import Registry

GOLDEN = ROOT / "tests" / "golden" / "help.txt"
COMMANDS = [
    ["-m", "xlclass.cli.main", *words, "--help"] for words in ([], *([name] for name in [*main.COMMANDS]), *(["models", name] for name in models._ACTIONS))
]
SLOW = ["pyspark", "tensorflow", "keras", "pandas", "pyarrow", "deltalake", "numpy", "xlclass.encoders", "xlclass.lake"]
JOBS = [[f"jobs/{name}.py", "--help"] for name in ("pipeline", "backfill", "train", "evaluate", "report", "maintain", "doctor")]


def test_every_help_is_as_it_was():
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    shown = []
    for command in COMMANDS + JOBS:
        done = subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        shown.append(f"$ {' '.join(command)}\n{done.stdout}")
    if os.environ.get("XLCLASS_REFRESH_GOLDEN"):
        GOLDEN.write_text("\n".join(shown))
    assert "\n".join(shown) == GOLDEN.read_text(), "refresh with XLCLASS_REFRESH_GOLDEN=1 if this change is meant"


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[2:-1]))
def test_help_imports_nothing_that_takes_long(words):
    """Start-up in seconds is measured by tests/bench/classify.py; here, what it depends on."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('imported', [name for name in {SLOW} if name in sys.modules]))\n"
        "import xlclass.cli.main; xlclass.cli.main.main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, *words[2:]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []"


@pytest.mark.parametrize("conf", ["local.toml", "youtube.toml"])
def test_check_finds_the_shipped_settings_fine(conf, capsys):
    assert main.main(["check", "--conf", str(ROOT / "conf" / conf)]) == 0
    assert "fine; 15 categories" in capsys.readouterr().out


def test_main_ends_with_one_sentence_and_exit_code_2(capsys):
    assert main.main(["check", "--conf", "none.toml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"xlclass: there is no settings file {Path.cwd() / 'none.toml'}: give one with --conf, such as conf/local.toml\n"


def test_champion_says_what_to_run_for_an_empty_lake(tmp_path):
    with pytest.raises(ModelError, match="has no champion model: run jobs/pipeline.py"):
        Registry(str(tmp_path)).champion()
