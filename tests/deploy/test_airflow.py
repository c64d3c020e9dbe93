"""conf/deploy/airflow_dag.py in a real Airflow with its own environment: the DAG is imported, and its task runs jobs with every exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from pinned_environment import environment

pytestmark = pytest.mark.deploy
JOBS = {
    "done": "",
    "mistake": (ROOT / "jobs" / "backfill.py").read_text(encoding="utf-8"),  # its settings file does not exist
    "alert": "import sys; print('drift in tr'); sys.exit(3)",
    "crash": "raise OSError('a disk')",
}


@pytest.fixture(scope="module")
def dag(tmp_path_factory):
    """The DAG's settings as Airflow reads them, and how its first task ends on each of JOBS."""
    folder = tmp_path_factory.mktemp("airflow")
    python = environment(folder / "venv", Path(__file__).with_name("airflow.txt"))
    place = folder / "xlclass"
    (place / "jobs").mkdir(parents=True)
    (place / "conf").symlink_to(ROOT / "conf")
    (place / ".venv").symlink_to(sys.prefix)
    for name, code in JOBS.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "PYTHONPATH"))}
    environ |= {"AIRFLOW_HOME": str(folder / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "PYTHONPATH": str(ROOT)}
    environ |= {"XLCLASS_PLACE": str(place), "XLCLASS_SETTINGS": "/nowhere.toml"}
    command = [python, Path(__file__).with_name("inspect_dag.py"), ROOT / "conf" / "deploy" / "airflow_dag.py", *(folder / f"{name}.py" for name in JOBS)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_dag_runs_once_a_night_one_at_a_time_backfill_first(dag):
    assert (dag["dag_id"], dag["schedule"], dag["catchup"], dag["max_active_runs"]) == ("xlclass_nightly", "17 2 * * *", False, 1)
    assert dag["downstream"] == {"backfill": ["evaluate"], "evaluate": []}
    assert set(dag["retries"].values()) == {2}
    assert dag["callbacks"] == ["notify"]
    assert dag["endings"]["done"] == ["done", ""]


def test_task_fails_without_a_retry_after_a_users_mistake_and_repeats_the_jobs_sentence(dag):
    name, message = dag["endings"]["mistake"]
    assert name == "AirflowFailException"
    assert "there is no settings file /nowhere.toml" in message


def test_task_is_not_retried_after_an_alert_but_after_a_crash(dag):
    expected = {"alert": "AirflowFailException", "crash": "AirflowException"}
    assert {job: dag["endings"][job][0] for job in expected} == expected
    assert all(dag["endings"][job][1].startswith("backfill: ") for job in expected)
