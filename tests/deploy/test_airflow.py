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


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    """Calls Airflow on the DAG, with `job` instead of jobs/backfill.py, and gives what it found."""
    folder = tmp_path_factory.mktemp("airflow")
    python = environment(folder / "venv", Path(__file__).with_name("airflow.txt"))
    place = folder / "xlclass"
    (place / "jobs").mkdir(parents=True)
    (place / "conf").symlink_to(ROOT / "conf")
    (place / ".venv").symlink_to(sys.prefix)

    def run(job: str) -> dict:
        (place / "jobs" / "backfill.py").write_text(job, encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "PYTHONPATH"))}
        given = {"AIRFLOW_HOME": str(folder / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "XLCLASS_PLACE": str(place), "PYTHONPATH": str(ROOT)}
        command = [python, Path(__file__).with_name("inspect_dag.py"), ROOT / "conf" / "deploy" / "airflow_dag.py"]
        done = subprocess.run(command, env={**kept, **given, "XLCLASS_SETTINGS": "/nowhere.toml"}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_dag_runs_once_a_night_one_at_a_time_backfill_first(airflow):
    found = airflow("")
    assert (found["dag_id"], found["schedule"], found["catchup"], found["max_active_runs"]) == ("xlclass_nightly", "17 2 * * *", False, 1)
    assert found["downstream"] == {"backfill": ["evaluate"], "evaluate": []}
    assert set(found["retries"].values()) == {2}
    assert found["callbacks"] == ["notify"]
    assert found["ending"] == ["done", ""]


def test_task_of_a_users_mistake_fails_without_a_retry_and_with_the_jobs_message(airflow):
    exception, message = airflow((ROOT / "jobs" / "backfill.py").read_text(encoding="utf-8"))["ending"]
    assert exception == "AirflowFailException"
    assert "there is no settings file /nowhere.toml" in message


@pytest.mark.parametrize(
    ("job", "expected"),
    [("import sys; print('drift in tr'); sys.exit(3)", "AirflowFailException"), ("raise OSError('a disk')", "AirflowException")],
    ids=["alert", "crash"],
)
def test_task_is_retried_after_a_crash_but_not_after_an_alert(airflow, job, expected):
    exception, message = airflow(job)["ending"]
    assert exception == expected
    assert message.startswith("backfill: ")
