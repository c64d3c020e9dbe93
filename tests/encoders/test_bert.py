"""Pairs of a preprocessor and an encoder, as m-BERT and XLM-R are published."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from refusals import message_of
from small_models import DIM, LENGTH, WORDS, save_encoder, save_xlm_r_pair

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.bert import _pooled, bert_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.errors import EncoderError, SettingsError

pytestmark = pytest.mark.slow  # 40 seconds: pairs are composed; test_conformance.py has a pair of each kind in the quick suite

TEXTS = ["the best goals", "a", "", "die Musik der Saison " * 60, "the season of the best goals a b c d e"]


@pytest.fixture(scope="module")
def pair(pairs) -> tuple[Path, Path]:
    return pairs / "bert" / "preprocessor", pairs / "bert" / "encoder"


@pytest.fixture(scope="module")
def pair_without_type_ids(tmp_path_factory) -> tuple[Path, Path]:
    return save_xlm_r_pair(tmp_path_factory.mktemp("xlm_r"), with_type_ids=False)


def _token_vectors(pair: tuple[Path, Path]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of all tokens of TEXTS, padding included, and the mask, from the published parts alone."""
    import tensorflow as tf

    preprocessor, encoder = (tf.saved_model.load(str(folder)) for folder in pair)
    inputs = preprocessor(tf.constant(TEXTS))
    return encoder(inputs)["sequence_output"].numpy(), inputs["input_mask"].numpy()


@pytest.mark.parametrize(("parts", "pooling"), [("pair", "mean"), ("pair", "cls"), ("pair_without_type_ids", "mean")])
def test_bert_encoder_agrees_with_numpy_over_the_published_parts(parts, pooling, pair_cache, request):
    folders = request.getfixturevalue(parts)
    tokens, mask = _token_vectors(folders)
    assert tokens.shape == (len(TEXTS), LENGTH, DIM)
    assert mask.sum(axis=1).tolist()[2:4] == [2, LENGTH]  # the empty text has two special tokens, the long one is cut
    expected = np.stack([vectors[used > 0].mean(axis=0) if pooling == "mean" else vectors[0] for vectors, used in zip(tokens, mask, strict=True)])
    spec = bert_encoder(*map(str, folders), pooling, pair_cache, ["en"])
    assert (spec.dim, spec.languages) == (DIM, ("en",))
    np.testing.assert_allclose(load_encoder(spec).encode(TEXTS), expected, atol=1e-6)


def test_mean_pooling_ignores_masked_positions():
    random = np.random.default_rng(7)
    tokens, mask = random.normal(size=(3, 5, 4)).astype(np.float32), np.array([[1, 1, 0, 0, 0], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], np.int32)
    expected = [tokens[0, :2].mean(axis=0), tokens[1, [0, 2, 4]].mean(axis=0), np.zeros(4)]
    other = np.where(mask[:, :, None] > 0, tokens, np.float32(1e6))
    for vectors in (tokens, other):
        np.testing.assert_allclose(_pooled(vectors, mask, "mean"), expected, atol=1e-6)


def test_encoder_id_is_of_the_parts_and_not_of_the_composed_files(pair, pair_cache, tmp_path):
    preprocessor, encoder = map(str, pair)
    spec = bert_encoder(preprocessor, encoder, "mean", pair_cache)
    copies = shutil.copytree(preprocessor, tmp_path / "p"), shutil.copytree(encoder, tmp_path / "e")
    again = bert_encoder(*map(str, copies), "mean", tmp_path / "cache")
    assert again.encoder_id == spec.encoder_id
    assert again.digest != spec.digest
    (copies[0] / "assets" / "vocab.txt").write_text("\n".join([*WORDS[:-1], "another"]) + "\n", encoding="utf-8")
    other_weights = save_encoder(tmp_path / "e2", len(WORDS) + 1, seed=8)
    others = [bert_encoder(*map(str, parts), "mean", tmp_path / "cache") for parts in ((copies[0], encoder), (preprocessor, other_weights))]
    assert len({spec.encoder_id, *(other.encoder_id for other in others)}) == 3


def test_bert_encoder_composes_once_and_refuses_a_damaged_cache(pair, pair_cache, tmp_path):
    composed = Path(bert_encoder(*map(str, pair), "mean", pair_cache).path).parent
    shutil.copytree(composed, tmp_path / composed.name)
    graph = Path(bert_encoder(*map(str, pair), "mean", tmp_path).path) / "saved_model.pb"
    assert graph.read_bytes() == (composed / "model" / graph.name).read_bytes()  # two compositions differ in bytes
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(EncoderError, match="is damaged"):
        bert_encoder(*map(str, pair), "mean", tmp_path)


def test_bert_encoder_is_not_composed_in_an_archive_without_it(pair, tmp_path):
    with pytest.raises(EncoderError, match="the shipped archive has no bert-"):
        bert_encoder(*map(str, pair), "mean", tmp_path, build=False)
    assert not list(tmp_path.iterdir())


def test_bert_encoder_refuses_parts_that_do_not_fit(pair, pair_without_type_ids, fake_encoder, tmp_path):
    preprocessor, encoder = pair
    headless = save_encoder(tmp_path / "headless", len(WORDS) + 1, without="sequence_output")
    truncated = Path(shutil.copytree(encoder, tmp_path / "truncated"))
    (truncated / "saved_model.pb").write_bytes(b"no graph")
    expected = {
        (preprocessor, headless): "headless returns default float32 (2, 12), encoder_outputs",
        (preprocessor, pair_without_type_ids[1]): "cannot encode what",
        (pair_without_type_ids[0], encoder): "cannot encode what",
        (fake_encoder.path, encoder): "returns float32 (2, 8) for two texts; a preprocessor maps string [n] to input_word_ids and input_mask",
        (encoder, preprocessor): "fails on two texts",
        (preprocessor, fake_encoder.path): "cannot encode what",
        (preprocessor, truncated): "cannot be loaded",
        (tmp_path / "none", encoder): "encoder.preprocessor: there is no SavedModel in",
        (preprocessor, tmp_path / "none"): "encoder.model: there is no SavedModel in",
    }
    messages = {parts: message_of(bert_encoder, *map(str, parts), "mean", tmp_path / "cache") for parts in expected}
    assert not {parts: message for parts, message in messages.items() if expected[parts] not in message or "\n" in message}
    assert not list((tmp_path / "cache").glob("*"))


def _settings(folder: Path, encoder: str):
    file = folder / "settings.toml"
    file.write_text(f'[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\n{encoder}\n', encoding="utf-8")
    return load_settings(file)


def test_resolve_encoder_refuses_settings_of_a_pair_for_another_encoder(pair, tmp_path):
    expected = {
        f'preprocessor = "{pair[0]}"': "encoder.preprocessor is set: set encoder.model to the encoder that belongs to it",
        'pooling = "cls"': 'encoder.pooling = "cls" needs encoder.preprocessor',
        f'model = "{pair[1]}"\npooling = "cls"': 'encoder.pooling = "cls" needs encoder.preprocessor',
        f'model = "{pair[1]}"\npreprocessor = "{pair[0]}"\nprecision = "bfloat16"': 'encoder.precision = "bfloat16" needs encoder.model = "embedded"',
    }
    for lines, part in expected.items():
        with pytest.raises(SettingsError) as error:
            resolve_encoders(_settings(tmp_path, lines))
        assert part in str(error.value)
    with pytest.raises(SettingsError, match=r"encoder\.pooling must be one of mean, cls, found 'max'"):
        _settings(tmp_path, 'pooling = "max"')
