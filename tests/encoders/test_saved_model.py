"""SavedModels as encoders."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from xlclass.encoders.contract import folder_digest
from xlclass.encoders.saved_model import load_encoder, saved_model_encoder
from xlclass.errors import EncoderError


def test_encode_returns_float32_rows_in_order(fake_encoder):
    encoder = load_encoder(fake_encoder)
    vectors = encoder.encode(["one two", "", "one two", "three"], ["en"] * 4)
    assert vectors.shape == (4, fake_encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.allclose(vectors[0], vectors[3])


def test_encode_accepts_lone_surrogates_and_empty_batches(fake_encoder):
    encoder = load_encoder(fake_encoder)
    assert encoder.encode([]).shape == (0, fake_encoder.dim)
    assert np.isfinite(encoder.encode(["a\ud800b"])).all()


def test_load_encoder_is_cached_per_process(fake_encoder):
    assert load_encoder(fake_encoder) is load_encoder(fake_encoder)


def test_saved_model_encoder_has_the_same_id_in_another_folder(fake_encoder, tmp_path):
    copy = shutil.copytree(fake_encoder.path, tmp_path / "copy")
    assert saved_model_encoder(str(copy)).encoder_id == fake_encoder.encoder_id


def test_load_encoder_refuses_changed_files(fake_encoder, tmp_path):
    copy = shutil.copytree(fake_encoder.path, tmp_path / "copy")
    spec = saved_model_encoder(str(copy))
    (Path(copy) / "fingerprint.pb").write_bytes(b"another")
    assert folder_digest(Path(copy)) != spec.digest
    with pytest.raises(EncoderError, match="has digest"):
        load_encoder(spec)


def test_saved_model_encoder_refuses_a_missing_folder(tmp_path):
    with pytest.raises(EncoderError, match=r"encoder\.model: there is no SavedModel"):
        saved_model_encoder(str(tmp_path / "none"))


@pytest.mark.parametrize("kind", ["not callable", "not text", "not rows", "not float32"])
def test_saved_model_encoder_refuses_another_contract(kind, tmp_path):
    import tensorflow as tf

    class Text(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            return {"not rows": tf.cast(tf.strings.length(texts), tf.float32), "not float32": tf.strings.length(texts)[:, None]}[kind]

    class Number(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)])
        def __call__(self, numbers):
            return numbers

    module = {"not callable": tf.Module, "not text": Number}.get(kind, Text)()
    tf.saved_model.save(module, str(tmp_path / "model"))
    with pytest.raises(EncoderError, match=r"string \[n\] -> float32 \[n, dim\]"):
        saved_model_encoder(str(tmp_path / "model"))


def test_saved_model_encoder_takes_the_vectors_of_a_signature(tmp_path):
    """Modules of TF1 and other exports cannot be called; their signature has one input and returns a dict."""
    import tensorflow as tf

    def saved(key, *names):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="sentences")])
        def lengths(sentences):
            lengths = tf.strings.length(sentences)
            return {"lengths": lengths} | {name: tf.cast(lengths, tf.float32)[:, None] + [0.0, 10.0 * i] for i, name in enumerate(names)}

        folder = str(tmp_path / "-".join((key, *names)))
        tf.saved_model.save(tf.Module(), folder, signatures={key: lengths})
        return folder

    expected = {("serving_default", "output_0"): 0, ("default", "other", "default"): 10, ("serving_default", "default", "outputs"): 10}
    for (key, *names), second in expected.items():
        encoder = load_encoder(saved_model_encoder(saved(key, *names)))
        np.testing.assert_array_equal(encoder.encode(["ab", "", "é"]), [[2, 2 + second], [0, second], [2, 2 + second]])
    for wrong in (("serving_default", "one", "two"), ("serving_default",), ("another_key", "outputs")):
        with pytest.raises(EncoderError, match=r"does not map string \[n\] -> float32 \[n, dim\]"):
            saved_model_encoder(saved(*wrong))


def test_saved_model_encoder_takes_an_export_of_keras(tmp_path):
    import keras

    texts = keras.Input((), dtype="string")
    vectors = keras.layers.Embedding(16, 4)(keras.layers.Hashing(16)(texts))
    model = keras.Model(texts, vectors)
    model.export(tmp_path / "export", verbose=False)
    spec = saved_model_encoder(str(tmp_path / "export"))
    np.testing.assert_allclose(load_encoder(spec).encode(["one", "two"]), model(np.array(["one", "two"])), atol=1e-6)


def test_saved_model_encoder_names_the_cause_of_a_failed_download(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(EncoderError, match="cannot fetch"):
        saved_model_encoder("http://127.0.0.1:9/no/such/model")
