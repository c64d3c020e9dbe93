"""The network of MUSE v3 (CNN) as a TensorFlow graph, tokeniser included: string [n] -> float32 [n, 512].

The network is the CNN of Yang et al. 2020, "Multilingual Universal Sentence Encoder for Semantic Retrieval", section 2. Positions
of an n-gram window outside the text are zeros.

Values that depend on one token alone are computed once per distinct token of a batch: its row of the table, the linear layer
with its norm, and the products with the kernels of the first convolutions, which each position then only adds. A quarter of the
tokens in 256 catalogue texts are distinct, and a twelfth of those in 4,096, so this saves nearly half of the arithmetic; the
vectors stay the same to 1e-6. Values that depend on a token's neighbours are computed for slices of whole texts, without padding:
memory grows with the distinct tokens of a batch, by some 20 KiB each, and hardly with its texts.

With precision bfloat16, the products over tokens (the linear layer and the convolutions, nearly all of the arithmetic) are
computed in bfloat16 and everything else in float32. Why in the graph and not by TensorFlow's option
`auto_mixed_precision_onednn_bfloat16`: the option applies to a whole process, must be set in every worker, and also rounds the
norms and the pooling. On 2,000 texts it was equally fast, with a lowest cosine to float32 of 0.995 (November 2026, AMD EPYC with
avx512_bf16).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

GRAPH = 2  # raise it when the graph changes, even if the vectors do not
DIM = 512
_BLOCKS = 17  # row i of the vocabulary is in block i mod 17
_BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-gram order, tokens of left context
_WIDTH = 256  # of a branch
_FEATURES = DIM + len(_BRANCHES) * _WIDTH  # of a token: its row and the three branches
_SLICE_TOKENS = 1_024  # the windows of a slice then fit into the processor's cache; 512 to 4,096 are equally fast to 3 %
_BOS, _EOS, _UNK = 1, 2, 0

Weights = dict[str, Any]


class _Distinct(NamedTuple):
    """The values that depend on a token alone, for each of the `u` distinct tokens of a batch."""

    rows: tf.Tensor  # (u, 512)
    sums: tf.Tensor  # (u,) sum of each row, for the norm over all features
    squares: tf.Tensor  # (u,) sum of squares of each row, for the same norm
    inputs: list[tf.Tensor]  # per branch, (u + 1, 256); the last row is zeros, for positions outside the text
    products: list[tf.Tensor]  # per branch, (order * (u + 1), 256): inputs times the first convolution's kernels, the `order` rows of a token together


def muse_graph(pieces: bytes, weights_file: Path, precision: str) -> Any:
    """A `tf.Module` of TF-Hub's contract: called with string [n], it returns float32 [n, 512] with L2 norm 1.

    `pieces` is the SentencePiece model, `weights_file` the package's file of weights, `precision` that of the products over tokens.
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
            dtypes = {name: precision if name in kernels else "float32" for name in weights}
            self.w = {name: tf.Variable(tf.cast(weights[name], dtype), trainable=False) for name, dtype in dtypes.items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            tokens = _tokenized(texts, self.tokenizer)
            ids, index = tf.unique(tokens.flat_values)
            lengths = tf.cast(tokens.row_lengths(), tf.int32)
            return _projected(_summed(index, lengths, _per_distinct_token(ids, self.table, self.w), self.w), lengths, self.w)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self(text)}

    return Muse()


