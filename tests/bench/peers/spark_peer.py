"""For the peers that run on Spark: a session with the options of xlclass's own, and the time to encode and write a column."""

import time

from pyspark.sql import Column, SparkSession


def session(arrow_records: int) -> SparkSession:
    """A session with two cores (set by the environment), Arrow batches of at most `arrow_records` rows and no UI."""
    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(arrow_records),
    }
    builder = SparkSession.builder.appName("peers")
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def seconds_to_write(spark: SparkSession, texts: str, partitions: int, vector: Column, out: str) -> float:
    """Seconds to read `texts`, encode them in `partitions` tasks by the expression `vector`, and write the vectors as Parquet."""
    start = time.monotonic()
    spark.read.parquet(texts).repartition(partitions).select("video_id", vector.alias("vector")).write.parquet(out)
    return time.monotonic() - start
