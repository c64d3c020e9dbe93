"""The network of MUSE v3 (CNN) as a TensorFlow graph: string [n] -> float32 [n, 512], its tokeniser inside.

The network is that of Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval", section 2, CNN; an
n-gram window that reaches outside its text sees zeros.

What depends on one token alone is computed once for each distinct token of a batch: its row of the table, the linear layer
with its norm, and its products with the kernels of the first convolutions, which a position then only adds up. Of the tokens of 256
texts of a catalogue a quarter are distinct, of 4,096 a twelfth, so that nearly half of the arithmetic falls away; the
vectors stay the same to 1e-6. What depends on a token's neighbours is computed for slices of whole texts, with nothing padded:
memory grows with the distinct tokens of a batch, some 20 KiB each, and hardly with its texts.

In bfloat16 the products over tokens (the linear layer and the convolutions, nearly all of the arithmetic) take bfloat16 and
everything else stays float32. Why in the graph and not by TensorFlow's option `auto_mixed_precision_onednn_bfloat16`: the
option holds for a whole process, has to be set again in every worker, and rounds the norms and the pooling too; on 2,000
texts it was as fast, with a lowest cosine to float32 of 0.995 (November 2026, AMD EPYC with avx512_bf16).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

GRAPH = 2  # raise when the graph changes, whether its numbers do or not
DIM = 512
_BLOCKS = 17  # row i of the vocabulary lies in block i mod 17
_BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-gram order, tokens of left context
_WIDTH = 256  # of a branch
_FEATURES = DIM + len(_BRANCHES) * _WIDTH  # of a token: its row and the three branches
_SLICE_TOKENS = 1_024  # what its windows take then stays in the processor's cache; 512 to 4,096 are as fast to 3 %
_BOS, _EOS, _UNK = 1, 2, 0

Weights = dict[str, Any]


class _Distinct(NamedTuple):
    """What depends on a token alone, for each of the `u` distinct tokens of a batch."""

    rows: tf.Tensor  # (u, 512)
    sums: tf.Tensor  # (u,) of a row, for the norm over all features
    squares: tf.Tensor  # (u,) sum of a row's squares, likewise
    inputs: list[tf.Tensor]  # of each branch, (u + 1, 256); the last row is zeros, what is outside of a text
    products: list[tf.Tensor]  # of those with the kernels of a branch's first convolution, (order * (u + 1), 256), an order's rows together


def muse_graph(pieces: bytes, weights_file: Path, precision: str) -> Any:
    """A `tf.Module` of TF-Hub's contract: called with string [n], it gives float32 [n, 512] of L2 norm 1.

    `pieces` is the SentencePiece model, `weights_file` the package's weights; `precision` that of the products over tokens.
    """
    import tensorflow as tf
    import tensorflow_text as tf_text

    table, weights = _weights(weights_file)
    kernels = {name for name in weights if name == "proj" or name[:3] in {"w1_", "w2_"}}

    class Muse(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tf_text.SentencepieceTokenizer(pieces)
            self.tokenizer.strings = tf_text.SentencepieceTokenizer(pieces, out_type=tf.string)
            self.table = tf.Variable(table, trainable=False)
            kinds = {name: precision if name in kernels else "float32" for name in weights}
            self.w = {name: tf.Variable(tf.cast(weights[name], kind), trainable=False) for name, kind in kinds.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            tokens = _framed(texts, self.tokenizer)
            ids, index = tf.unique(tokens.flat_values)
            lengths = tf.cast(tokens.row_lengths(), tf.int32)
            return _projected(_summed(index, lengths, _of_distinct(ids, self.table, self.w), self.w), lengths, self.w)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self(text)}

    return Muse()


def _weights(file: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The quantised table, `(vocabulary, 512) uint8`, and all else by name as the graph takes it."""
    with np.load(file, allow_pickle=False) as stored:
        weights = {name: stored[name] for name in stored.files if name != "bits"}
    table = np.empty((_BLOCKS * len(weights["q1"]), DIM), np.uint8)
    for block in range(_BLOCKS):
        table[block::_BLOCKS] = weights.pop(f"q{block + 1}")
    orders = [order for order, _ in _BRANCHES]
    for name, found in (("proj", "proj"), ("proj_b", "proj_b"), ("token_g", "ln_g"), ("token_b", "ln_b")):
        weights[name] = np.concatenate([weights.pop(f"{found}{order}") for order in orders], axis=-1)
    for order in orders:  # (order * 256, 256) to (256, order * 256): the kernels of all places of the window side by side
        weights[f"w1_{order}"] = weights[f"w1_{order}"].reshape(order, _WIDTH, _WIDTH).transpose(1, 0, 2).reshape(_WIDTH, -1)
    return table, weights


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


