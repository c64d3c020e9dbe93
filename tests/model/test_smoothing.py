"""What a language's own unlabelled videos say: alike videos get alike confidences, other languages none of it, and a file holds it all."""

import numpy as np
import pytest
from scipy.special import expit, logit

from xlclass.model.smoothing import Smoothing, around_language

RNG = np.random.default_rng(5)
CENTRES = np.linalg.qr(RNG.normal(size=(8, 8)))[0][:2]
HEAPS = np.repeat([0, 1], 100)
VECTORS = (CENTRES[HEAPS] + RNG.normal(0, 0.02, (200, 8))).astype(np.float32)
ODDS = np.where(HEAPS[:, None] == [0, 1], 2.0, -2.0) + RNG.normal(0, 3.0, (200, 2))  # right on the whole, and often wrong alone


def found(width=0.02, weight=0.5, **rest):
    return Smoothing({"th": around_language(VECTORS, ODDS, 16, width, 7)}, weight, **rest)


def test_alike_videos_outvote_the_odd_one():
    given = found().smoothed(ODDS, VECTORS, ["th"] * 200)
    wrong, wrong_after = ((each.argmax(axis=1) != HEAPS).mean() for each in (ODDS, given))
    assert wrong > 0.1
    assert wrong_after < wrong / 2
    mean = np.array([expit(ODDS[heap == HEAPS]).mean(axis=0) for heap in (0, 1)])
    np.testing.assert_allclose(given, 0.5 * ODDS + 0.5 * logit(mean)[HEAPS], atol=0.35)  # a heap has several prototypes


def test_other_languages_keep_their_own_log_odds():
    languages = np.where(np.arange(200) % 2, "th", "de").astype(object)
    given = found().smoothed(ODDS, VECTORS, languages)
    np.testing.assert_array_equal(given[languages == "de"], ODDS[languages == "de"])
    assert not np.isclose(given[languages == "th"], ODDS[languages == "th"]).all(axis=1).any()
    mapped = found(map=(0.5, 1.0)).smoothed(ODDS, VECTORS, languages)
    np.testing.assert_array_equal(mapped[languages == "de"], ODDS[languages == "de"])
    np.testing.assert_allclose(mapped[languages == "th"], 2 * given[languages == "th"] + 1)
    assert found().smoothed(np.empty((0, 2)), np.empty((0, 8), np.float32), []).shape == (0, 2)


@pytest.mark.parametrize("rows", [slice(0, 1), slice(50, 150)])
def test_a_video_is_judged_alike_alone_and_among_others(rows):
    every = found().smoothed(ODDS, VECTORS, ["th"] * 200)
    np.testing.assert_allclose(found().smoothed(ODDS[rows], VECTORS[rows], ["th"] * len(ODDS[rows])), every[rows], atol=1e-5)


def test_file_holds_every_language_and_no_pickle(tmp_path):
    both = Smoothing({"zh-Hant": around_language(VECTORS[:40], ODDS[:40], 16, 0.04, 7), **found().around}, 0.25, (0.9, 0.125))
    both.save(tmp_path / "smoothing.npz")
    kept = Smoothing.load(tmp_path / "smoothing.npz")
    assert (list(kept.around), kept.weight, kept.map) == (["zh-Hant", "th"], 0.25, (0.9, 0.125))
    for language, prototypes in both.around.items():
        np.testing.assert_array_equal(kept.around[language].centres, prototypes.centres)
        np.testing.assert_array_equal(kept.around[language].votes, prototypes.votes)
        assert kept.around[language].width == prototypes.width
    with np.load(tmp_path / "smoothing.npz") as arrays:
        np.savez(tmp_path / "older.npz", **{name: array for name, array in arrays.items() if name != "map"})
        np.savez(tmp_path / "hostile.npz", **{**arrays, "languages": np.array([{}, {}], dtype=object)})
    assert Smoothing.load(tmp_path / "older.npz").map == (1.0, 0.0)
    with pytest.raises(ValueError, match="allow_pickle"):
        Smoothing.load(tmp_path / "hostile.npz")
