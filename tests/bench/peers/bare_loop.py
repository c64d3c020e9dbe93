"""The bare loop: two processes of one TensorFlow thread each, half of the texts each, plain batches in the given order."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import passes
import pyarrow.parquet as pq
import vectors


def encoding(job):
    """Two waiting processes, whose models are loaded by the warm-up; the vectors are kept out of the clock."""
    pool = multiprocessing.get_context("spawn").Pool(2)
    together = multiprocessing.get_context("spawn").Manager().Barrier(2)

    def encode(file: str, batch: int, out: str) -> float:
        table = pq.read_table(file, columns=["video_id", "text"])
        texts = table["text"].to_pylist()
        halves = [texts[: len(texts) // 2], texts[len(texts) // 2 :]]
        done = pool.starmap(_half, [(half, job["encoder"], batch, together) for half in halves], chunksize=1)
        Path(out).mkdir(parents=True)
        np.savez(Path(out) / "vectors.npz", video_id=table["video_id"].to_numpy(), vector=np.concatenate([found for _, _, found in done]))
        return max(end for _, end, _ in done) - min(start for start, _, _ in done)

    return encode


def _half(texts: list[str], folder: str, batch: int, together) -> tuple[float, float, np.ndarray]:
    """When this half started and ended (the clock is the machine's), and its vectors; both halves start together."""
    model = vectors.load_once(folder)
    together.wait(300)
    start = time.monotonic()
    found = vectors.encode(model, texts, batch)
    return start, time.monotonic(), found


if __name__ == "__main__":
    passes.run(encoding)
