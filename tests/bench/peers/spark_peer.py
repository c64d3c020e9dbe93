"""A Spark session for the peers that are Spark's, with what xlclass's own has; and a column encoded and written, timed."""

import time

from pyspark.sql import Column, SparkSession


def session(arrow_records: int) -> SparkSession:
    """Two cores (from the environment), Arrow batches of at most `arrow_records` rows, no UI."""
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
    """Seconds to read `texts`, spread them over `partitions` tasks, encode and write them as Parquet with `vector`."""
    start = time.monotonic()
    spark.read.parquet(texts).repartition(partitions).select("video_id", vector.alias("vector")).write.parquet(out)
    return time.monotonic() - start
