"""Prototypes: what is near is found, shares are the estimate of the formula, and a file holds all of them."""

import numpy as np
import pytest

from xlclass.model.neighbours import Prototypes, fit_prototypes

RNG = np.random.default_rng(3)
CENTRES = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
LABELS = np.eye(8)[np.repeat(np.arange(8), 50)]
VECTORS = np.repeat(CENTRES, 50, axis=0) + RNG.normal(0, 0.02, (400, 8))


def test_far_apart_heaps_get_prototypes_of_their_own_category():
    found = fit_prototypes(VECTORS, LABELS, 64, 0.03, 7)
    assert found.votes[:, -1].sum() == 400
    assert ((found.votes[:, :-1] > 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-6)
    assert (found.shares(CENTRES).argmax(axis=1) == np.arange(8)).all()


def test_shares_are_those_of_the_kernel_in_double_precision():
    found = fit_prototypes(VECTORS, LABELS, 64, 0.05, 7)
    asked = RNG.normal(size=(100, 8))
    cosines = (asked / np.linalg.norm(asked, axis=1, keepdims=True)) @ found.centres.astype(np.float64).T
    votes = np.exp(cosines / 0.05) @ found.votes.astype(np.float64)
    np.testing.assert_allclose(found.shares(asked), votes[:, :-1] / votes[:, -1:], atol=2e-5)


def test_shares_do_not_depend_on_length_and_are_finite_far_from_everything():
    found = fit_prototypes(VECTORS, LABELS, 64, 0.02, 7)
    asked = RNG.normal(size=(20, 8))
    np.testing.assert_allclose(found.shares(asked), found.shares(1000 * asked), atol=1e-4)
    odd = found.shares(np.vstack([-CENTRES.sum(axis=0), np.zeros(8)]))
    assert np.isfinite(odd).all()
    np.testing.assert_allclose(odd.sum(axis=1), 1, atol=1e-5)  # one label a video


@pytest.mark.parametrize(("num", "most", "expected"), [(400, 10, 10), (400, 1_000, 100), (5, 512, 1), (1, 512, 1)])
def test_number_of_prototypes_is_bounded_by_setting_and_videos(num, most, expected):
    rows = RNG.permutation(400)[:num]
    found = fit_prototypes(VECTORS[rows], LABELS[rows], most, 0.03, 7)
    assert 0.5 * expected <= len(found.centres) <= expected
    assert found.votes[:, -1].sum() == num


def test_same_seed_gives_the_same_and_another_seed_other_prototypes():
    first, again, other = (fit_prototypes(VECTORS, LABELS, 16, 0.03, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.centres, again.centres)
    assert not np.array_equal(first.centres, other.centres)


def test_file_holds_all_of_them_and_no_pickle(tmp_path):
    found = fit_prototypes(VECTORS, LABELS, 16, 0.03, 7)
    found.save(tmp_path / "prototypes.npz")
    kept = Prototypes.load(tmp_path / "prototypes.npz")
    np.testing.assert_array_equal(kept.centres, found.centres)
    np.testing.assert_array_equal(kept.votes, found.votes)
    assert kept.width == 0.03
    np.savez(tmp_path / "hostile.npz", centres=np.array([{}], dtype=object), votes=found.votes, width=0.1)
    with pytest.raises(ValueError, match="allow_pickle"):
        Prototypes.load(tmp_path / "hostile.npz")
