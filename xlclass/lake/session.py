"""A Spark session fit for the jobs: Delta on, the workers on the driver's Python, and what does not fit said before any work."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pyspark
from pyspark import SparkConf, SparkContext, inheritable_thread_target
from pyspark.sql import SparkSession

from xlclass import __version__
from xlclass.errors import MachineError
from xlclass.runtime.requirements import MIN_JAVA

_T = TypeVar("_T")
_DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
_ALWAYS = {
    "spark.sql.extensions": _DELTA_EXTENSION,
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
}
_UNLESS_SET = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "4096",  # texts that are sorted by length together
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.codegen.cache.maxEntries": "1000",  # a backfill generates more than the 100 classes that are kept: each run in a session compiled them anew
    "spark.python.sql.dataFrameDebugging.enabled": "false",  # looks up the line of Python for every column that is named: a second of a small run
    "spark.databricks.delta.snapshotPartitions": "8",  # tasks that read a table's log, several times a commit: of the 50 by default most are empty
}
_LOCAL_UNLESS_SET = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",  # a machine without a network has no other name
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.files.openCostInBytes": str(1 << 20),  # of a local disk; with a distant one's 4 MiB many small files fill one task and leave the next idle
    "spark.databricks.delta.snapshotPartitions": "1",  # with 50 a commit takes 2 s more on two cores
    "spark.ui.enabled": "false",
}


def open_session(name: str) -> SparkSession:
    """The session that `spark-submit` prepared, or a local one, checked.

    Raises:
        MachineError: Java, Delta's jar or the workers' Python is missing or does not fit, or this is Spark Connect.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else local workers take the first python3 of the PATH
    _refuse_connect(os.environ.get("SPARK_REMOTE"))
    SparkContext._ensure_initialized()
    found = SparkConf()
    _refuse_connect(found.get("spark.remote"), found.get("spark.api.mode"))
    local = (found.get("spark.master") or "local").startswith("local")
    builder = SparkSession.builder.appName(f"xlclass {name}")
    for key, value in _ALWAYS.items():
        builder = builder.config(key, value)
    for key, value in {**_UNLESS_SET, **(_LOCAL_UNLESS_SET if local else {})}.items():
        if not found.contains(key):
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel(found.get("spark.log.level") or "ERROR")
    _check_java(spark)
    _check_delta(spark)
    _check_workers(spark)
    return spark


@contextmanager
def in_background(spark: SparkSession, work: Callable[..., _T], *given: object) -> Iterator[Future[_T]]:
    """While the block runs `work` does, in a thread of its own: half of a small job is Spark's own latency, on one core.

    The block's end waits for it, and its result is the future's; an error of `work` comes where the result is asked for.
    """
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(inheritable_thread_target(spark)(work), *given)


def _refuse_connect(remote: str | None, mode: str | None = None) -> None:
    """Its sessions have no JVM and no context, on which checks, monitor and the number of partitions stand."""
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
    """Spark only warns of a missing extension, and fails late with a jar of another Spark."""
    loader = spark._jvm.java.lang.Thread.currentThread().getContextClassLoader()
    if loader.getResource(_DELTA_EXTENSION.replace(".", "/") + ".class") is None:
        raise MachineError("Delta's jar is not on Spark's class path: run `xlclass setup`, or give spark-submit --jars")
    place = spark._jvm.java.lang.Class.forName(_DELTA_EXTENSION, False, loader).getProtectionDomain().getCodeSource().getLocation().getPath()
    made_for = re.search(r"delta-spark_(\d+\.\d+)_", place)
    minor = ".".join(pyspark.__version__.split(".")[:2])
    if made_for and made_for.group(1) != minor:
        raise MachineError(f"{place} was made for Spark {made_for.group(1)}, this is Spark {pyspark.__version__}: run `xlclass setup` in this environment")


def _check_workers(spark: SparkSession) -> None:
    """Runs one task: the workers' Python and xlclass must be the driver's."""

    def whoami(_: int) -> tuple[str, str]:
        import importlib.metadata

        try:
            package = importlib.metadata.version("xlclass")
        except importlib.metadata.PackageNotFoundError:
            import xlclass

            package = xlclass.__version__
        return ".".join(map(str, sys.version_info[:2])), package

    python, package = spark.sparkContext.parallelize([0], 1).map(whoami).first()
    own = ".".join(map(str, sys.version_info[:2]))
    if (python, package) != (own, __version__):
        workers, driver = f"Python {python} with xlclass {package}", f"Python {own} with xlclass {__version__}"
        raise MachineError(f"the workers run {workers}, the driver {driver}: set PYSPARK_PYTHON to the same environment on all")
