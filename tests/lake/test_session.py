"""A session has the project's defaults wherever it is started, and refuses an environment that does not fit before any work."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT
from pyspark import SparkConf, SparkContext

from xlclass.errors import MachineError
from xlclass.lake import session

OPEN = """
import logging
logging.basicConfig(format="%(message)s")
from xlclass.lake.session import open_session
spark = open_session("anywhere")
print(spark.sparkContext.master, spark._jvm.java.lang.Runtime.getRuntime().maxMemory() >> 20)
"""
FROM_OUTSIDE = ("SPARK_", "PYSPARK_", "_PYSPARK_")  # what `make` and another session export


@pytest.fixture
def without_defaults(monkeypatch, tmp_path):
    """The environment that spark-submit makes if SPARK_CONF_DIR is not set: a folder that does not exist."""
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path / "no-such-folder"))


def test_open_session_again_returns_the_session(spark):
    assert session.open_session("again") is spark


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("MIN_JAVA", 99, r"Java .* is too old: install Java 99"),
        ("_DELTA_EXTENSION", "io.delta.sql.NoSuchExtension", "Delta's jar is not on Spark's class path: run `xlclass setup`"),
    ],
)
def test_open_session_refuses_an_environment_that_does_not_fit(spark, monkeypatch, name, value, sentence):
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


def test_require_workers_refuses_another_version_and_checks_once_per_application(spark, monkeypatch):
    monkeypatch.setattr(session, "_checked_applications", set())
    with monkeypatch.context() as another_version:
        another_version.setattr(session, "__version__", "9.9")
        with pytest.raises(MachineError, match=r"the workers run Python .* with xlclass .*, the driver Python .* with xlclass 9.9"):
            session.require_workers(spark)
    session.require_workers(spark)
    monkeypatch.setattr(session, "__version__", "9.9")
    session.require_workers(spark)


def test_missing_defaults_are_those_that_spark_was_started_without(spark, without_defaults):
    without_any = SparkConf(loadDefaults=False).set("spark.master", "local[*]")
    missing = session.missing_defaults(without_any)
    assert missing.keys() == {"spark.master", "spark.driver.memory", "spark.driver.defaultJavaOptions", "spark.log.level", "spark.ui.showConsoleProgress"}
    assert (missing["spark.master"], missing["spark.driver.memory"]) == ("local[*,4]", "3g")
    by_options = SparkConf(loadDefaults=False).set("spark.master", "local[1]").set("spark.driver.memory", "8g")
    assert session.missing_defaults(by_options).keys() == {"spark.driver.defaultJavaOptions", "spark.log.level", "spark.ui.showConsoleProgress"}


def test_missing_defaults_respects_another_defaults_file(spark, monkeypatch, tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.log.level INFO\n")
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    assert session.missing_defaults(SparkConf(loadDefaults=False).set("spark.master", "local[*]")) == {}


def test_missing_defaults_of_an_installed_package_are_none(spark, monkeypatch, without_defaults, tmp_path):
    monkeypatch.setattr(session, "_CONF", tmp_path)
    assert session.missing_defaults(SparkConf(loadDefaults=False)) == {}


def test_point_to_defaults_sets_spark_conf_dir_only_if_this_process_starts_the_jvm(spark, without_defaults, monkeypatch):
    before = os.environ["SPARK_CONF_DIR"]
    session._point_to_defaults()
    assert os.environ["SPARK_CONF_DIR"] == before
    monkeypatch.setattr(SparkContext, "_gateway", None)
    session._point_to_defaults()
    assert os.environ["SPARK_CONF_DIR"] == str(ROOT / "conf")


def _run_anywhere(folder: Path, *command: str) -> str:
    """The output of a script that opens a session, run in `folder` without any exported variable of Spark."""
    (folder / "script.py").write_text(OPEN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FROM_OUTSIDE)}
    environment = {**kept, "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([*command, "script.py"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return done.stdout


@pytest.mark.spark
def test_open_session_finds_the_defaults_in_a_python_started_from_any_folder(tmp_path):
    assert "local[*,4] 3072\n" in _run_anywhere(tmp_path, sys.executable)


@pytest.mark.spark
def test_open_session_says_what_to_export_if_spark_submit_ran_without_the_defaults(tmp_path):
    output = _run_anywhere(tmp_path, "spark-submit")
    assert "local[*,4] 1024\n" in output
    sentences = [line for line in output.splitlines() if line.startswith("Spark was started without")]
    assert len(sentences) == 1
    assert sentences[0].endswith(f"run `export SPARK_CONF_DIR={ROOT / 'conf'}` first")


def test_in_background_works_while_the_block_does_and_returns_its_result_or_its_error(spark):
    block_runs = threading.Event()
    with session.in_background(spark, block_runs.wait, 30) as waited:
        block_runs.set()
    assert waited.result() is True
    with session.in_background(spark, int, "no number") as failed:
        pass
    with pytest.raises(ValueError, match="no number"):
        failed.result()


def test_in_background_finishes_its_work_if_the_block_fails(spark):
    done = []
    with pytest.raises(KeyError), session.in_background(spark, done.append, 1):
        raise KeyError
    assert done == [1]
