"""MLflow's `spark_udf` with a pyfunc model that wraps the SavedModel; it splits Spark's default Arrow batches into batches of the best size."""

import tempfile
from pathlib import Path

import mlflow
import passes
from pyspark.sql.types import ArrayType, FloatType
from spark_peer import seconds_to_write, session


def encoding(job):
    folder = Path(tempfile.mkdtemp(dir=job["scratch"])) / "model"
    code = Path(__file__).with_name("mlflow_model.py")
    mlflow.pyfunc.save_model(folder, python_model=str(code), artifacts={"encoder": job["encoder"]}, model_config={"batch": 0}, pip_requirements=[])
    spark, udfs = session(10_000), {}

    def encode(file: str, batch: int, out: str) -> float:
        if batch not in udfs:
            result_type, config = ArrayType(FloatType()), {"batch": batch}
            udfs[batch] = mlflow.pyfunc.spark_udf(spark, str(folder), result_type=result_type, env_manager="local", model_config=config)
        return seconds_to_write(spark, file, job["partitions"], udfs[batch]("text"), out)

    return encode


if __name__ == "__main__":
    passes.run(encoding)
