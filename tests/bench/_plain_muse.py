"""MUSE computed token by token: the network of `xlclass.encoders.muse.graph`, without computing the equal tokens of a batch only once.

The bare loop of backfill.py runs it, as its bar is set on a loop without de-duplication.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
import tensorflow_text as tf_text

from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.muse import graph
from xlclass.encoders.muse.build import _resources
from xlclass.encoders.saved_model import saved_model_encoder


def plain_muse(folder: Path) -> EncoderSpec:
    """The specification of the SavedModel that is built in `folder`."""
    files = _resources()
    graph = _PlainMuse(files["sp.model"].read_bytes(), files["weights.npz"])
    tf.saved_model.save(graph, str(folder))
    return saved_model_encoder(str(folder))


class _PlainMuse(tf.Module):
    """string [n] -> float32 [n, 512]; all tokens of a batch in one flat matrix, so that nothing is padded."""

    def __init__(self, pieces: bytes, weights_file: Path) -> None:
        super().__init__()
        table, weights = graph._weights(weights_file)
        for order, _ in graph._BRANCHES:  # as one product over the whole window takes them
            weights[f"w1_{order}"] = weights[f"w1_{order}"].reshape(graph._WIDTH, order, -1).swapaxes(0, 1).reshape(order * graph._WIDTH, -1)
        self.tokenizer = tf_text.SentencepieceTokenizer(pieces)
        self.tokenizer.strings = tf_text.SentencepieceTokenizer(pieces, out_type=tf.string)
        self.table = tf.Variable(table, trainable=False)
        self.w = {name: tf.Variable(tf.cast(array, tf.float32), trainable=False) for name, array in weights.items()}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        tokens, w = graph._tokenized(texts, self.tokenizer), self.w
        rows = graph._token_rows(tokens.flat_values, self.table, w)
        joined = graph._layer_norm(graph._product(rows, w["proj"]) + w["proj_b"], w["token_g"], w["token_b"], w["eps"])
        features = tf.concat([rows, *self._branches(joined, tokens)], axis=1)
        normed = graph._layer_norm(features, tf.ones([]), tf.zeros([]), w["eps"])
        total = tf.math.unsorted_segment_sum(normed, tokens.value_rowids(), tokens.nrows())
        return graph._projected(total, tokens.row_lengths(), w)

    def _branches(self, joined: tf.Tensor, tokens: tf.RaggedTensor) -> list[tf.Tensor]:
        num, of_token = tf.shape(joined)[0], tokens.value_rowids()
        start, end = (tf.cast(tf.gather(bound, of_token), tf.int32)[:, None] for bound in (tokens.row_starts(), tokens.row_limits()))
        outputs = []
        for (order, left), x in zip(graph._BRANCHES, tf.split(joined, len(graph._BRANCHES), axis=1), strict=True):
            window = tf.range(num)[:, None] + tf.range(-left, order - left)[None, :]
            window = tf.where((window >= start) & (window < end), window, num)
            for layer in ("1", "2"):
                context = tf.gather(tf.concat([x, tf.zeros([1, graph._WIDTH])], axis=0), window)
                product = graph._product(tf.reshape(context, [-1, order * graph._WIDTH]), self.w[f"w{layer}_{order}"])
                x = x + tf.nn.relu(product + self.w[f"b{layer}_{order}"])
            outputs.append(x)
        return outputs
