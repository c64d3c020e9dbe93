"""`pyspark.ml.functions.predict_batch_udf`: Spark's function to run a model on a column, with Spark's default Arrow batches."""

import passes
import vectors
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql.types import ArrayType, FloatType
from spark_peer import seconds_to_write, session


def encoding(job):
    spark, udfs = session(10_000), {}

    def encode(file: str, batch: int, out: str) -> float:
        if batch not in udfs:  # a new UDF would load the model again
            udfs[batch] = predict_batch_udf(lambda: _predict(job["encoder"]), return_type=ArrayType(FloatType()), batch_size=batch)
        return seconds_to_write(spark, file, job["partitions"], udfs[batch]("text"), out)

    return encode


def _predict(folder: str):
    model = vectors.load_once(folder)
    return lambda texts: vectors.encode(model, texts, len(texts))


if __name__ == "__main__":
    passes.run(encoding)