def _of_distinct(ids: tf.Tensor, table: tf.Variable, w: Weights) -> _Distinct:
    """What depends on a token alone, for the distinct tokens `ids`, `(u,) int32`."""
    import tensorflow as tf

    rows = _token_rows(ids, table, w)
    joined = _layer_norm(_product(rows, w["proj"]) + w["proj_b"], w["token_g"], w["token_b"], w["eps"])
    inputs = tf.split(tf.pad(joined, [[0, 1], [0, 0]]), len(_BRANCHES), axis=1)
    products = [tf.reshape(_product(x, w[f"w1_{order}"]), [-1, _WIDTH]) for (order, _), x in zip(_BRANCHES, inputs, strict=True)]
    return _Distinct(rows, tf.reduce_sum(rows, axis=1), tf.reduce_sum(rows * rows, axis=1), inputs, products)


def _token_rows(ids: tf.Tensor, table: tf.Variable, w: Weights) -> tf.Tensor:
    """Rows of the quantised table as numbers, `(len(ids), 512) float32` = q * scale[block] + lo[block]."""
    import tensorflow as tf

    block = ids % _BLOCKS
    return tf.cast(tf.gather(table, ids), tf.float32) * tf.gather(w["scale"], block)[:, None] + tf.gather(w["lo"], block)[:, None]


