"""The decision chain: every step in its place, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from xlclass.model.calibration import LanguageMap, LanguageMaps, Platt
from xlclass.model.chain import DecisionChain
from xlclass.model.neighbours import NeighbourWeights, Propagation, Prototypes
from xlclass.model.thresholds import Thresholds


class IdentityHead:
    """A head whose logits are its vectors."""

    def logits(self, vectors):
        return np.asarray(vectors, np.float32)


PLAIN = DecisionChain(IdentityHead(), Platt((1.0,) * 3, (0.0,) * 3), thresholds=Thresholds((0.5, 0.5, 0.7)))
PROTOTYPES = Prototypes(np.eye(3, dtype=np.float32), np.array([[4, 0, 0, 4], [1, 0, 3, 4], [0, 0, 4, 4]], np.float32), NeighbourWeights(0.1, 0.5))


def test_decide_gives_at_least_the_top_category_and_ties_to_the_lower_index():
    confidences = np.array([[0.1, 0.3, 0.2], [0.6, 0.1, 0.8], [0.2, 0.4, 0.4], [0.3, 0.3, 0.3], [0.9, 0.9, 0.9]])
    decisions = PLAIN.decide(logit(confidences), ["de"] * 5)
    assert decisions.top.tolist() == [1, 2, 1, 0, 0]
    assert [np.flatnonzero(row).tolist() for row in decisions.passed] == [[1], [0, 2], [1], [0], [0, 1, 2]]


def test_decide_takes_no_videos():
    full = replace(PLAIN, neighbours=PROTOTYPES, propagation=Propagation({"th": PROTOTYPES}))
    for chain in (PLAIN, full):
        decisions = chain.decide(np.empty((0, 3), np.float32), [])
        assert decisions.confidences.shape == decisions.passed.shape == (0, 3)
        assert decisions.passed.dtype == bool
        assert decisions.top.shape == decisions.top_logits.shape == (0,)


def test_decide_calibrates_by_language_and_keeps_the_logits():
    chain = replace(
        PLAIN,
        platt=Platt((2.0, 1.0, 1.0), (0.0, 0.0, -1.0)),
        maps=LanguageMaps({"fr": LanguageMap(2.0, 0.5)}, LanguageMap(1.0, 1.0)),
        prior_shifts={"th": (0.0, 3.0, 0.0)},
    )
    logits = np.array([[1.0, 1.5, 1.0]] * 3, np.float32)
    decisions = chain.decide(logits, ["de", "fr", "th"])
    np.testing.assert_allclose(decisions.confidences, expit(np.array([[3, 2.5, 1], [1.5, 1.25, 0.5], [3, 5.5, 1]])), rtol=1e-6)
    np.testing.assert_array_equal(decisions.logits, logits)
    assert decisions.confidences.dtype == np.float32
    assert decisions.top.tolist() == [0, 0, 1]
    assert decisions.top_logits.tolist() == [1.0, 1.0, 1.5]


def test_decide_pools_with_the_neighbours_before_the_languages_map():
    vectors = np.array([[0.0, 2.0, 0.0], [5.0, 0.0, 0.0]], np.float32)
    chain = replace(PLAIN, neighbours=PROTOTYPES, maps=LanguageMaps({"th": LanguageMap(2.0, 1.0)}))
    pooled = 0.5 * vectors + 0.5 * logit([[0.25, 0.001, 0.75], [0.999, 0.001, 0.001]])
    np.testing.assert_allclose(chain.log_odds(vectors, ["de", "th"]), [pooled[0], pooled[1] / 2 + 1], atol=1e-3)
    decisions = chain.decide(vectors, ["de", "th"])
    assert decisions.top.tolist() == [2, 0]
    assert decisions.top_logits.tolist() == [0.0, 5.0]


def test_decide_propagates_last_and_in_its_languages_only():
    chain = replace(PLAIN, prior_shifts={"th": (1.0, 1.0, 1.0)}, propagation=Propagation({"th": PROTOTYPES}, LanguageMap(2.0, 0.5)))
    vectors = np.array([[3.0, 0.0, 0.0]] * 2, np.float32)
    propagated = (0.5 * np.array([4.0, 1.0, 1.0]) + 0.5 * logit([0.999, 0.001, 0.001])) / 2 + 0.5
    np.testing.assert_allclose(chain.log_odds(vectors, ["th", "de"]), [propagated, vectors[1]], atol=1e-3)


@pytest.mark.parametrize("language", ["en", "th"])
def test_decide_gives_a_video_the_same_confidences_alone_and_in_a_batch(language):
    chain = replace(PLAIN, neighbours=PROTOTYPES, maps=LanguageMaps({"en": LanguageMap(2.0, 0.5)}), propagation=Propagation({"th": PROTOTYPES}))
    vectors = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    together, alone = chain.decide(vectors, ["de", language] * 10), chain.decide(vectors[1:2], [language])
    np.testing.assert_allclose(together.confidences[1], alone.confidences[0], atol=1e-6)
