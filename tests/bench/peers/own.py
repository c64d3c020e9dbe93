"""xlclass: the backfill's own step, from the texts to the committed table `embeddings` (Delta, float16 bytes)."""

import dataclasses
import time

import passes

from xlclass.config import EncoderSettings, Settings, load_settings
from xlclass.encoders import resolve_encoder
from xlclass.lake.session import open_session
from xlclass.lake.tables import Lake
from xlclass.pipeline import encode_videos
from xlclass.schemas import EMBEDDINGS


def encoding(job):
    """The session and the encoder: in float32 as the peers have it, or with every default as it is."""
    settings = load_settings(job["conf"])
    settings = settings if job["defaults"] else in_float32(settings)
    spec, spark = resolve_encoder(settings), open_session("peers")

    def encode(file: str, batch: int, out: str) -> float:
        lake = Lake(spark, out)
        lake.ensure(EMBEDDINGS)
        start = time.monotonic()
        lake.append(EMBEDDINGS, encode_videos(spark.read.parquet(file), spec, settings.encoder, job["partitions"], 1))
        return time.monotonic() - start

    return encode


def in_float32(settings: Settings) -> Settings:
    """The settings without reduced precision, where this version of xlclass knows of any."""
    if "precision" not in {field.name for field in dataclasses.fields(EncoderSettings)}:
        return settings
    return dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, precision="float32"))


if __name__ == "__main__":
    passes.run(encoding)
