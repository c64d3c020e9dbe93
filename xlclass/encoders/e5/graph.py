"""The network of multilingual-e5-small as a TensorFlow graph, tokeniser included: string [n] -> float32 [n, 384].

A BERT of 12 layers with the norm after each sublayer (Devlin et al. 2019; Vaswani et al. 2017, section 3), on the tokens of XLM-RoBERTa;
a text's vector is the mean over its tokens, scaled to length 1 (Wang et al. 2024, "Multilingual E5 Text Embeddings").

The texts of a batch are sorted by their number of tokens and computed in slices, so that little is padding and a slice's numbers stay in
the processor's cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xlclass.encoders.e5.weights import Weights

if TYPE_CHECKING:
    import tensorflow as tf

GRAPH = 1  # raise it when the graph changes, even if the vectors do not
DIM = 384
PREFIX = "query: "  # the network was trained with it
MAX_TOKENS = 128  # of a text, `<s>` and `</s>` included; see conf/MEASURED.md for other caps
_SLICE_TOKENS = 512  # the numbers of a slice stay in the processor's cache: of 512 to 4,096 the fastest, by up to a half
_JOINERS, _CONTROLS = r"[\x{200C}\x{200D}]", r"[\x01-\x08\x0B\x0E-\x1F\x7F\x{8F}\x{9F}]"  # RE2; by comparison of all characters with the package's map
_NUM_HEADS, _HEAD = 12, 32
_MASKED = -1e9
_EPSILON = 1e-12  # of the norms
Variables = dict[str, Any]  # TensorFlow's variables by name


def e5_graph(pieces: bytes, weights: Weights, max_tokens: int = MAX_TOKENS, num_layers: int | None = None) -> Any:
    """A `tf.Module` of TF-Hub's contract: called with string [n], it returns float32 [n, 384] with L2 norm 1.

    `pieces` is the SentencePiece model; a text is cut after `max_tokens` tokens, and only the first `num_layers` layers are computed, by default
    all of them.
    """
    import tensorflow as tf
    import tensorflow_text as tf_text

    layers = num_layers or weights.num_layers
    special = weights.special

    class E5(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokenizer = tf_text.SentencepieceTokenizer(pieces, name="e5")  # in one SavedModel, resources of one name are one
            self.w = {name: tf.Variable(value, trainable=False) for name, value in _named(weights, layers, max_tokens).items()}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def __call__(self, texts: tf.Tensor) -> tf.Tensor:
            tokens = self.tokenizer.tokenize(tf.strings.join([PREFIX, _cleaned(texts)]))[:, : max_tokens - 2]
            lengths = tf.cast(tokens.row_lengths(), tf.int32) + 2
            order = tf.argsort(lengths)
            sorted_tokens = tf.gather(tokens, order)
            n = tf.shape(texts)[0]
            framed = tf.concat([tf.fill([n, 1], special["<s>"]), sorted_tokens, tf.fill([n, 1], special["</s>"])], axis=1)
            vectors = _in_slices(framed, tf.gather(lengths, order), lambda ids, num: _encoded(ids, num, self.w, layers))
            return tf.gather(vectors, tf.argsort(order))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
        def serve(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"outputs": self(text)}

    return E5()


def _encoded(ids: tf.Tensor, lengths: tf.Tensor, w: Variables, num_layers: int) -> tf.Tensor:
    """The vectors of the texts of a slice, `(m, 384)`, from their tokens `(m, longest)` and their lengths `(m,)`."""
    import tensorflow as tf

    mask = tf.sequence_mask(lengths, tf.shape(ids)[1], tf.float32)
    x, bias = _embedded(ids, w), (1 - mask)[:, None, None, :] * _MASKED
    for i in range(num_layers):
        x = _layer(x, bias, {name.removeprefix(f"l{i}."): value for name, value in w.items() if name.startswith(f"l{i}.")})
    mean = tf.reduce_sum(x * mask[:, :, None], axis=1) / tf.reduce_sum(mask, axis=1, keepdims=True)
    return tf.math.l2_normalize(mean, axis=1)


def _cleaned(texts: tf.Tensor) -> tf.Tensor:
    """The texts after what XLM-RoBERTa's normalisation has more than SentencePiece's nmt_nfkc of today: joiners are spaces, control characters nothing."""
    import tensorflow as tf

    return tf.strings.regex_replace(tf.strings.regex_replace(texts, _JOINERS, " "), _CONTROLS, "")


def _named(weights: Weights, num_layers: int, max_tokens: int) -> dict[str, np.ndarray]:
    """The tensors in the shapes of the graph: matrices as `(inputs, outputs)`, those of query, key and value side by side."""
    stored = weights.tensors
    position = stored["emb.pos"].reshape(-1, weights.width)[:max_tokens] + stored["emb.type"][: weights.width]
    named = {"halves": weights.halves, "scales": weights.scales, "position": position, "norm_g": stored["emb.ln.w"], "norm_b": stored["emb.ln.b"]}
    scale = 1 / np.sqrt(weights.width / weights.num_heads)  # of the products of query and key, in the query's weights
    for i in range(num_layers):
        q, k, v = (stored[f"l{i}.{part}.w"].T for part in "qkv")
        named[f"l{i}.qkv"] = np.concatenate([q * scale, k, v], axis=1).astype(np.float32)
        q, k, v = (stored[f"l{i}.{part}.b"] for part in "qkv")
        named[f"l{i}.qkv_b"] = np.concatenate([q * scale, k, v]).astype(np.float32)
        for new, old in (("out", "ao"), ("up", "fi"), ("down", "fo")):
            named[f"l{i}.{new}"], named[f"l{i}.{new}_b"] = np.ascontiguousarray(stored[f"l{i}.{old}.w"].T), stored[f"l{i}.{old}.b"]
        for new, old in (("norm1", "aln"), ("norm2", "oln")):
            named[f"l{i}.{new}_g"], named[f"l{i}.{new}_b"] = stored[f"l{i}.{old}.w"], stored[f"l{i}.{old}.b"]
    return named


def _in_slices(tokens: tf.RaggedTensor, lengths: tf.Tensor, encode: Any) -> tf.Tensor:
    """`encode(ids (m, longest), lengths (m,))` for slices of the texts, which are sorted by length; the vectors one after the other."""
    import tensorflow as tf

    ends = tf.cumsum(lengths)
    _, _, num_texts = tf.unique_with_counts(ends // _SLICE_TOKENS)  # a slice has the texts that end between two multiples
    first = tf.concat([[0], tf.cumsum(num_texts)], axis=0)
    num_slices = tf.size(num_texts)
    vectors = tf.TensorArray(tf.float32, size=num_slices, element_shape=[None, DIM], infer_shape=False)

    def add_slice(i: tf.Tensor, vectors: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        ids = tokens[first[i] : first[i + 1]].to_tensor()
        return i + 1, vectors.write(i, encode(ids, lengths[first[i] : first[i + 1]]))

    _, vectors = tf.while_loop(lambda i, _: i < num_slices, add_slice, [0, vectors], parallel_iterations=1)
    return vectors.concat()


def _embedded(ids: tf.Tensor, w: Variables) -> tf.Tensor:
    """The rows of the tokens `(m, length)` and of their positions, normalised: `(m, length, 384)`."""
    import tensorflow as tf

    shape = tf.shape(ids)
    flat = tf.reshape(ids, [-1])
    packed = tf.reshape(tf.gather(w["halves"], flat), [-1, DIM // 32, 16])
    numbers = tf.concat([tf.bitwise.bitwise_and(packed, 15), tf.bitwise.right_shift(packed, tf.constant(4, tf.uint8))], axis=2)
    rows = (tf.cast(numbers, tf.float32) - 8) * tf.cast(tf.gather(w["scales"], flat), tf.float32)[:, :, None]
    x = tf.reshape(rows, [shape[0], shape[1], DIM]) + w["position"][: shape[1]]
    return _normalised(x, w["norm_g"], w["norm_b"])


def _layer(x: tf.Tensor, bias: tf.Tensor, w: Variables) -> tf.Tensor:
    """One layer: self-attention and a network of two layers, each added to its input and normalised."""
    import tensorflow as tf

    m, length = tf.shape(x)[0], tf.shape(x)[1]
    flat = tf.reshape(x, [-1, DIM])
    joined = tf.reshape(_linear(flat, w, "qkv"), [m, length, 3, _NUM_HEADS, _HEAD])
    query, key, value = tf.unstack(tf.transpose(joined, [2, 0, 3, 1, 4]))
    weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + bias)
    context = tf.reshape(tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3]), [-1, DIM])
    flat = _normalised(flat + _linear(context, w, "out"), w["norm1_g"], w["norm1_b"])
    flat = _normalised(flat + _linear(tf.nn.gelu(_linear(flat, w, "up")), w, "down"), w["norm2_g"], w["norm2_b"])
    return tf.reshape(flat, [m, length, DIM])


def _linear(x: tf.Tensor, w: Variables, name: str) -> tf.Tensor:
    """`x` times a matrix, plus its bias, which TensorFlow adds within the product: a seventh of a text's time less than a sum of its own."""
    import tensorflow as tf

    return tf.nn.bias_add(tf.matmul(x, w[name]), w[f"{name}_b"])


def _normalised(x: tf.Tensor, gain: tf.Variable, shift: tf.Variable) -> tf.Tensor:
    """`x` normalised to mean 0 and variance 1 along its last axis, then scaled and shifted (Ba et al. 2016, eq. 4)."""
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + _EPSILON) * gain + shift
