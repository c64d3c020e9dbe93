"""Checks that a contender wrote every row once, with the vectors that the bare loop computed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MIN_COSINE = 0.99  # float16 and another composition of batches cost about 1e-6, bfloat16 about 1e-3
_COMPARED = 200


def disagreement(bare: Path, out: Path, texts: Path) -> str:
    """A sentence about the first difference in the rows under `out`; empty if they agree."""
    expected = pq.read_table(texts, columns=["video_id"])["video_id"].to_pylist()
    files = [file for file in sorted(out.rglob("*.parquet")) if "_delta_log" not in file.parts]
    written = {name: vector for file in files for name, vector in _rows(file)}
    num_rows = sum(pq.read_metadata(file).num_rows for file in files)
    if set(written) != set(expected) or num_rows != len(expected):
        return f"wrote {num_rows:,} rows of {len(written):,} videos, expected one row of each of {len(expected):,}"
    truth = np.load(bare / "vectors.npz", allow_pickle=True)
    shared = [(vector, written[name]) for name, vector in zip(truth["video_id"], truth["vector"], strict=True) if name in written][:_COMPARED]
    true, actual = (np.stack(vectors).astype(np.float64) for vectors in zip(*shared, strict=True))
    lowest_cosine = ((true * actual).sum(axis=1) / np.linalg.norm(true, axis=1) / np.linalg.norm(actual, axis=1)).min()
    return "" if lowest_cosine >= MIN_COSINE else f"a vector has a cosine of {lowest_cosine:.4f} to the bare loop's"


def _rows(file: Path) -> list[tuple[str, np.ndarray]]:
    """Identifier and vector of each row; the file holds vectors as packed float16 or as lists."""
    table = pq.ParquetFile(file).read(columns=["video_id", "vector"])
    column = table["vector"].combine_chunks()
    if pa.types.is_binary(column.type):
        vectors = [np.frombuffer(packed, "<f2") for packed in column.to_pylist()]
    else:
        storage = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
        vectors = storage.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
    return list(zip(table["video_id"].to_pylist(), vectors, strict=True))
