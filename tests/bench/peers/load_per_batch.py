"""A series-to-series pandas UDF that loads the model for every Arrow batch: a common mistake in code that has not run on a cluster yet.

The job's `arrow_records` is the size of these batches: the model's best batch size, or Spark's default of 10,000 rows, which the UDF
then splits into batches of the best size.
"""

import pandas as pd
import passes
import vectors
from pyspark.sql import functions as F
from spark_peer import seconds_to_write, session


def encoding(job):
    spark = session(job["arrow_records"])

    def encode(file: str, batch: int, out: str) -> float:
        @F.pandas_udf("array<float>")
        def embed(texts: pd.Series) -> pd.Series:
            return pd.Series(list(vectors.encode(vectors.load(job["encoder"]), texts, batch)))

        return seconds_to_write(spark, file, job["partitions"], embed("text"), out)

    return encode


if __name__ == "__main__":
    passes.run(encoding)
