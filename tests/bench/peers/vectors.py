"""The SavedModel in a peer's process: how it is loaded, and called in batches in the order of the texts."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np


def load(folder: str) -> Any:
    """The SavedModel in `folder`; every call loads it again."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  registers the tokeniser's operations

    return tf.saved_model.load(folder)


load_once = functools.cache(load)


def encode(model: Any, texts: Sequence[str], batch: int) -> np.ndarray:
    """Vectors, `(len(texts), 512) float32`."""
    raw = np.array([text.encode("utf-8", "replace") for text in texts], object)
    return np.concatenate([model(raw[i : i + batch]).numpy() for i in range(0, len(raw), batch)])
