"""The bare loop: two processes with one TensorFlow thread and half of the texts each, in batches, in the order of the file."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import passes
import pyarrow.parquet as pq
import vectors


def encoding(job):
    """Starts two processes, which load the model during the warm-up; writing the vectors is not timed."""
    pool = multiprocessing.get_context("spawn").Pool(2)
    barrier = multiprocessing.get_context("spawn").Manager().Barrier(2)

    def encode(file: str, batch: int, out: str) -> float:
        table = pq.read_table(file, columns=["video_id", "text"])
        texts = table["text"].to_pylist()
        halves = [texts[: len(texts) // 2], texts[len(texts) // 2 :]]
        results = pool.starmap(_encode_half, [(half, job["encoder"], batch, barrier) for half in halves], chunksize=1)
        Path(out).mkdir(parents=True)
        np.savez(Path(out) / "vectors.npz", video_id=table["video_id"].to_numpy(), vector=np.concatenate([encoded for _, _, encoded in results]))
        return max(end for _, end, _ in results) - min(start for start, _, _ in results)

    return encode


def _encode_half(texts: list[str], folder: str, batch: int, barrier) -> tuple[float, float, np.ndarray]:
    """Start, end (both on the machine's monotonic clock) and vectors of this half; both halves start at the same time."""
    model = vectors.load_once(folder)
    barrier.wait(300)
    start = time.monotonic()
    encoded = vectors.encode(model, texts, batch)
    return start, time.monotonic(), encoded


if __name__ == "__main__":
    passes.run(encoding)
