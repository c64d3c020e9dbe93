"""A Spark session that fits the jobs: Delta and the project's defaults are set, and an environment that does not fit is refused in one sentence."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyspark
from pyspark import SparkConf, SparkContext, inheritable_thread_target
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from xlclass import __version__
from xlclass.errors import MachineError
from xlclass.runtime.requirements import MIN_JAVA

log = logging.getLogger(__name__)
_T = TypeVar("_T")
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_ALWAYS = {
    "spark.sql.extensions": _DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.legacy.javaCharsets": "true",  # CSV in the encodings that exporters use, such as windows-1252
    "spark.sql.legacy.parquet.nanosAsLong": "true",  # else Spark refuses the times that pandas writes
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",  # else a folder channel=001 becomes the channel 1
}
_UNLESS_SET = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",  # texts that are sorted by length together
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.codegen.hugeMethodLimit": "8000",  # bytes of a generated method above which the JVM would interpret it for ever
    "spark.sql.codegen.cache.maxEntries": "1000",  # a backfill generates more than the default 100 classes, so each run in a session compiled them again
    "spark.python.sql.dataFrameDebugging.enabled": "false",  # looks up the Python line of every named column: a second of a small run
    "spark.databricks.delta.snapshotPartitions": "8",  # tasks that read a table's log, several times a commit: most of the default 50 are empty
}
_LOCAL_UNLESS_SET = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",  # a machine without a network has no other name
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.files.openCostInBytes": str(1 << 20),  # for a local disk; with the default 4 MiB many small files fill one task and leave the next idle
    "spark.databricks.delta.snapshotPartitions": "1",  # with 50 a commit takes 2 s more on two cores
    "spark.ui.enabled": "false",
}
_QUERY_LOGGERS = ("DataFrameQueryContextLogger", "SQLQueryContextLogger")  # print each analysis error as JSON, even one that is caught and explained
_DEFAULTS = "spark-defaults.conf"
_CONF = Path(__file__).resolve().parents[2] / "conf"  # the checkout's; an installed package has none
_HEAP = "spark.driver.memory"
_AT_JVM_START = (_HEAP, "spark.driver.defaultJavaOptions")  # cannot be set any more when a session opens
_checked_applications: set[str] = set()


def open_session(name: str) -> SparkSession:
    """The session that `spark-submit` prepared, or a new local one, with Java and Delta checked.

    Spark takes its defaults from the checkout's `conf` if nothing else provides them. `require_workers` checks the Python workers.

    Raises:
        MachineError: Java or Delta's jar is missing or does not fit, or this is Spark Connect.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else local workers run the first python3 on the PATH
    _refuse_connect(os.environ.get("SPARK_REMOTE"))
    _point_to_defaults()
    SparkContext._ensure_initialized()
    conf = SparkConf()
    _refuse_connect(conf.get("spark.remote"), conf.get("spark.api.mode"))
    is_local = (conf.get("spark.master") or "local").startswith("local")
    missing = missing_defaults(conf) if is_local else {}
    unless_set = {**_UNLESS_SET, **(_LOCAL_UNLESS_SET if is_local else {})}
    options = {key: value for key, value in unless_set.items() if not conf.contains(key)}
    builder = SparkSession.builder.appName(f"xlclass {name}")
    for key, value in {**_ALWAYS, **options, **missing}.items():
        if key not in _AT_JVM_START:
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel(conf.get("spark.log.level") or "ERROR")
    for logger in _QUERY_LOGGERS:
        PySparkLogger.getLogger(logger).disabled = True
    _check_java(spark)
    _check_delta(spark)
    if _HEAP in missing:
        _warn_of_small_heap(spark, missing[_HEAP])
    return spark


def missing_defaults(conf: SparkConf) -> dict[str, str]:
    """The options of the checkout's spark-defaults.conf that Spark was started without.

    None are missing where Spark read a spark-defaults.conf, whichever it was. `local[*]`, Spark's own default, counts as no master.
    """
    if not (_CONF / _DEFAULTS).is_file() or any((folder / _DEFAULTS).is_file() for folder in _conf_folders()):
        return {}
    lines = (line.split(maxsplit=1) for line in (_CONF / _DEFAULTS).read_text(encoding="utf-8").splitlines() if line and not line.startswith("#"))
    return {key: value.strip() for key, value in lines if not conf.contains(key) or (key == "spark.master" and conf.get(key) == "local[*]")}


