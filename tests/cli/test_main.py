"""The command line: frozen help, fast start, and one sentence per error."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
JOBS = [[f"jobs/{name}.py", "--help"] for name in ("pipeline", "backfill", "train", "evaluate", "report", "compare_encoders", "maintain", "doctor")]
SLOW = ["pyspark", "tensorflow", "keras", "pandas", "pyarrow", "deltalake", "numpy", "xlclass.encoders.contract", "xlclass.lake"]
PRINT_SLOW_IMPORTS = (
    "import atexit, sys\n"
    f"atexit.register(lambda: print('imported', [name for name in {SLOW} if name in sys.modules]))\n"
    "import xlclass.cli.main; xlclass.cli.main.main(sys.argv[1:])"
)


def outputs(commands):
    """The standard output of each command of this Python, two at a time."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}

    def output(command):
        return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(output, commands))


def test_help_matches_the_golden_file():
    commands = COMMANDS + JOBS
    text = "\n".join(f"$ {' '.join(command)}\n{output}" for command, output in zip(commands, outputs(commands), strict=True))
    if os.environ.get("XLCLASS_REFRESH_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), "if this change is intended, refresh the file with XLCLASS_REFRESH_GOLDEN=1"


def test_help_imports_no_slow_package():
    """tests/bench/classify.py measures the start in seconds; this test checks its cause."""
    printed = outputs([["-c", PRINT_SLOW_IMPORTS, *words[2:]] for words in COMMANDS])
    assert [(words[2:], text.splitlines()[-1]) for words, text in zip(COMMANDS, printed, strict=True) if text.splitlines()[-1] != "imported []"] == []


@pytest.mark.parametrize("conf", ["local.toml", "youtube.toml"])
def test_check_accepts_the_shipped_settings(conf, capsys):
    assert main.main(["check", "--settings-only", "--conf", str(ROOT / "conf" / conf)]) == 0
    assert capsys.readouterr().out == f"{ROOT / 'conf' / conf} is valid: 15 categories\n"


def test_main_prints_one_sentence_and_returns_2_for_a_users_mistake(capsys):
    assert main.main(["check", "--conf", "none.toml"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"xlclass: there is no settings file {Path.cwd() / 'none.toml'}: give one with --conf, such as conf/local.toml\n"


COMMANDS_OF_A_LAKE = (
    ["models", "list"],
    ["models", "show", "a"],
    ["models", "compare", "a", "b"],
    ["models", "promote", "a"],
    ["models", "rollback"],
    ["runs"],
)


def test_commands_of_a_lake_refuse_a_folder_that_is_no_lake(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other" / "videos").mkdir(parents=True)  # no Delta table
    (tmp_path / "file").write_text("x")
    found = {"empty": "it is an empty folder", "other": "it holds other files", "file": "it is a file", "missing": "there is no such folder"}
    wrong = {}
    for name, reason in found.items():
        lake = tmp_path / name
        sentence = f"xlclass: {lake} is no lake ({reason}): a folder with tables of xlclass was looked for, such as {lake}/videos/_delta_log; "
        for command in COMMANDS_OF_A_LAKE:
            code, printed = main.main([*command, "--lake", str(lake)]), capsys.readouterr()
            if code != 2 or printed.out or not printed.err.startswith(sentence) or printed.err.count("\n") > 1:
                wrong[name, *command] = (code, *printed)
    assert wrong == {}
    assert not (tmp_path / "missing").exists()


def test_models_list_explains_a_lake_without_models(tmp_path, capsys):
    (tmp_path / "videos" / "_delta_log").mkdir(parents=True)
    assert main.main(["models", "list", "--lake", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"the lake {tmp_path} has no model versions: run jobs/pipeline.py or jobs/train.py\n"


def test_champion_names_the_jobs_to_run_for_an_empty_lake(tmp_path):
    with pytest.raises(ModelError, match="has no champion model: run jobs/pipeline.py"):
        Registry(str(tmp_path)).champion()
