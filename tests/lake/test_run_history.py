"""The table `runs` read without Spark, and `xlclass runs`."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import deltalake
import pyarrow as pa
import pytest
from conftest import ROOT

from xlclass.cli import main
from xlclass.lake.run_history import changed_settings, newest_runs, one_run
from xlclass.schemas import RUNS

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("run_id", "job", "outcome", "message")),
        *((name, pa.timestamp("us", "UTC")) for name in ("started_at", "finished_at")),
        *((name, pa.string()) for name in ("settings", "settings_fingerprint", "source", "source_version")),
        *((name, pa.int64()) for name in ("rows_in", "rows_ok", "rows_rejected", "rows_reused")),
        ("rules", pa.map_(pa.string(), pa.int64())),
        ("steps", pa.list_(pa.struct([("name", pa.string()), ("seconds", pa.float64()), ("num_rows", pa.int64())]))),
        ("code_version", pa.string()),
    ]
)
SETTINGS = {"source": {"path": "v", "delimiter": "|", "columns": {"tags": "words"}}, "lake": {"path": "l"}, "split": {"train": 0.5}, "file": "/x.toml"}
STEPS = [{"name": "prepare", "seconds": 2.25, "num_rows": 1_500}, {"name": "encode", "seconds": 192.4, "num_rows": 1_500}]


def _row(run_id, hour, outcome="done", message=None, counts=(1_512, 1_500, 2, 10), job="backfill"):
    times = (datetime(2026, 11, 25, hour, 0, 0, tzinfo=UTC), datetime(2026, 11, 25, hour, 3, 20, tzinfo=UTC))
    about = (json.dumps(SETTINGS), "f" * 16, "v", "7")
    return dict(zip(SCHEMA.names, (run_id, job, outcome, message, *times, *about, *counts, [("no_id", 2), ("no_title", 0)], STEPS, "0.1.0"), strict=True))


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Three runs, not in the order of their starts; one was refused, with terminal commands in its message."""
    root = tmp_path_factory.mktemp("lake")
    rows = [_row("aaa1", 9), _row("bbb1", 11, "refused", "no \x1b[2J\nsuch thing", (None,) * 4, "train"), _row("aaa2", 10)]
    deltalake.write_deltalake(str(root / "runs"), pa.Table.from_pylist(rows, SCHEMA))
    return str(root)


def test_schema_of_these_tests_has_the_columns_of_the_contract():
    assert SCHEMA.names == RUNS.names


def test_newest_runs_returns_the_latest_start_first_up_to_the_limit(lake):
    assert [run["run_id"] for run in newest_runs(lake, 2)] == ["bbb1", "aaa2"]


def test_runs_prints_a_table(lake, capsys):
    assert main.main(["runs", "--lake", lake]) == 0
    assert capsys.readouterr().out == (
        "run_id  job       outcome  started (UTC)              took  rows in     ok  rejected  reused\n"
        "bbb1    train     refused  2026-11-25 11:00:00  3 min 20 s        -      -         -       -\n"
        "aaa2    backfill  done     2026-11-25 10:00:00  3 min 20 s    1,512  1,500         2      10\n"
        "aaa1    backfill  done     2026-11-25 09:00:00  3 min 20 s    1,512  1,500         2      10\n"
    )


def test_runs_prints_all_of_one_run_by_the_beginning_of_its_id(lake, capsys):
    assert main.main(["runs", "--lake", lake, "aaa2"]) == 0
    assert capsys.readouterr().out == (
        "run      aaa2, backfill, done\n"
        "time     2026-11-25 10:00:00 to 10:03:20 UTC, 3 min 20 s\n"
        "source   v, version 7\n"
        "rows     1,512 in, 1,500 ok, 2 rejected, 10 reused\n"
        "code     xlclass 0.1.0, settings ffffffffffffffff\n"
        "\n"
        "step           took   rows\n"
        "prepare       2.2 s  1,500\n"
        "encode   3 min 12 s  1,500\n"
        "\n"
        "rule   rows\n"
        "no_id     2\n"
        "\n"
        "changed setting      value\n"
        "lake.path            l\n"
        "source.columns.tags  words\n"
        "source.path          v\n"
        "split.train          0.5\n"
    )


def test_runs_prints_a_message_in_one_line_without_terminal_commands(lake, capsys):
    assert main.main(["runs", "--lake", lake, "b"]) == 0
    assert "message  no \\x1b[2J\\nsuch thing\n" in capsys.readouterr().out


def test_runs_prints_json(lake, capsys):
    assert main.main(["runs", "--lake", lake, "--json"]) == 0
    first, *_ = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (first["run_id"], first["started_at"], first["rows_in"]) == ("bbb1", "2026-11-25T11:00:00+00:00", None)
    assert main.main(["runs", "--lake", lake, "--json", "aaa1"]) == 0
    run = json.loads(capsys.readouterr().out)
    assert (run["rules"], run["steps"], run["settings"]["split.train"]) == ({"no_id": 2, "no_title": 0}, STEPS, 0.5)


@pytest.mark.parametrize(
    ("run_id", "sentence"), [("aaa", "has 2 runs whose id begins with aaa: give more of the id"), ("zzz", "has no run zzz: `xlclass runs` lists")]
)
def test_runs_refuses_an_id_that_matches_no_single_run(lake, run_id, sentence, capsys):
    assert main.main(["runs", "--lake", lake, run_id]) == 2
    assert sentence in capsys.readouterr().err


def test_runs_ends_without_an_error_if_the_reader_of_its_pipe_is_gone(lake):
    """As in `xlclass runs | head -0`."""
    command = f"{sys.executable} -m xlclass.cli.main runs --lake {lake} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_runs_imports_neither_spark_nor_tensorflow(lake):
    code = "import sys; from xlclass.cli import main; main.main(sys.argv[1:]); print('pyspark' in sys.modules, 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "runs", "--lake", lake], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_changed_settings_keeps_keys_that_have_no_default_and_adds_none():
    assert changed_settings({"source": {"path": "v"}, "unknown": {"key": 1}}) == {"source.path": "v", "unknown.key": 1}


def test_one_run_prefers_a_complete_id_to_a_longer_one_that_begins_with_it(tmp_path):
    deltalake.write_deltalake(str(tmp_path / "runs"), pa.Table.from_pylist([_row("a", 9), _row("ab", 9)], SCHEMA))
    assert one_run(str(tmp_path), "a")["run_id"] == "a"
