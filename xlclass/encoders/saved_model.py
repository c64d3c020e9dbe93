"""Encoder from any SavedModel of TF-Hub's contract (string [n] -> float32 [n, dim]), loaded once per process."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xlclass.encoders.contract import EncoderSpec, folder_digest
from xlclass.encoders.shipping import local_path
from xlclass.errors import EncoderError
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import


class SavedModelEncoder:
    """A loaded SavedModel; see `contract.Encoder`."""

    def __init__(self, model: Any, spec: EncoderSpec) -> None:
        self._model = model
        self.encoder_id, self.dim, self.languages = spec.encoder_id, spec.dim, spec.languages

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> np.ndarray:
        """Vectors, `(len(texts), dim) float32`; `languages` is ignored, because one model encodes all."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return np.asarray(self._model(np.array([text.encode("utf-8", "replace") for text in texts], object)))


def saved_model_encoder(handle: str, languages: Sequence[str] = ()) -> EncoderSpec:
    """The specification of the SavedModel at `handle`: a local folder, or a TF-Hub handle or URL.

    A handle is downloaded here, once, into the cache of `tensorflow_hub` (`TFHUB_CACHE_DIR`); call this on the driver only.

    Raises:
        EncoderError: there is no SavedModel, or it does not map string [n] to float32 [n, dim].
    """
    folder = _folder(handle)
    if not (folder / "saved_model.pb").is_file():
        raise EncoderError(f'encoder.model: there is no SavedModel in {folder} (no saved_model.pb); give its folder, a TF-Hub handle, or "embedded"')
    digest = folder_digest(folder)
    try:
        model = _load(str(folder))
    except Exception as error:  # a truncated or foreign file fails in many ways
        raise EncoderError(f"encoder.model: the SavedModel in {folder} cannot be loaded ({type(error).__name__}): is it complete? Copy it again") from error
    encoder_id = hashlib.sha256(f"saved_model\0{digest}".encode()).hexdigest()
    return EncoderSpec(str(folder), digest, encoder_id, _checked_dim(model, str(folder)), tuple(languages))


@functools.lru_cache(maxsize=2)
def load_encoder(spec: EncoderSpec) -> SavedModelEncoder:
    """The encoder of `spec`, loaded at the first call in this process and cached.

    Raises:
        EncoderError: the files at `spec.path` are missing or have another digest.
    """
    folder = local_path(spec.path)
    digest = folder_digest(folder) if folder.is_dir() else "no folder"
    if digest != spec.digest:
        raise EncoderError(
            f"the encoder at {folder} has digest {digest[:12]}, expected {spec.digest[:12]}: the files differ from the driver's, copy them again"
        )
    return SavedModelEncoder(_load(str(folder)), spec)


def _load(path: str) -> Any:
    with quiet_tensorflow_import():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  registers the operations of the tokeniser

    return tf.saved_model.load(path)


def _folder(handle: str) -> Path:
    path = Path(handle).expanduser()
    if path.exists() or "://" not in handle:
        return path
    import tensorflow_hub as hub

    try:
        return Path(hub.resolve(handle))
    except Exception as error:  # urllib, tar and the hub raise many types; the message names the cause
        raise EncoderError(f"encoder.model: cannot fetch {handle} ({type(error).__name__}: {error}); download it yourself and give the local folder") from error


def _checked_dim(model: Any, folder: str) -> int:
    """The number of dimensions of the vectors, after a call with two texts."""
    contract = "string [n] -> float32 [n, dim]"
    if not callable(model):
        raise EncoderError(f"encoder.model: the SavedModel in {folder} cannot be called; an encoder maps {contract}")
    try:
        vectors = np.asarray(model(np.array([b"one", b"two words"], object)))
    except Exception as error:  # any failure of a foreign graph means that it breaks the contract
        raise EncoderError(f"encoder.model: the SavedModel in {folder} does not map {contract} ({type(error).__name__})") from error
    if vectors.ndim != 2 or len(vectors) != 2 or vectors.dtype != np.float32:
        raise EncoderError(f"encoder.model: the SavedModel in {folder} returns {vectors.dtype} {list(vectors.shape)} for two texts; an encoder maps {contract}")
    return int(vectors.shape[1])
