"""The alignment: a linear map is found again, means go, and the choice is made without labels."""

import numpy as np
import pytest

from xlclass.errors import ModelError
from xlclass.model.alignment import Alignment, Space, fit_alignment, fit_centring, load_alignments, save_alignments, shipped_alignment
from xlclass.model.alignment_choice import chosen_alignment, chosen_centring
from xlclass.schemas import pack_vectors, unit

DIM, SPACE_DIM = 6, 8


def texts(num=600, codes=("en", "fr", "de"), seed=0, offsets=0.0, noise=0.05):
    """Vectors of the same texts by two encoders: the second is a linear image of the first, with a mean of its own in each language, and noise."""
    rng = np.random.default_rng(seed)
    languages = np.array([codes[i % len(codes)] for i in range(num)], object)
    target = unit(rng.normal(size=(num, SPACE_DIM)))
    source = target @ np.random.default_rng(99).normal(size=(SPACE_DIM, DIM)) + noise * rng.normal(size=(num, DIM))
    for i, code in enumerate(codes):
        source[languages == code] += offsets * np.eye(DIM)[i]
    return source.astype(np.float32), target, languages


def cosine(alignment, source, target, languages):
    return float((alignment.apply(source, languages) * unit(target)).sum(axis=1).mean())


def test_fit_alignment_agrees_with_scikit_learns_ridge():
    from sklearn.linear_model import Ridge

    source, target, languages = texts()
    alignment = fit_alignment(fit_centring(source, languages), source, target, languages, alpha=2.0)
    centred = alignment.centred(source, languages)
    ridge = Ridge(alpha=2.0).fit(centred.astype(np.float64), target.astype(np.float64))
    np.testing.assert_allclose(alignment.matrix, ridge.coef_.T, atol=1e-4)
    np.testing.assert_allclose(alignment.apply(source, languages), unit(ridge.predict(centred)), atol=1e-4)


def test_centring_takes_away_what_only_tells_the_language():
    source, target, languages = texts(offsets=3.0)
    centring = fit_centring(source, languages)
    means = [unit(source)[languages == code].mean(axis=0) for code in ("en", "fr", "de")]
    np.testing.assert_allclose(centring.mean, np.mean(means, axis=0), atol=1e-5)
    plain, centred = (fit_alignment(each, source, target, languages) for each in (Alignment(centring.mean, {}), centring))
    assert cosine(centred, source, target, languages) > cosine(plain, source, target, languages)
    few = fit_centring(source[:4], np.array(["en", "en", "en", "cs"], object))
    assert np.linalg.norm(few.means["cs"] - few.mean) < np.linalg.norm(unit(source[3:4])[0] - few.mean) / 10  # one text is no mean


def test_chosen_alignment_takes_means_away_where_that_helps_languages_left_out():
    """With an offset per language a language left out is found only without its mean; where topics differ by language the mean is worth keeping."""
    source, target, languages = texts(offsets=3.0)
    others = {"cs": source[:50] + 5.0}
    alignment, facts = chosen_alignment(source, target, languages, others, None)
    assert facts["centring"] > 0
    assert set(alignment.means) == {"en", "fr", "de", "cs"}
    rng = np.random.default_rng(3)
    topical = target + np.array([2.0 * np.eye(SPACE_DIM)[["en", "fr", "de"].index(code)] for code in languages])
    image = (topical @ rng.normal(size=(SPACE_DIM, DIM))).astype(np.float32)
    assert chosen_alignment(image, unit(topical), languages, {}, None)[1]["centring"] == 0


def test_chosen_alignment_uses_the_shipped_one_where_texts_are_few_and_says_so():
    source, target, languages = texts()
    shipped = fit_alignment(fit_centring(source, languages), source, target, languages)
    alignment, facts = chosen_alignment(source[:50], target[:50], languages[:50], {}, shipped)
    assert alignment is shipped
    assert facts == {"alignment": "shipped", "texts": 50}
    assert chosen_alignment(source[:50], target[:50], languages[:50], {}, None)[1]["alignment"] == "own"
    assert chosen_alignment(*texts(seed=5), {}, shipped)[1]["alignment"] == "own"
    assert chosen_alignment(*texts(seed=5), {}, shipped)[1]["cosine"] > 0.8


def test_two_encoders_side_by_side_are_centred_as_far_as_that_brings_them_together():
    source, target, languages = texts(offsets=3.0)
    centring, facts = chosen_centring(target, source, languages, ["en", "fr", "de"])
    assert facts == {"centring": pytest.approx(1.0, abs=0.5), "texts": 600}
    assert facts["centring"] > 0
    vectors = centring.apply(np.hstack([target, source]), languages)
    assert vectors.shape == (600, SPACE_DIM + DIM)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert chosen_centring(target, source, languages, ["en"])[1]["centring"] == 1.0


def test_chosen_alignment_without_a_text_is_refused():
    with pytest.raises(ModelError, match="no encoded text on the training side"):
        chosen_alignment(np.empty((0, DIM)), np.empty((0, SPACE_DIM)), np.empty(0, object), {}, None)


def test_space_takes_each_row_by_its_encoder_and_refuses_an_unknown_one():
    source, target, languages = texts(40)
    alignment = fit_alignment(fit_centring(source, languages), source, target, languages)
    space = Space(SPACE_DIM, {"first": SPACE_DIM, "second": DIM}, {"second": alignment})
    packed = [*pack_vectors(target[:3]), *pack_vectors(source[:3])]
    vectors = space.unpacked(packed, ["first"] * 3 + ["second"] * 3, [*languages[:3], *languages[:3]])
    np.testing.assert_allclose(vectors[:3], target[:3], atol=1e-3)
    np.testing.assert_allclose(vectors[3:], alignment.apply(source[:3], languages[:3]), atol=1e-2)
    with pytest.raises(ValueError, match="does not know"):
        space.unpacked(packed, ["first"] * 3 + ["third"] * 3, ["en"] * 6)


def test_alignments_are_saved_without_pickle_and_read_again(tmp_path):
    source, target, languages = texts()
    centring = fit_centring(source, languages)
    saved = {"e5": fit_alignment(centring, source, target, languages), "both": centring, "none": Alignment(centring.mean, {})}
    save_alignments(tmp_path / "a.npz", saved)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)
    loaded = load_alignments(tmp_path / "a.npz")
    assert set(loaded) == set(saved)
    for name, alignment in saved.items():
        np.testing.assert_array_equal(loaded[name].apply(source, languages), alignment.apply(source, languages))


def test_the_package_ships_an_alignment_for_its_own_second_encoder_only():
    from xlclass.encoders.e5.build import e5_id

    shipped = shipped_alignment(e5_id())
    assert shipped is not None
    assert shipped.matrix.shape == (384, 512)
    assert shipped_alignment("x" * 64) is None
