"""Neighbour corrections: prototypes find what is near, shares follow the formula, propagation changes unlabelled languages only."""

import numpy as np
from scipy.special import expit, logit

from xlclass.model.calibration import LanguageMap
from xlclass.model.neighbours import NeighbourWeights, Propagation, Prototypes, fit_prototypes

RNG = np.random.default_rng(3)
CENTRES = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
LABELS = np.eye(8)[np.repeat(np.arange(8), 50)]
VECTORS = np.repeat(CENTRES, 50, axis=0) + RNG.normal(0, 0.02, (400, 8))
WEIGHTS = NeighbourWeights(0.03, 0.5)

NOISE = np.random.default_rng(5)
CLUSTER = np.repeat([0, 1], 100)
TWO = (np.linalg.qr(NOISE.normal(size=(8, 8)))[0][CLUSTER] + NOISE.normal(0, 0.02, (200, 8))).astype(np.float32)
ODDS = np.where(CLUSTER[:, None] == [0, 1], 2.0, -2.0) + NOISE.normal(0, 3.0, (200, 2))  # right on average, often wrong for one video
PROPAGATION = Propagation({"th": fit_prototypes(TWO, expit(ODDS), 16, NeighbourWeights(0.02, 0.5), 7)})


def test_separate_clusters_get_prototypes_of_their_own_category():
    prototypes = fit_prototypes(VECTORS, LABELS, 64, WEIGHTS, 7)
    assert prototypes.votes[:, -1].sum() == 400
    assert ((prototypes.votes[:, :-1] > 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(np.linalg.norm(prototypes.centres, axis=1), 1, atol=1e-6)
    assert (prototypes.shares(CENTRES).argmax(axis=1) == np.arange(8)).all()


def test_shares_are_those_of_the_kernel_in_double_precision():
    prototypes = fit_prototypes(VECTORS, LABELS, 64, NeighbourWeights(0.05, 0.5), 7)
    vectors = RNG.normal(size=(100, 8))
    cosines = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ prototypes.centres.astype(np.float64).T
    votes = np.exp(cosines / 0.05) @ prototypes.votes.astype(np.float64)
    np.testing.assert_allclose(prototypes.shares(vectors), votes[:, :-1] / votes[:, -1:], atol=2e-5)


def test_shares_do_not_depend_on_length_and_are_finite_far_from_everything():
    prototypes = fit_prototypes(VECTORS, LABELS, 64, NeighbourWeights(0.02, 0.5), 7)
    vectors = RNG.normal(size=(20, 8))
    np.testing.assert_allclose(prototypes.shares(vectors), prototypes.shares(1000 * vectors), atol=1e-4)
    far = prototypes.shares(np.vstack([-CENTRES.sum(axis=0), np.zeros(8)]))
    assert np.isfinite(far).all()
    np.testing.assert_allclose(far.sum(axis=1), 1, atol=1e-5)  # one label a video


def test_number_of_prototypes_is_bounded_by_limit_and_videos():
    for num, limit, expected in ((400, 10, 10), (400, 1_000, 100), (5, 512, 1), (1, 512, 1)):
        rows = RNG.permutation(400)[:num]
        prototypes = fit_prototypes(VECTORS[rows], LABELS[rows], limit, WEIGHTS, 7)
        assert 0.5 * expected <= len(prototypes.centres) <= expected, (num, limit)
        assert prototypes.votes[:, -1].sum() == num


def test_same_seed_gives_the_same_and_another_seed_other_prototypes():
    first, again, other = (fit_prototypes(VECTORS, LABELS, 16, WEIGHTS, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.centres, again.centres)
    assert not np.array_equal(first.centres, other.centres)


def test_pool_is_the_weighted_mean_of_log_odds():
    """By hand: 0.75 * 2 + 0.25 * logit(0.5), and a share of 0 counts as 0.001."""
    prototypes = Prototypes(np.eye(2, dtype=np.float32), np.array([[1, 0, 2], [2, 2, 2]], np.float32), NeighbourWeights(0.01, 0.25))
    pooled = prototypes.pool(np.array([[2.0, 2.0]]), np.array([[3.0, 0.0]]))
    np.testing.assert_allclose(pooled, [[1.5, 1.5 + 0.25 * logit(0.001)]], atol=1e-6)


def test_propagation_lets_similar_videos_outvote_an_outlier():
    propagated = PROPAGATION.apply(ODDS, TWO, ["th"] * 200)
    wrong_before, wrong_after = ((odds.argmax(axis=1) != CLUSTER).mean() for odds in (ODDS, propagated))
    assert wrong_before > 0.1
    assert wrong_after < wrong_before / 2
    mean = np.array([expit(ODDS[cluster == CLUSTER]).mean(axis=0) for cluster in (0, 1)])
    np.testing.assert_allclose(propagated, 0.5 * ODDS + 0.5 * logit(mean)[CLUSTER], atol=0.35)  # a cluster has several prototypes


def test_propagation_leaves_other_languages_unchanged():
    languages = np.where(np.arange(200) % 2, "th", "de").astype(object)
    plain, mapped = (Propagation(PROPAGATION.languages, after).apply(ODDS, TWO, languages) for after in (LanguageMap(), LanguageMap(0.5, 1.0)))
    for propagated in (plain, mapped):
        np.testing.assert_array_equal(propagated[languages == "de"], ODDS[languages == "de"])
    assert not np.isclose(plain[languages == "th"], ODDS[languages == "th"]).all(axis=1).any()
    np.testing.assert_allclose(mapped[languages == "th"], 2 * plain[languages == "th"] + 1)
    assert PROPAGATION.apply(np.empty((0, 2)), np.empty((0, 8), np.float32), []).shape == (0, 2)