def _summed(index: tf.Tensor, lengths: tf.Tensor, distinct: _Distinct, w: Weights) -> tf.Tensor:
    """For each text the sum of its tokens' features, normed but neither scaled nor shifted, `(n, 1280) float32`.

    `index`, `(num_tokens,) int32`, is each token's place among the distinct ones, text after text; `lengths`, `(n,) int32`, are the texts'.
    """
    import tensorflow as tf

    ends = tf.cumsum(lengths)
    _, _, num_texts = tf.unique_with_counts(ends // _SLICE_TOKENS)  # a slice is the texts that end between two multiples
    texts = tf.concat([[0], tf.cumsum(num_texts)], axis=0)
    tokens = tf.concat([[0], tf.gather(ends, texts[1:] - 1)], axis=0)
    num_slices = tf.size(num_texts)
    found = tf.TensorArray(tf.float32, size=num_slices, element_shape=[None, _FEATURES], infer_shape=False)

    def add(i: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        part = _of_slice(index[tokens[i] : tokens[i + 1]], lengths[texts[i] : texts[i + 1]], distinct, w)
        return i + 1, found.write(i, part)

    _, found = tf.while_loop(lambda i, _: i < num_slices, add, [0, found], parallel_iterations=1)
    return found.concat()


def _of_slice(index: tf.Tensor, lengths: tf.Tensor, distinct: _Distinct, w: Weights) -> tf.Tensor:
    """The same as `_summed` for the texts of one slice, its own `index` and `lengths` given.

    The norm is over all features of a token, which are never put side by side: their sum and the sum of their squares suffice, and the
    sum over a text's tokens of x / deviation is a product with a sparse matrix.
    """
    import tensorflow as tf

    of_token = tf.repeat(tf.range(tf.size(lengths)), lengths)
    branches = _branches(index, tf.cumsum(lengths), of_token, distinct, w)
    total = tf.gather(distinct.sums, index) + tf.add_n([tf.reduce_sum(x, axis=1) for x in branches])
    squares = tf.gather(distinct.squares, index) + tf.add_n([tf.reduce_sum(x * x, axis=1) for x in branches])
    mean = total / _FEATURES
    scale = tf.math.rsqrt(tf.maximum(squares / _FEATURES - mean * mean, 0) + w["eps"])

    def by_text(x: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        at = tf.cast(tf.stack([of_token, place], axis=1), tf.int64)
        return tf.sparse.sparse_dense_matmul(tf.SparseTensor(at, scale, tf.cast([tf.size(lengths), tf.shape(x)[0]], tf.int64)), x)

    position = tf.range(tf.size(index))
    return tf.concat([by_text(distinct.rows, index), *[by_text(x, position) for x in branches]], axis=1) - tf.math.segment_sum(scale * mean, of_token)[:, None]


def _branches(index: tf.Tensor, ends: tf.Tensor, of_token: tf.Tensor, distinct: _Distinct, w: Weights) -> list[tf.Tensor]:
    """The three n-gram branches, each `(num_tokens, 256) float32`: two residual convolutions with ReLU."""
    import tensorflow as tf

    num = tf.size(index)
    position = tf.range(num)
    start, end = tf.gather(tf.concat([[0], ends], axis=0), of_token)[:, None], tf.gather(ends, of_token)[:, None]
    padded_index = tf.concat([index, [tf.shape(distinct.rows)[0]]], axis=0)  # behind the last token lies the row of zeros
    outputs = []
    for (order, left), inputs, products in zip(_BRANCHES, distinct.inputs, distinct.products, strict=True):
        place = tf.range(order)[None, :]
        window = position[:, None] + place - left
        window = tf.where((window >= start) & (window < end), window, num)
        rows = tf.gather(padded_index, window) * order + place
        first = tf.sparse.segment_sum(products, tf.reshape(rows, [-1]), tf.repeat(position, order))
        x = tf.gather(inputs, index) + tf.nn.relu(first + w[f"b1_{order}"])
        kernel = w[f"w2_{order}"]
        padded = tf.cast(tf.pad(x, [[0, 1], [0, 0]]), kernel.dtype)  # cast before the windows copy each row
        second = _product(tf.reshape(tf.gather(padded, window), [-1, order * _WIDTH]), kernel)
        outputs.append(x + tf.nn.relu(second + w[f"b2_{order}"]))
    return outputs


def _product(x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
    """`x` times `kernel` in the kernel's precision, as float32."""
    import tensorflow as tf

    return tf.cast(tf.matmul(tf.cast(x, kernel.dtype), kernel), tf.float32)


def _projected(total: tf.Tensor, lengths: tf.Tensor, w: Weights) -> tf.Tensor:
    """One vector per text, `(n, 512) float32`, L2 norm 1, from `_summed`: the norm's scale and shift, projection, residual network, tanh."""
    import tensorflow as tf

    length = tf.cast(lengths, tf.float32)[:, None]
    features = total * w["ln_g"] + length * w["ln_b"]
    x = (tf.matmul(features, w["cnn_W"]) + length * w["cnn_b"]) * tf.math.rsqrt(length)
    y = tf.nn.relu(tf.matmul(x, w["p1"]) + tf.matmul(tf.nn.relu(tf.matmul(x, w["d0"])), w["d1"]))
    z = tf.tanh(tf.matmul(y, w["p3"]) + tf.matmul(tf.nn.relu(tf.matmul(y, w["d2"])), w["d3"]))
    return z * tf.math.rsqrt(tf.maximum(tf.reduce_sum(z * z, axis=1, keepdims=True), w["eps"]))


def _layer_norm(x: tf.Tensor, gain: tf.Variable, bias: tf.Variable, eps: tf.Variable) -> tf.Tensor:
    """Rows of `x` with mean 0 and variance 1, scaled and shifted (Ba et al. 2016, "Layer Normalization", eq. 4)."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + eps) * gain + bias
