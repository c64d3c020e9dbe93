"""The frame of every job: the run's row and the exit code, however the job ends."""

import json
import signal
import threading

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


def test_run_job_ends_an_interruption_with_one_sentence_exit_code_130_and_a_row(job, capsys):
    run, rows = job

    def body(run, _):
        signal.raise_signal(signal.SIGINT)  # outside a call of the JVM: at once
        raise AssertionError("not reached")

    handler = signal.getsignal(signal.SIGINT)
    assert run(body) == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert capsys.readouterr().err.splitlines()[-1].startswith("jobs/test.py: interrupted by Ctrl-C: run the same command again")
    assert [(row["outcome"], row["message"][:21]) for row in rows()] == [("failed", "interrupted by Ctrl-C")]


def test_run_job_stops_a_job_of_spark_at_an_interruption(job):
    run, rows = job

    def body(run, _):
        threading.Timer(2, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        run.lake.spark.range(10**15, numPartitions=2).selectExpr("max(hash(id))").collect()
        raise AssertionError("not reached")

    assert run(body) == 130
    assert [(row["outcome"], row["message"][:21]) for row in rows()] == [("failed", "interrupted by Ctrl-C")]
