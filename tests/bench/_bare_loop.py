"""The bare loop: two processes of one TensorFlow thread that only encode, at their best batch size."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence

from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import limit_threads


class Loop:
    """Two processes that hold the encoder, and the best of the given batch sizes."""

    def __init__(self, spec: EncoderSpec, texts: list[str], batches: Sequence[int]) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(2, _load, [spec])
        sample = texts[:8_192]
        self.seconds(sample[:1_000], 64)  # the warm-up
        self.batch = batches[0] if len(batches) == 1 else min(batches, key=lambda size: self.seconds(sample, size))

    def seconds(self, texts: list[str], batch: int | None = None) -> float:
        """Seconds to encode the texts, half of them in each process."""
        start = time.monotonic()
        self._pool.starmap(_encode, [(texts[0::2], batch or self.batch), (texts[1::2], batch or self.batch)], chunksize=1)
        return time.monotonic() - start


def _load(spec: EncoderSpec) -> None:
    limit_threads(1)
    globals()["ENCODER"] = load_encoder(spec)


def _encode(texts: list[str], batch: int) -> int:
    return sum(len(globals()["ENCODER"].encode(texts[i : i + batch])) for i in range(0, len(texts), batch))
