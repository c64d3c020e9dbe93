"""Which categories the training videos nearest to a vector have: a second opinion beside the head's.

Why: in a language without labels the head is often sure where no training video is near. On the real catalogue the half of the
videos that neighbours rank highest holds three points more right ones than the half that the head ranks highest.
Why prototypes: all training vectors would cost a video more than the head does; 512 centres of them cost some 5 microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xlclass.schemas import unit

WIDTHS = (0.02, 0.03, 0.04, 0.05)  # of the kernel, in cosine, that training tries; 0.07 (Wu and others 2018) and more never won
_ROUNDS = 10  # of k-means
_VIDEOS = 4  # at least so many training videos a prototype, on average


@dataclass(frozen=True)
class Prototypes:
    """Centres of the training vectors, and what lies around them.

    `centres (m, dim) float32`, of length 1; `votes (m, num_categories + 1) float32`, how many training videos of a centre have each
    category, and in the last column how many there are; `width` of the kernel, in cosine.
    """

    centres: np.ndarray
    votes: np.ndarray
    width: float

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """The share of each category around `vectors (n, dim)`, `(n, num_categories) float32`, 0 to 1.

        The estimate of Nadaraya 1964 and Watson 1964 with the kernel exp(cosine / width).

        >>> around = Prototypes(np.eye(2, dtype=np.float32), np.array([[3, 1, 4], [0, 2, 2]], np.float32), 0.1)
        >>> around.shares(np.array([[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]])).round(3).tolist()
        [[0.75, 0.25], [0.0, 1.0], [0.5, 0.5]]
        """
        cosines = unit(vectors) @ self.centres.T
        votes = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / np.float32(self.width)) @ self.votes
        return votes[:, :-1] / votes[:, -1:]

    def save(self, file: Path) -> None:
        """Writes them to `file`, which ends in .npz; nothing in it is pickled."""
        np.savez(file, allow_pickle=False, centres=self.centres, votes=self.votes, width=np.float64(self.width))

    @classmethod
    def load(cls, file: Path) -> Prototypes:
        """The prototypes that were saved to `file`."""
        with np.load(file, allow_pickle=False) as kept:
            return cls(kept["centres"], kept["votes"], float(kept["width"]))


def fit_prototypes(vectors: np.ndarray, labels: np.ndarray, most: int, width: float, seed: int) -> Prototypes:
    """At most `most` prototypes of `vectors (n, dim)` and their `labels (n, num_categories)`, 0 or 1; n at least 1.

    Spherical k-means (Dhillon and Modha 2001, Machine Learning 42:143) from `most` of the vectors.
    """
    rows = unit(vectors)
    num = max(1, min(most, len(rows) // _VIDEOS))
    centres = rows[np.random.default_rng(seed).choice(len(rows), num, replace=False)]
    for _ in range(_ROUNDS):
        sums = _summed(rows, (rows @ centres.T).argmax(axis=1), num)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    votes = _summed(np.hstack([labels, np.ones((len(labels), 1))]), (rows @ centres.T).argmax(axis=1), num)
    is_used = votes[:, -1] > 0
    return Prototypes(centres[is_used], votes[is_used].astype(np.float32), width)


def shares_around(prototypes: Prototypes | None, vectors: np.ndarray) -> np.ndarray | None:
    """`Prototypes.shares`, where neighbours have a say."""
    return prototypes.shares(vectors) if prototypes else None


def _summed(rows: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    sums = np.zeros((num_groups, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums
