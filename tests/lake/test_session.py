"""What does not fit is said before any work."""

import threading

import pytest

from xlclass.errors import MachineError
from xlclass.lake import session


def test_open_session_checks_and_finds_nothing_wrong(spark):
    assert session.open_session("again") is spark


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MIN_JAVA", 99, r"Java .* is too old: install Java 99"),
        ("_DELTA_EXTENSION", "io.delta.sql.NoSuchExtension", "Delta's jar is not on Spark's class path: run `xlclass setup`"),
        ("__version__", "9.9", r"the workers run Python .* with xlclass .*, the driver Python .* with xlclass 9.9"),
    ],
)
def test_open_session_refuses_what_does_not_fit(spark, monkeypatch, name, value, sentence):
    monkeypatch.setattr(session, name, value)
    with pytest.raises(MachineError, match=sentence):
        session.open_session("again")


def test_open_session_refuses_a_jar_of_another_spark(spark, monkeypatch):
    monkeypatch.setattr("pyspark.__version__", "9.9.0")
    with pytest.raises(MachineError, match=r"was made for Spark 4\.2, this is Spark 9\.9\.0"):
        session.open_session("again")


def test_open_session_refuses_spark_connect(spark, monkeypatch):
    monkeypatch.setenv("SPARK_REMOTE", "sc://somewhere:15002")
    with pytest.raises(MachineError, match=r"this is Spark Connect \(sc://somewhere:15002\), which xlclass cannot run on: submit the job to a master"):
        session.open_session("again")


def test_beside_works_while_the_block_does_and_gives_its_result_or_its_error(spark):
    block_runs = threading.Event()
    with session.in_background(spark, block_runs.wait, 30) as waited:
        block_runs.set()
    assert waited.result() is True
    with session.in_background(spark, int, "no number") as failed:
        pass
    with pytest.raises(ValueError, match="no number"):
        failed.result()


def test_beside_does_what_has_begun_when_the_block_fails(spark):
    done = []
    with pytest.raises(KeyError), session.in_background(spark, done.append, 1):
        raise KeyError
    assert done == [1]
