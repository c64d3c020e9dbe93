"""The contenders: eight bits, and the vectors by which each form meets the head."""

import dataclasses

import numpy as np
import pytest
from refusals import message_of

from xlclass.encoders.contract import EncoderSpec
from xlclass.evaluation.contenders import BOTH, INT8, MAPPED, PAIR, PLAIN, SHIFTED, Contender, contenders_of, dequantised, quantised
from xlclass.model.alignment import Alignment
from xlclass.schemas import unit

RNG = np.random.default_rng(5)
MUSE, E5 = EncoderSpec("muse", "", "muse", 3, ("en", "fr", "de")), EncoderSpec("e5", "", "e5", 2)
LANGUAGES = np.array(["en", "cs", "de", "und"] * 5, object)
VECTORS = {"muse": unit(RNG.normal(size=(20, 3))), "e5": unit(RNG.normal(size=(20, 2)))}
MATRIX = Alignment(np.zeros(2, np.float32), {}, np.array([[1, 0, 0], [0, 0, 1]], np.float32), np.zeros(3, np.float32))
MAPPED_E5 = VECTORS["e5"] @ MATRIX.matrix  # worked out by hand: the matrix only moves numbers


def head_vectors(form, *specs, is_train=None):
    every = np.ones(20, bool) if is_train is None else is_train
    return Contender("x", form, specs).head_vectors(VECTORS, LANGUAGES, every, lambda main, extension: MATRIX)


def test_quantised_is_symmetric_and_within_half_a_step():
    vectors = np.vstack([RNG.normal(size=(100, 64)).astype(np.float32), np.zeros((1, 64), np.float32)])
    numbers, scales = quantised(vectors)
    assert numbers.dtype == np.int8
    assert np.abs(numbers.astype(int)).max(axis=1).tolist() == [127] * 100 + [0]  # each vector uses its whole range, -128 never
    assert scales.shape == (101, 1)
    assert (np.abs(dequantised(numbers, scales) - vectors) <= scales / 2 * (1 + 1e-5)).all()
    assert (quantised(-vectors)[0] == -numbers).all()


def test_head_vectors_of_each_form():
    plain, mapped, pair = head_vectors(PLAIN, MUSE), head_vectors(MAPPED, MUSE, E5), head_vectors(PAIR, MUSE, E5)
    assert all((vectors == VECTORS["muse"]).all() for vectors in (*plain, mapped[0]))  # the head of e5-mapped is MUSE's
    np.testing.assert_allclose(mapped[1], MAPPED_E5, atol=1e-6)
    is_known = np.isin(LANGUAGES, ["en", "de"])
    for vectors in pair:
        assert (vectors[is_known] == VECTORS["muse"][is_known]).all()
        np.testing.assert_allclose(vectors[~is_known], MAPPED_E5[~is_known], atol=1e-6)
    learned, scored = head_vectors(INT8, MUSE)
    assert 0 < np.abs(learned - VECTORS["muse"]).max() <= 1 / 254 + 1e-6
    assert (learned == scored).all()


def test_head_vectors_side_by_side_lose_the_mean_of_the_training_side():
    is_train = np.arange(20) < 16
    _, scored = head_vectors(BOTH, MUSE, E5, is_train=is_train)
    assert scored.shape == (20, 5)
    joined = np.hstack([VECTORS["muse"], VECTORS["e5"]])
    changed = {name: vectors + (~is_train)[:, None] for name, vectors in VECTORS.items()}  # other vectors on the test side
    again = Contender("x", BOTH, (MUSE, E5)).head_vectors(changed, LANGUAGES, is_train, lambda main, extension: MATRIX)[1]
    np.testing.assert_allclose(again[is_train], scored[is_train])  # the means do not look at the test side
    assert np.linalg.norm(scored[is_train].mean(axis=0)) < np.linalg.norm(unit(joined)[is_train].mean(axis=0))
    shifted = head_vectors(SHIFTED, E5, is_train=is_train)[1]
    by_language = np.array([VECTORS["e5"][is_train & (code == LANGUAGES)].mean(axis=0) for code in sorted(set(LANGUAGES))])
    np.testing.assert_allclose(shifted, unit(VECTORS["e5"] - by_language.mean(axis=0)), atol=1e-5)  # each language counts once


def test_parts_and_bytes_follow_the_language():
    def of(form, *specs):
        contender = Contender("x", form, specs)
        return [(spec.encoder_id, int(mask.sum())) for spec, mask in contender.parts(LANGUAGES)], contender.vector_bytes(LANGUAGES)

    assert of(PLAIN, MUSE) == ([("muse", 20)], 6)
    assert of(INT8, MUSE) == ([("muse", 20)], 3 + 4)
    assert of(MAPPED, MUSE, E5) == ([("e5", 20)], 4)
    assert of(PAIR, MUSE, E5) == ([("muse", 10), ("e5", 10)], (6 + 4) / 2)
    assert of(BOTH, MUSE, E5) == ([("muse", 20), ("e5", 20)], 10)


def test_contenders_share_a_head_only_if_it_learns_from_equal_vectors():
    plain, mapped, pair, int8 = (Contender("x", form, (MUSE, E5)[: 1 if form in (PLAIN, INT8) else 2]) for form in (PLAIN, MAPPED, PAIR, INT8))
    assert plain.trained_like == mapped.trained_like
    assert len({contender.trained_like for contender in (plain, pair, int8)}) == 3


def test_contenders_of_files_keep_their_order_and_name_what_is_wrong(settings_in, fake_encoder, tmp_path):
    settings = settings_in(tmp_path)
    (tmp_path / "other.toml").write_text(settings.file.read_text(encoding="utf-8"), encoding="utf-8")

    def named(*names):
        return dataclasses.replace(settings, comparison=dataclasses.replace(settings.comparison, contenders=names))

    found = contenders_of(named("settings.toml", "other.toml", "settings.toml"))
    assert [(contender.name, contender.form) for contender in found] == [("settings.toml", PLAIN), ("other.toml", PLAIN)]
    assert {spec.encoder_id for contender in found for spec in contender.specs} == {fake_encoder.encoder_id}
    message = message_of(contenders_of, named("absent.toml"))
    assert message.startswith(f"{settings.file}: comparison.contenders: there is no settings file {tmp_path / 'absent.toml'}")


@pytest.mark.parametrize("names", [["muse", "bert"], []])
def test_load_settings_refuses_unknown_contenders(settings_in, tmp_path, names):
    message = message_of(settings_in, tmp_path, f"[comparison]\ncontenders = {names}\n")
    assert message.startswith(f"{tmp_path / 'settings.toml'}: comparison.contenders ")
    assert ("or a file that ends in .toml, found 'bert'" if names else "is empty") in message
    assert "\n" not in message
