"""Encoder from any SavedModel that maps string [n] to float32 [n, dim], loaded once per process.

TF-Hub's models are called themselves. Exports of Keras and modules of TF1 cannot be called; they have a signature with one input, and
return a dict. From a dict, the encoder takes `outputs`, else `default`, else the one output of the contract's shape.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xlclass.encoders.contract import EncoderSpec, folder_digest
from xlclass.encoders.shipping import local_path
from xlclass.errors import EncoderError
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

CONTRACT = "string [n] -> float32 [n, dim]"


class SavedModelEncoder:
    """A loaded SavedModel; see `contract.Encoder`."""

    def __init__(self, model: Any, spec: EncoderSpec) -> None:
        self._vectors = _text_function(model)
        self.encoder_id, self.dim, self.languages = spec.encoder_id, spec.dim, spec.languages

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> np.ndarray:
        """Vectors, `(len(texts), dim) float32`; `languages` is ignored, because one model encodes all."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return np.asarray(self._vectors(np.array([text.encode("utf-8", "replace") for text in texts], object)))


def saved_model_encoder(handle: str, languages: Sequence[str] = ()) -> EncoderSpec:
    """The specification of the SavedModel at `handle`: a local folder, or a TF-Hub handle or URL.

    A handle is downloaded here, once, into the cache of `tensorflow_hub` (`TFHUB_CACHE_DIR`); call this on the driver only.

    Raises:
        EncoderError: there is no SavedModel, or it does not map string [n] to float32 [n, dim].
    """
    folder = model_folder(handle, "encoder.model")
    digest = folder_digest(folder)
    model = loaded_model(folder, "encoder.model")
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


def model_folder(handle: str, key: str) -> Path:
    """The local folder of the SavedModel at `handle`, the value of the setting `key`; a TF-Hub handle or URL is downloaded once.

    Raises:
        EncoderError: the download failed, or there is no SavedModel.
    """
    folder = Path(handle).expanduser()
    if "://" in handle and not folder.exists():
        import tensorflow_hub as hub

        try:
            folder = Path(hub.resolve(handle))
        except Exception as error:  # urllib, tar and the hub raise many types; the message names the cause
            raise EncoderError(f"{key}: cannot fetch {handle} ({type(error).__name__}: {error}); download it yourself and give the local folder") from error
    if not (folder / "saved_model.pb").is_file():
        allowed = 'its folder, a TF-Hub handle, or "embedded"' if key == "encoder.model" else "its folder or a TF-Hub handle"
        raise EncoderError(f"{key}: there is no SavedModel in {folder} (no saved_model.pb); give {allowed}")
    return folder


def loaded_model(folder: Path, key: str) -> Any:
    """The SavedModel in `folder`, which the setting `key` names.

    Raises:
        EncoderError: it cannot be loaded.
    """
    try:
        return _load(str(folder))
    except Exception as error:  # a truncated or foreign file fails in many ways
        raise EncoderError(f"{key}: the SavedModel in {folder} cannot be loaded ({type(error).__name__}): is it complete? Copy it again") from error


def _text_function(model: Any) -> Callable[[np.ndarray], Any]:
    """What maps texts to vectors in a loaded SavedModel: the model itself, or its signature with one input.

    Raises:
        TypeError: it has neither.
    """
    if callable(model):
        return lambda texts: _vectors_of(model(texts))
    import tensorflow as tf

    signatures = [model.signatures[name] for name in ("serving_default", "default") if name in model.signatures]
    inputs = list(signatures[0].structured_input_signature[1]) if signatures else []
    if len(inputs) != 1:
        raise TypeError("neither the model nor a signature can be called with texts")
    return lambda texts: _vectors_of(signatures[0](**{inputs[0]: tf.constant(texts)}))


def _vectors_of(outputs: Any) -> Any:
    """The vectors among the outputs of a model.

    Raises:
        TypeError: `outputs` is a dict without `outputs` and `default`, and not exactly one of its tensors is float32 with two axes.
    """
    if not isinstance(outputs, dict):
        return outputs
    fitting = [name for name, output in outputs.items() if output.shape.rank == 2 and output.dtype == "float32"]
    name = next((name for name in ("outputs", "default") if name in outputs), fitting[0] if len(fitting) == 1 else None)
    if name is None:
        raise TypeError(f"the outputs are {sorted(outputs)}")
    return outputs[name]


def _checked_dim(model: Any, folder: str) -> int:
    """The number of dimensions of the vectors, after a call with two texts."""
    try:
        vectors = np.asarray(_text_function(model)(np.array([b"one", b"two words"], object)))
    except Exception as error:  # any failure of a foreign graph means that it breaks the contract
        raise EncoderError(f"encoder.model: the SavedModel in {folder} does not map {CONTRACT} ({type(error).__name__})") from error
    if vectors.ndim != 2 or len(vectors) != 2 or vectors.dtype != np.float32:
        raise EncoderError(f"encoder.model: the SavedModel in {folder} returns {vectors.dtype} {list(vectors.shape)} for two texts; an encoder maps {CONTRACT}")
    return int(vectors.shape[1])
