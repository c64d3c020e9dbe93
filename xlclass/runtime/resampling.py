"""The bootstrap by channel: videos of one channel resemble each other, and so do a model's errors on them, so whole channels are resampled.

Efron, Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 12.
"""

from __future__ import annotations

import numpy as np

_BLOCK = 200  # resamples drawn at once


def sums_by_channel(channels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of the rows of each channel, `(num_channels, columns) float64`, from `values (n, columns)`.

    >>> sums_by_channel(np.array(["a", "b", "a"]), np.array([[1.0], [2.0], [3.0]])).tolist()
    [[4.0], [2.0]]
    """
    names, codes = np.unique(channels, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def resampled_sums(sums: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """Sums over resamples of the channels, `(num_resamples, columns)`; each draws as many channels as `sums` has rows, with replacement."""
    rng, num_channels = np.random.default_rng(seed), len(sums)
    blocks = []
    for start in range(0, num_resamples, _BLOCK):
        size = min(_BLOCK, num_resamples - start)
        drawn = rng.integers(num_channels, size=(size, num_channels)) + num_channels * np.arange(size)[:, None]
        blocks.append(np.bincount(drawn.ravel(), minlength=size * num_channels).reshape(size, num_channels) @ sums)
    return np.vstack(blocks)


def standard_errors(channels: np.ndarray, values: np.ndarray, num_resamples: int, seed: int) -> np.ndarray:
    """Standard errors of the column means of `values (n, columns)`, `(columns,)`; n at least 1."""
    sums = sums_by_channel(channels, np.column_stack([np.ones(len(values)), values]))
    resampled = resampled_sums(sums, num_resamples, seed)
    return (resampled[:, 1:] / resampled[:, :1]).std(axis=0)
