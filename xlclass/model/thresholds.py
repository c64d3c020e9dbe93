"""From confidences to categories."""

from __future__ import annotations

import numpy as np


def passing(confidences: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Which categories each video gets, `(n, num_categories) bool`: those at or above their threshold, at least the top one.

    Ties for the top go to the lower category index.

    >>> passing(np.array([[0.2, 0.1], [0.5, 0.5]]), np.array([0.5, 0.5])).tolist()
    [[True, False], [True, True]]
    """
    passed = confidences >= thresholds
    passed[np.arange(len(confidences)), confidences.argmax(axis=1)] = True
    return passed
