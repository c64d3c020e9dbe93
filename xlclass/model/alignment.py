"""The alignment: vectors of a second encoder taken into the space of the first, so that one head serves the languages of both.

    vector -> length 1 -> minus the mean of its language -> length 1 -> times a matrix, plus an offset -> length 1

The matrix is a ridge regression (Hoerl and Kennard 1970, Technometrics 12:55) from the second encoder's vectors of texts to the first
encoder's vectors of the same texts. No label is used. The texts are the catalogue's own: on real titles a matrix of news sentences alone
was worse than the first encoder.

Why the mean of each language goes first: the second encoder's vectors lie in a narrow cone, and a part of what is left tells the language.
The mean of a language with few texts is drawn towards the mean of all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlclass.schemas import unit, unpack_vectors

RECIPE = "ridge/1"  # raise it if the same texts would give another alignment
ALPHA = 3.0  # of the ridge; on the real catalogue the best of 0.1 to 30 for languages left out, 1 and 10 nearly as good
_MEAN_PRIOR = 20.0  # texts that the mean of all counts for in the mean of a language
_SHIPPED = Path(__file__).parent / "e5_to_muse.npz"


@dataclass(frozen=True)
class Alignment:
    """Takes vectors `(n, dim)` of one encoder into a space of `space_dim` numbers.

    `mean (dim,)` is that of all texts, `means` those of languages; `matrix (dim, space_dim)` and `offset (space_dim,)` follow. Without a
    matrix the vectors are only centred, and stay in their own space.
    """

    mean: np.ndarray
    means: Mapping[str, np.ndarray]
    matrix: np.ndarray | None = None
    offset: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """16 hex digits of the mean and the matrix."""
        parts = [self.mean] + ([] if self.matrix is None else [self.matrix, self.offset])
        return hashlib.sha256(b"".join(np.ascontiguousarray(part, "<f4").tobytes() for part in parts)).hexdigest()[:16]

    def apply(self, vectors: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """The vectors in the space, float32 of length 1, one per row of `vectors (n, dim)` and `languages (n,)`."""
        centred = self.centred(vectors, languages)
        return centred if self.matrix is None else unit(centred @ self.matrix + self.offset)

    def centred(self, vectors: np.ndarray, languages: np.ndarray) -> np.ndarray:
        """The vectors without the mean of their language, float32 of length 1."""
        rows = unit(vectors)
        for language in sorted(set(languages.tolist())):
            own = languages == language
            rows[own] -= self.means.get(language, self.mean)
        return unit(rows)


def fit_centring(vectors: np.ndarray, languages: np.ndarray, mean_of: Collection[str] | None = None) -> Alignment:
    """The means of `vectors (n, dim)` and of their `languages (n,)`; each language, or each of `mean_of`, counts once in the mean of all."""
    rows, codes = unit(vectors), sorted(set(languages.tolist()))
    sums = {code: rows[languages == code].sum(axis=0, dtype=np.float64) for code in codes}
    nums = {code: int((languages == code).sum()) for code in codes}
    mean = np.mean([sums[code] / nums[code] for code in codes if mean_of is None or code in mean_of], axis=0)
    means = {code: ((sums[code] + _MEAN_PRIOR * mean) / (nums[code] + _MEAN_PRIOR)).astype(np.float32) for code in codes}
    return Alignment(mean.astype(np.float32), means)


def fit_alignment(centring: Alignment, source: np.ndarray, target: np.ndarray, languages: np.ndarray, alpha: float = ALPHA) -> Alignment:
    """The alignment of `source (n, dim)` to `target (n, space_dim)`, both vectors of the same texts, in `languages (n,)`.

    >>> basis = np.eye(3, dtype=np.float32)
    >>> aligned = fit_alignment(Alignment(np.zeros(3, np.float32), {}), basis, basis[:, ::-1], np.array(["en"] * 3), alpha=1e-6)
    >>> aligned.apply(basis, np.array(["fr"] * 3)).round(2).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    x, y = centring.centred(source, languages).astype(np.float64), unit(target).astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    matrix = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
    return Alignment(centring.mean, centring.means, matrix.astype(np.float32), (y_mean - x_mean @ matrix).astype(np.float32))


@dataclass(frozen=True)
class Space:
    """The one space that a head sees, of `dim` numbers, and how vectors of each encoder get there: `dims` and `alignments` by encoder_id."""

    dim: int
    dims: Mapping[str, int]
    alignments: Mapping[str, Alignment]

    def of(self, encoder_ids: np.ndarray, languages: np.ndarray, unpack: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
        """The vectors in the space, `(n, dim) float32`; `unpack(rows, dim)` gives the raw vectors of these rows, `(len(rows), dim)`.

        Raises:
            ValueError: a row is of an encoder that is not in `dims`.
        """
        vectors = np.empty((len(encoder_ids), self.dim), np.float32)
        num_known = 0
        for encoder_id, dim in self.dims.items():
            rows = np.flatnonzero(encoder_ids == encoder_id)
            num_known += len(rows)
            if len(rows):
                raw, alignment = unpack(rows, dim), self.alignments.get(encoder_id)
                vectors[rows] = alignment.apply(raw, languages[rows]) if alignment else raw
        if num_known != len(encoder_ids):
            raise ValueError("a vector is of an encoder that the model version does not know")
        return vectors

    def unpacked(self, packed: Sequence[bytes], encoder_ids: Sequence[str], languages: Sequence[str]) -> np.ndarray:
        """The vectors of rows of `embeddings`, packed, in the space: `(n, dim) float32`."""
        codes = np.asarray(languages, object)
        return self.of(np.asarray(encoder_ids, object), codes, lambda rows, dim: unpack_vectors([packed[row] for row in rows], dim))


def save_alignments(file: Path, alignments: Mapping[str, Alignment]) -> None:
    """Writes the alignments, by encoder_id, to `file` (.npz, no pickle)."""
    arrays: dict[str, Any] = {}
    for encoder_id, alignment in alignments.items():
        codes = sorted(alignment.means)
        means = np.array([alignment.means[code] for code in codes], np.float32).reshape(len(codes), len(alignment.mean))
        arrays |= {f"{encoder_id}.mean": alignment.mean, f"{encoder_id}.codes": np.array(codes, "U"), f"{encoder_id}.means": means}
        if alignment.matrix is not None:
            arrays |= {f"{encoder_id}.matrix": alignment.matrix, f"{encoder_id}.offset": alignment.offset}
    np.savez(file, allow_pickle=False, **arrays)


def load_alignments(file: Path) -> dict[str, Alignment]:
    """What `save_alignments` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        names = sorted({key.rsplit(".", 1)[0] for key in arrays})
        return {name: _loaded(name, arrays) for name in names}


def _loaded(name: str, arrays: Any) -> Alignment:
    means = dict(zip(arrays[f"{name}.codes"].tolist(), arrays[f"{name}.means"], strict=True))
    has_matrix = f"{name}.matrix" in arrays
    matrix, offset = (arrays[f"{name}.{part}"].astype(np.float32) for part in ("matrix", "offset")) if has_matrix else (None, None)
    return Alignment(arrays[f"{name}.mean"].astype(np.float32), means, matrix, offset)


def shipped_alignment(encoder_id: str) -> Alignment | None:
    """The alignment that the package brings for this encoder, learnt from real titles (see `e5_to_muse.md`); null if it brings none."""
    return load_alignments(_SHIPPED).get(encoder_id) if _SHIPPED.is_file() else None