def require_workers(spark: SparkSession) -> None:
    """Nothing, if the workers run the driver's Python and xlclass; one task per Spark application finds out.

    Called before the first task that needs Python, not when the session opens: a run with nothing to do starts no worker at all.

    Raises:
        MachineError: they do not.
    """
    application = spark.sparkContext.applicationId
    if application in _checked_applications:
        return

    def versions(_: int) -> tuple[str, str]:
        import importlib.metadata

        try:
            package = importlib.metadata.version("xlclass")
        except importlib.metadata.PackageNotFoundError:
            import xlclass

            package = xlclass.__version__
        return ".".join(map(str, sys.version_info[:2])), package

    python, package = spark.sparkContext.parallelize([0], 1).map(versions).first()
    driver_python = ".".join(map(str, sys.version_info[:2]))
    if (python, package) != (driver_python, __version__):
        workers, driver = f"Python {python} with xlclass {package}", f"Python {driver_python} with xlclass {__version__}"
        raise MachineError(f"the workers run {workers}, the driver {driver}: set PYSPARK_PYTHON to the same environment on all")
    _checked_applications.add(application)


@contextmanager
def in_background(spark: SparkSession, work: Callable[..., _T], *args: object) -> Iterator[Future[_T]]:
    """Runs `work` in a thread of its own while the block runs: half of a small job is Spark's own latency, on one core.

    The end of the block waits for it. The future holds its result, or raises its error where the result is read.
    """
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(inheritable_thread_target(spark)(work), *args)


def _point_to_defaults() -> None:
    """Sets SPARK_CONF_DIR to the checkout's, if this process starts the JVM itself and nothing provides defaults."""
    starts_jvm = SparkContext._gateway is None and "PYSPARK_GATEWAY_PORT" not in os.environ
    if starts_jvm and not _conf_folders() and (_CONF / _DEFAULTS).is_file():
        os.environ["SPARK_CONF_DIR"] = str(_CONF)


def _conf_folders() -> list[Path]:
    """The folder that Spark reads its defaults from, if it exists; `spark-submit` sets SPARK_CONF_DIR even if there is none."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (f"{home}/conf" if home else None)
    return [Path(folder)] if folder and Path(folder).is_dir() else []


def _warn_of_small_heap(spark: SparkSession, wanted: str) -> None:
    heap = spark._jvm.java.lang.Runtime.getRuntime().maxMemory()
    log.warning(
        "Spark was started without %s and has %.1f GiB of memory instead of %s, too little for a large catalogue: run `export SPARK_CONF_DIR=%s` first",
        _CONF / _DEFAULTS,
        heap / (1 << 30),
        wanted,
        _CONF,
    )


def _refuse_connect(remote: str | None, mode: str | None = None) -> None:
    """A session of Spark Connect has no JVM and no context, which the checks, the monitor and the number of partitions need."""
    if remote or mode == "connect":
        raise MachineError(
            f"this is Spark Connect ({remote or 'spark.api.mode = connect'}), which xlclass cannot run on: "
            "submit the job to a master (spark-submit --master), without --remote and SPARK_REMOTE"
        )


def _check_java(spark: SparkSession) -> None:
    version = spark._jvm.java.lang.System.getProperty("java.version")
    if int(re.split(r"[.+-]", version.removeprefix("1."))[0]) < MIN_JAVA:
        raise MachineError(f"Java {version} is too old: install Java {MIN_JAVA} (Debian: apt-get install openjdk-17-jre-headless) and set JAVA_HOME to it")


def _check_delta(spark: SparkSession) -> None:
    """Spark only warns of a missing extension, and fails late with a jar that was made for another Spark."""
    loader = spark._jvm.java.lang.Thread.currentThread().getContextClassLoader()
    if loader.getResource(_DELTA_EXTENSION.replace(".", "/") + ".class") is None:
        raise MachineError("Delta's jar is not on Spark's class path: run `xlclass setup`, or give spark-submit --jars")
    jar = spark._jvm.java.lang.Class.forName(_DELTA_EXTENSION, False, loader).getProtectionDomain().getCodeSource().getLocation().getPath()
    made_for = re.search(r"delta-spark_(\d+\.\d+)_", jar)
    minor = ".".join(pyspark.__version__.split(".")[:2])
    if made_for and made_for.group(1) != minor:
        raise MachineError(f"{jar} was made for Spark {made_for.group(1)}, this is Spark {pyspark.__version__}: run `xlclass setup` in this environment")
