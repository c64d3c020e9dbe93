"""xlclass: the step of the backfill that encodes texts and commits them to the table `embeddings` (Delta, float16 bytes)."""

import dataclasses
import time

import passes
from pyspark.sql import functions as F

from xlclass.config import Settings, load_settings
from xlclass.encoders import resolve_encoders
from xlclass.lake.session import open_session
from xlclass.lake.tables import Lake
from xlclass.pipeline.transforms import encode_videos
from xlclass.schemas import EMBEDDINGS


def encoding(job):
    """Starts the session, with the encoder in the job's precision."""
    settings = with_precision(load_settings(job["conf"]), job["precision"])
    spec, spark = resolve_encoders(settings).main, open_session("peers")

    def encode(file: str, batch: int, out: str) -> float:
        lake = Lake(spark, out)
        lake.ensure(EMBEDDINGS)
        start = time.monotonic()
        videos = spark.read.parquet(file).withColumn("is_new", F.lit(True))
        lake.append(EMBEDDINGS, encode_videos(videos.withColumn("encoder_id", F.lit(spec.encoder_id)), spec, job["partitions"], 1))
        return time.monotonic() - start

    return encode


def with_precision(settings: Settings, precision: str) -> Settings:
    """The settings with this precision of the encoder; unchanged if it is ""."""
    return dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, precision=precision)) if precision else settings


if __name__ == "__main__":
    passes.run(encoding)
