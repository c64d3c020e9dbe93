"""Whether a contender wrote what the bare loop computed: every row once, and the same vectors."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MIN_COSINE = 0.99  # float16 and the batches' composition move it by 1e-6, bfloat16 by some 1e-3
_COMPARED = 200


def disagreement(bare: Path, out: Path, texts: Path) -> str:
    """A sentence that says what is wrong with the rows under `out`, empty when nothing is."""
    expected = pq.read_table(texts, columns=["video_id"])["video_id"].to_pylist()
    files = [file for file in sorted(out.rglob("*.parquet")) if "_delta_log" not in file.parts]
    written = {name: vector for file in files for name, vector in _rows(file)}
    num_rows = sum(pq.read_metadata(file).num_rows for file in files)
    if set(written) != set(expected) or num_rows != len(expected):
        return f"wrote {num_rows:,} rows of {len(written):,} videos, {len(expected):,} were given"
    truth = np.load(bare / "vectors.npz", allow_pickle=True)
    shared = [(true, written[name]) for name, true in zip(truth["video_id"], truth["vector"], strict=True) if name in written][:_COMPARED]
    ours, others = (np.stack(side).astype(np.float64) for side in zip(*shared, strict=True))
    lowest = ((ours * others).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(others, axis=1)).min()
    return "" if lowest >= MIN_COSINE else f"cosine {lowest:.4f} to the bare loop's vectors"


def _rows(file: Path) -> list[tuple[str, np.ndarray]]:
    """Identifier and vector of each row, whether the vectors are packed float16 or lists."""
    table = pq.ParquetFile(file).read(columns=["video_id", "vector"])
    column = table["vector"].combine_chunks()
    if pa.types.is_binary(column.type):
        vectors = [np.frombuffer(packed, "<f2") for packed in column.to_pylist()]
    else:
        storage = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
        vectors = storage.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)
    return list(zip(table["video_id"].to_pylist(), vectors, strict=True))