def _weights(file: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The quantised table, `(vocabulary, 512) uint8`, and all other weights by the names and in the shapes of the graph."""
    with np.load(file, allow_pickle=False) as stored:
        weights = {name: stored[name] for name in stored.files if name != "bits"}
    table = np.empty((_BLOCKS * len(weights["q1"]), DIM), np.uint8)
    for block in range(_BLOCKS):
        table[block::_BLOCKS] = weights.pop(f"q{block + 1}")
    orders = [order for order, _ in _BRANCHES]
    for name, stored_name in (("proj", "proj"), ("proj_b", "proj_b"), ("token_g", "ln_g"), ("token_b", "ln_b")):
        weights[name] = np.concatenate([weights.pop(f"{stored_name}{order}") for order in orders], axis=-1)
    for order in orders:  # (order * 256, 256) to (256, order * 256): the kernels of all positions of the window side by side
        weights[f"w1_{order}"] = weights[f"w1_{order}"].reshape(order, _WIDTH, _WIDTH).transpose(1, 0, 2).reshape(_WIDTH, -1)
    return table, weights


def _tokenized(texts: tf.Tensor, tokenizer: Any) -> tf.RaggedTensor:
    """BOS + pieces + EOS, `(n, None) int32`, equal to the package's tokens.

    This differs from SentencePiece's own output in two points: a text without pieces gets one UNK, and neighbouring unknown
    characters, which SentencePiece joins into one UNK, get one each (two emoji are two tokens).
    """
    import tensorflow as tf

    tokens = tokenizer.tokenize(texts)
    unknown = tf.equal(tokens.flat_values, _UNK)
    repeats = tf.cond(tf.reduce_any(unknown), lambda: _num_characters(texts, tokens, unknown, tokenizer), lambda: tf.ones_like(tokens.flat_values))
    flat = tf.repeat(tokens.flat_values, repeats)
    lengths = tf.math.unsorted_segment_sum(repeats, tokens.value_rowids(), tokens.nrows())
    is_empty = tf.cast(tf.equal(lengths, 0), tf.int32)
    unk_if_empty = tf.RaggedTensor.from_row_lengths(tf.fill([tf.reduce_sum(is_empty)], _UNK), is_empty)
    n = tf.shape(texts)[0]
    pieces = tf.RaggedTensor.from_row_lengths(flat, lengths)
    return tf.concat([tf.fill([n, 1], _BOS), pieces, unk_if_empty, tf.fill([n, 1], _EOS)], axis=1)


def _num_characters(texts: tf.Tensor, tokens: tf.RaggedTensor, unknown: tf.Tensor, tokenizer: Any) -> tf.Tensor:
    """The number of characters of each unknown token, 1 for all other tokens, `(num_tokens,) int32`.

    Only the texts with an unknown token are tokenised a second time, into strings.
    """
    import tensorflow as tf

    has_unknown = tf.reduce_any(tf.equal(tokens, _UNK), axis=1)
    strings = tokenizer.strings.tokenize(tf.boolean_mask(texts, has_unknown)).flat_values
    ids = tf.ragged.boolean_mask(tokens, has_unknown).flat_values
    lengths = tf.strings.length(tf.boolean_mask(strings, tf.equal(ids, _UNK)), unit="UTF8_CHAR")
    return tf.tensor_scatter_nd_update(tf.ones_like(tokens.flat_values), tf.where(unknown), lengths)


def _per_distinct_token(ids: tf.Tensor, table: tf.Variable, w: Weights) -> _Distinct:
    """The values that depend on a token alone, for the distinct tokens `ids`, `(u,) int32`."""
    import tensorflow as tf

    rows = _token_rows(ids, table, w)
    joined = _layer_norm(_product(rows, w["proj"]) + w["proj_b"], w["token_g"], w["token_b"], w["eps"])
    inputs = tf.split(tf.pad(joined, [[0, 1], [0, 0]]), len(_BRANCHES), axis=1)
    products = [tf.reshape(_product(x, w[f"w1_{order}"]), [-1, _WIDTH]) for (order, _), x in zip(_BRANCHES, inputs, strict=True)]
    return _Distinct(rows, tf.reduce_sum(rows, axis=1), tf.reduce_sum(rows * rows, axis=1), inputs, products)


def _token_rows(ids: tf.Tensor, table: tf.Variable, w: Weights) -> tf.Tensor:
    """Dequantised rows of the table, `(len(ids), 512) float32` = q * scale[block] + lo[block]."""
    import tensorflow as tf

    block = ids % _BLOCKS
    return tf.cast(tf.gather(table, ids), tf.float32) * tf.gather(w["scale"], block)[:, None] + tf.gather(w["lo"], block)[:, None]


def _summed(index: tf.Tensor, lengths: tf.Tensor, distinct: _Distinct, w: Weights) -> tf.Tensor:
    """The sum of the normalised features of each text's tokens, before the norm's scale and shift, `(n, 1280) float32`.

    `index`, `(num_tokens,) int32`, has each token's position among the distinct ones, text after text; `lengths`, `(n,) int32`, the
    number of tokens of each text.
    """
    import tensorflow as tf

    ends = tf.cumsum(lengths)
    _, _, num_texts = tf.unique_with_counts(ends // _SLICE_TOKENS)  # a slice has the texts that end between two multiples
    first_texts = tf.concat([[0], tf.cumsum(num_texts)], axis=0)  # of each slice, then the end
    first_tokens = tf.concat([[0], tf.gather(ends, first_texts[1:] - 1)], axis=0)
    num_slices = tf.size(num_texts)
    sums = tf.TensorArray(tf.float32, size=num_slices, element_shape=[None, _FEATURES], infer_shape=False)

    def add_slice(i: tf.Tensor, sums: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        slice_index, slice_lengths = index[first_tokens[i] : first_tokens[i + 1]], lengths[first_texts[i] : first_texts[i + 1]]
        return i + 1, sums.write(i, _summed_slice(slice_index, slice_lengths, distinct, w))

    _, sums = tf.while_loop(lambda i, _: i < num_slices, add_slice, [0, sums], parallel_iterations=1)
    return sums.concat()


def _summed_slice(index: tf.Tensor, lengths: tf.Tensor, distinct: _Distinct, w: Weights) -> tf.Tensor:
    """`_summed` for the texts of one slice, with the slice's `index` and `lengths`.

    The norm is over all features of a token, but they are never concatenated: their sum and the sum of their squares suffice, and the
    sum of x / deviation over the tokens of a text is a product with a sparse matrix.
    """
    import tensorflow as tf

    text_of_token = tf.repeat(tf.range(tf.size(lengths)), lengths)
    branches = _branches(index, tf.cumsum(lengths), text_of_token, distinct, w)
    total = tf.gather(distinct.sums, index) + tf.add_n([tf.reduce_sum(x, axis=1) for x in branches])
    squares = tf.gather(distinct.squares, index) + tf.add_n([tf.reduce_sum(x * x, axis=1) for x in branches])
    mean = total / _FEATURES
    scale = tf.math.rsqrt(tf.maximum(squares / _FEATURES - mean * mean, 0) + w["eps"])

    def sum_by_text(x: tf.Tensor, row_of_token: tf.Tensor) -> tf.Tensor:
        indices = tf.cast(tf.stack([text_of_token, row_of_token], axis=1), tf.int64)
        return tf.sparse.sparse_dense_matmul(tf.SparseTensor(indices, scale, tf.cast([tf.size(lengths), tf.shape(x)[0]], tf.int64)), x)

    position = tf.range(tf.size(index))
    sums = tf.concat([sum_by_text(distinct.rows, index), *[sum_by_text(x, position) for x in branches]], axis=1)
    return sums - tf.math.segment_sum(scale * mean, text_of_token)[:, None]


def _branches(index: tf.Tensor, ends: tf.Tensor, text_of_token: tf.Tensor, distinct: _Distinct, w: Weights) -> list[tf.Tensor]:
    """The three n-gram branches, each `(num_tokens, 256) float32`: two residual convolutions with ReLU."""
    import tensorflow as tf

    num = tf.size(index)
    position = tf.range(num)
    start, end = tf.gather(tf.concat([[0], ends], axis=0), text_of_token)[:, None], tf.gather(ends, text_of_token)[:, None]
    padded_index = tf.concat([index, [tf.shape(distinct.rows)[0]]], axis=0)  # position `num` has the row of zeros
    outputs = []
    for (order, left), inputs, products in zip(_BRANCHES, distinct.inputs, distinct.products, strict=True):
        offset = tf.range(order)[None, :]
        window = position[:, None] + offset - left
        window = tf.where((window >= start) & (window < end), window, num)
        rows = tf.gather(padded_index, window) * order + offset
        first = tf.sparse.segment_sum(products, tf.reshape(rows, [-1]), tf.repeat(position, order))
        x = tf.gather(inputs, index) + tf.nn.relu(first + w[f"b1_{order}"])
        kernel = w[f"w2_{order}"]
        padded = tf.cast(tf.pad(x, [[0, 1], [0, 0]]), kernel.dtype)  # cast before the windows copy each row several times
        second = _product(tf.reshape(tf.gather(padded, window), [-1, order * _WIDTH]), kernel)
        outputs.append(x + tf.nn.relu(second + w[f"b2_{order}"]))
    return outputs


def _product(x: tf.Tensor, kernel: tf.Variable) -> tf.Tensor:
    """`x` times `kernel`, computed in the kernel's precision and returned as float32."""
    import tensorflow as tf

    return tf.cast(tf.matmul(tf.cast(x, kernel.dtype), kernel), tf.float32)


def _projected(total: tf.Tensor, lengths: tf.Tensor, w: Weights) -> tf.Tensor:
    """One vector per text, `(n, 512) float32` with L2 norm 1, from `_summed`: the norm's scale and shift, projection, residual network, tanh."""
    import tensorflow as tf

    length = tf.cast(lengths, tf.float32)[:, None]
    features = total * w["ln_g"] + length * w["ln_b"]
    x = (tf.matmul(features, w["cnn_W"]) + length * w["cnn_b"]) * tf.math.rsqrt(length)
    y = tf.nn.relu(tf.matmul(x, w["p1"]) + tf.matmul(tf.nn.relu(tf.matmul(x, w["d0"])), w["d1"]))
    z = tf.tanh(tf.matmul(y, w["p3"]) + tf.matmul(tf.nn.relu(tf.matmul(y, w["d2"])), w["d3"]))
    return z * tf.math.rsqrt(tf.maximum(tf.reduce_sum(z * z, axis=1, keepdims=True), w["eps"]))


def _layer_norm(x: tf.Tensor, gain: tf.Variable, bias: tf.Variable, eps: tf.Variable) -> tf.Tensor:
    """Rows of `x` normalised to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016, "Layer Normalization", eq. 4)."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, axes=[1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + eps) * gain + bias
