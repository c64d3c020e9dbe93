"""The frame of every job: the run's row and the exit code, however the job ends."""

import json

import pytest

from xlclass.cli.job import run_job
from xlclass.errors import SourceError
from xlclass.lake.tables import Lake
from xlclass.schemas import RUNS


@pytest.fixture
def job(spark, settings_in, tmp_path):
    """Two functions: one runs a body as a job in a lake of its own and returns the exit code, the other returns the rows of `runs`."""
    settings = settings_in(tmp_path)

    def run(body):
        return run_job("test", "a job", body, argv=["--conf", str(settings.file)])

    return run, lambda: Lake(spark, settings.resolve(settings.lake.path)).read(RUNS).collect()


def test_run_job_records_the_steps(job):
    run, rows = job

    def body(run, _):
        for _ in range(2):
            with run.step("twice") as step:
                step.num_rows += 5

    assert run(body) == 0
    (row,) = rows()
    assert (row["job"], row["outcome"], row["message"]) == ("test", "done", None)
    assert [(step["name"], step["num_rows"]) for step in row["steps"]] == [("twice", 10)]
    assert row["started_at"] <= row["finished_at"]
    assert json.loads(row["settings"])["split"]["train"] == 0.6


def test_run_job_ends_a_users_mistake_with_one_sentence_exit_code_2_and_a_row(job, capsys):
    run, rows = job

    def body(run, _):
        raise SourceError("there is no such thing: do another")

    assert run(body) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "jobs/test.py: there is no such thing: do another"
    assert [(row["outcome"], row["message"]) for row in rows()] == [("refused", "there is no such thing: do another")]


def test_run_job_raises_a_defect_after_recording_it(job):
    run, rows = job

    def body(run, _):
        raise ZeroDivisionError("a defect")

    with pytest.raises(ZeroDivisionError):
        run(body)
    assert [(row["outcome"], row["message"]) for row in rows()] == [("failed", "ZeroDivisionError: a defect")]
