"""Encoder from a pair of SavedModels, as BERT and XLM-R are published on TF-Hub and Kaggle: a preprocessor and an encoder.

The preprocessor maps string [n] to a dict of int32 [n, length]: `input_word_ids`, `input_mask` and, with most models, `input_type_ids`.
The encoder maps that dict to a dict with `sequence_output`, float32 [n, length, dim], one vector per token
(https://www.tensorflow.org/hub/common_saved_model_apis/text#transformer-encoders).

Both become one SavedModel, string [n] -> float32 [n, dim], in the encoder cache. Everything downstream treats it as any other.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlclass.encoders.built import built_model
from xlclass.encoders.contract import EncoderSpec, folder_digest
from xlclass.encoders.saved_model import loaded_model, model_folder, saved_model_encoder
from xlclass.errors import EncoderError

if TYPE_CHECKING:
    import tensorflow as tf

RECIPE = "bert/1"  # raise it when the vectors of a pair change


def bert_encoder(preprocessor: str, encoder: str, pooling: str, cache: Path, languages: Sequence[str] = (), build: bool = True) -> EncoderSpec:
    """The specification of the pair of SavedModels at `preprocessor` and `encoder`, composed in `cache` unless that is done.

    Each is a local folder, or a TF-Hub handle or URL, which is downloaded once. `pooling` makes one vector of those of a text's tokens:
    "mean" averages all tokens, the special ones included and the padding not; "cls" takes the first. Call this on the driver only.

    Raises:
        EncoderError: there is no such SavedModel, the two do not fit, or the composed model is damaged, or is missing and `build` is false.
    """
    folders = model_folder(preprocessor, "encoder.preprocessor"), model_folder(encoder, "encoder.model")
    encoder_id = hashlib.sha256("\0".join([RECIPE, *map(folder_digest, folders), pooling]).encode()).hexdigest()
    path, _ = built_model(cache / f"bert-{encoder_id[:16]}", lambda model: _save(*folders, pooling, model), build)
    return dataclasses.replace(saved_model_encoder(path, languages), encoder_id=encoder_id)


def _save(preprocessor_folder: Path, encoder_folder: Path, pooling: str, model: str) -> None:
    """Composes the pair, checks it on two texts, and writes it to the folder `model`."""
    preprocessor, encoder = loaded_model(preprocessor_folder, "encoder.preprocessor"), loaded_model(encoder_folder, "encoder.model")
    import tensorflow as tf

    inputs = _checked_inputs(preprocessor, preprocessor_folder)
    _check_encoder(encoder, encoder_folder, inputs, preprocessor_folder)

    class Pair(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.preprocessor, self.encoder = preprocessor, encoder

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            inputs = _without_padding(self.preprocessor(texts))
            return _pooled(self.encoder(inputs)["sequence_output"], inputs["input_mask"], pooling)

    tf.saved_model.save(Pair(), model)


def _checked_inputs(preprocessor: Any, folder: Path) -> dict[str, tf.Tensor]:
    """What the preprocessor makes of two texts, without the common padding."""
    contract = "a preprocessor maps string [n] to input_word_ids and input_mask, int32 [n, length]"
    try:
        inputs = preprocessor(np.array([b"one", b"two words"], object))
    except Exception as error:  # any failure of a foreign graph means that it breaks the contract
        raise EncoderError(f"encoder.preprocessor: the SavedModel in {folder} fails on two texts ({type(error).__name__}); {contract}") from error
    fits = isinstance(inputs, dict) and {"input_word_ids", "input_mask"} <= set(inputs)
    if not fits or any(value.shape.rank != 2 or len(value) != 2 or value.dtype != "int32" for value in inputs.values()):
        raise EncoderError(f"encoder.preprocessor: the SavedModel in {folder} returns {_described(inputs)} for two texts; {contract}")
    return _without_padding(inputs)


def _check_encoder(encoder: Any, folder: Path, inputs: dict[str, tf.Tensor], preprocessor_folder: Path) -> None:
    """Calls the encoder with the preprocessor's `inputs`."""
    given = f"what {preprocessor_folder} returns, {_described(inputs)}"
    try:
        outputs = encoder(inputs)
    except Exception as error:
        raise EncoderError(f"encoder.model: the SavedModel in {folder} cannot encode {given} ({type(error).__name__}); use a published pair") from error
    tokens = outputs.get("sequence_output") if isinstance(outputs, dict) else None
    if tokens is None or tokens.dtype != "float32" or tokens.shape.rank != 3 or tokens.shape[:2] != inputs["input_mask"].shape:
        contract = "an encoder with a preprocessor returns sequence_output, float32 [n, length, dim]"
        raise EncoderError(f"encoder.model: the SavedModel in {folder} returns {_described(outputs)} for {given}; {contract}")


def _described(outputs: Any) -> str:
    """The names, types and shapes of outputs, for a message: input_mask int32 [2, 4], and so on."""
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    texts = [
        f"{name} {value.dtype.name} {value.shape}" if hasattr(value, "shape") else f"{name} {type(value).__name__}" for name, value in sorted(named.items())
    ]
    return ", ".join(texts).strip() or "nothing"


def _without_padding(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The inputs up to the last position that any text uses: the published preprocessors pad each text to 128 tokens."""
    import tensorflow as tf

    is_used = tf.reduce_any(inputs["input_mask"] > 0, axis=0)
    width = tf.reduce_max(tf.where(is_used, tf.range(1, tf.size(is_used) + 1), 1))
    return {name: value[:, :width] for name, value in inputs.items()}


def _pooled(tokens: tf.Tensor, mask: tf.Tensor, pooling: str) -> tf.Tensor:
    """One vector per text, `(n, dim) float32`, from those of its tokens, `(n, length, dim)`; `mask` is 0 for padding."""
    import tensorflow as tf

    if pooling == "cls":
        return tokens[:, 0]
    weights = tf.cast(mask > 0, tf.float32)
    return tf.einsum("nld,nl->nd", tokens, weights) / tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1)
