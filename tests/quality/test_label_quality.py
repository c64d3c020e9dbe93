"""Doubtful labels and videos worth labelling: the rules on arrays, with cleanlab and scikit-learn as oracles, and on the cluster."""

import json
from pathlib import Path

import numpy as np
import pytest
from cleanlab.count import compute_confident_joint, get_confident_thresholds
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from xlclass.catalog import taxonomy
from xlclass.quality.crossfit import fit_logistic, logistic, out_of_fold
from xlclass.quality.label_quality import CHAMPION, JUDGED, OUT_OF_FOLD, density, distinct, doubts, mislabelled, shrunk_thresholds, worth_labelling
from xlclass.schemas import pack_vectors

CATEGORIES = ["music", "sports", "gaming"]


def one_hot(labels, num=3):
    return np.eye(num, dtype=bool)[labels]


def clustered(num, seed, num_categories=3, dim=16, noise=0.35):
    """Unit vectors around one centre per category, and the categories."""
    rng = np.random.default_rng(seed)
    centres = np.eye(dim)[:num_categories]
    truth = rng.integers(0, num_categories, num)
    vectors = centres[truth] + noise * rng.standard_normal((num, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def flip_some(truth, share, seed, num_categories=3):
    """Labels of which exactly that share is wrong, and which."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(len(truth), bool)
    flipped[rng.choice(len(truth), round(share * len(truth)), replace=False)] = True
    return np.where(flipped, (truth + rng.integers(1, num_categories, len(truth))) % num_categories, truth), flipped


def ranking(confidences, labels, thresholds):
    """Places of the doubted labels, most doubtful first, as `mislabelled` orders them."""
    found = doubts(confidences, labels, thresholds)
    order = np.lexsort((-np.nan_to_num(found.says_confidence), found.label_confidence))
    return [place for place in order if found.says[place] >= 0]


# --- the rule ---


def test_doubts_names_the_worst_of_several_labels_and_what_contradicts_it():
    confidences = np.array([[0.9, 0.1, 0.05], [0.9, 0.8, 0.05], [0.2, 0.1, 0.6]])
    labels = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0]], bool)
    found = doubts(confidences, labels, np.full((3, 3), 0.6))
    assert found.label.tolist() == [1, 1, 1]
    assert found.label_confidence.tolist() == [0.1, 0.8, 0.1]
    assert found.says.tolist() == [0, -1, 2]  # a confidence equal to its threshold passes


def test_doubts_leaves_a_label_alone_that_nothing_confident_contradicts():
    confidences = np.array([[0.01, 0.5, 0.5], [0.7, 0.65, 0.1]])
    found = doubts(confidences, one_hot([0, 0]), np.full((2, 3), 0.6))
    assert found.says.tolist() == [-1, -1]  # unsure of everything; surer of the label than of the rest


def test_doubts_leaves_labels_alone_that_are_confident_beside_another():
    found = doubts(np.array([[0.98, 0.7, 0.1], [0.98, 0.7, 0.1]]), np.array([[1, 1, 0], [0, 1, 0]], bool), np.full((2, 3), 0.6))
    assert found.says.tolist() == [-1, -1]


def test_doubts_gives_ties_to_the_lower_category():
    found = doubts(np.array([[0.1, 0.9, 0.9], [0.1, 0.1, 0.9]]), np.array([[1, 0, 0], [1, 1, 0]], bool), np.full((2, 3), 0.5))
    assert (found.says.tolist(), found.label.tolist()) == ([1, 2], [0, 0])


def test_doubts_of_nothing_is_nothing():
    assert len(doubts(np.empty((0, 3)), np.empty((0, 3), bool), np.empty((0, 3))).says) == 0


def test_doubts_agrees_with_cleanlab():
    vectors, truth = clustered(600, 1, noise=0.6)
    given, _ = flip_some(truth, 0.1, 2)
    confidences = out_of_fold(vectors, one_hot(given), np.arange(600) % 5, np.arange(600).astype(str)).astype(np.float64)
    thresholds = get_confident_thresholds(given, confidences)
    found = doubts(confidences, one_hot(given), np.tile(thresholds, (600, 1)))
    quality = get_label_quality_scores_per_class([[label] for label in given], confidences)  # self-confidence
    np.testing.assert_allclose(found.label_confidence, quality[np.arange(600), given], atol=1e-12)
    _, off_diagonal = compute_confident_joint(given, confidences, thresholds=thresholds, calibrate=False, return_indices_of_off_diagonals=True)
    others = np.where(one_hot(given) | (confidences < thresholds), 0, confidences).max(axis=1)
    stricter = (others > found.label_confidence) & (found.label_confidence < thresholds[given])  # surer of the other category, and not of the label
    expected = set(off_diagonal) & set(np.flatnonzero(stricter))
    assert set(np.flatnonzero(found.says >= 0)) == expected
    assert len(expected) > 20


def test_shrunk_thresholds_are_cleanlabs_where_labels_are_many_and_the_pools_where_there_are_none():
    vectors, truth = clustered(90_000, 3, noise=0.5)
    confidences = logistic(vectors, fit_logistic(vectors[:2000], one_hot(truth[:2000])))
    nums = np.array([np.bincount(truth, minlength=3), [0, 0, 0]])
    sums = np.array([[confidences[truth == c, c].sum(dtype=np.float64) for c in range(3)], [0, 0, 0]])
    found = shrunk_thresholds(nums, sums)
    np.testing.assert_allclose(found, np.tile(get_confident_thresholds(truth, confidences), (2, 1)), atol=1e-3)
    assert shrunk_thresholds(np.zeros((1, 2)), np.zeros((1, 2))).tolist() == [[0.5, 0.5]]


# --- out of fold ---


def test_fit_logistic_agrees_with_scikit_learn():
    vectors, truth = clustered(800, 4, noise=0.6)
    labels = one_hot(truth)
    ours = logistic(vectors, fit_logistic(vectors, labels, penalty=1.0))
    for category in range(3):
        theirs = LogisticRegression(C=1.0, tol=1e-8, max_iter=1_000).fit(vectors, labels[:, category]).predict_proba(vectors)[:, 1]
        np.testing.assert_allclose(ours[:, category], theirs, atol=0.02)


def test_out_of_fold_finds_flipped_labels_that_chance_does_not():
    vectors, truth = clustered(2_000, 5, noise=0.2)
    given, flipped = flip_some(truth, 0.05, 6)
    confidences = out_of_fold(vectors, one_hot(given), np.arange(2_000) % 5, np.arange(2_000).astype(str))
    own = np.array([confidences[given == c, c].mean() for c in range(3)])
    best = ranking(confidences, one_hot(given), np.tile(own, (2_000, 1)))[:100]
    assert flipped[best].mean() >= 0.9  # at random 0.05
    assert roc_auc_score(flipped, -doubts(confidences, one_hot(given), np.tile(own, (2_000, 1))).label_confidence) >= 0.97


def test_out_of_fold_never_sees_a_copy_of_the_text_in_another_channel():
    """Labels by coin toss, every text twice, in two folds: a model that saw the copy would know the label."""
    rng = np.random.default_rng(7)
    once = rng.standard_normal((60, 512)).astype(np.float32) * 3
    tossed = one_hot(rng.integers(0, 2, 60), 2)
    vectors, labels, texts = np.vstack([once, once]), np.vstack([tossed, tossed]), np.tile(np.arange(60).astype(str), 2)
    confidences = out_of_fold(vectors, labels, np.repeat([0, 1], 60), texts)
    assert np.isnan(confidences).all()  # nothing is left to learn from
    confidences = out_of_fold(vectors, labels, np.arange(120) % 5, texts)
    assert (confidences.argmax(axis=1) == labels.argmax(axis=1)).mean() < 0.75
    leaking = out_of_fold(vectors, labels, np.arange(120) // 60, np.arange(120).astype(str))
    assert (leaking.argmax(axis=1) == labels.argmax(axis=1)).mean() > 0.95


def test_out_of_fold_of_one_channel_or_nothing_says_nothing():
    vectors, truth = clustered(10, 8)
    assert np.isnan(out_of_fold(vectors, one_hot(truth), np.zeros(10), np.arange(10).astype(str))).all()
    assert out_of_fold(vectors[:0], one_hot(truth)[:0], np.empty(0), np.empty(0, str)).shape == (0, 3)


def test_out_of_fold_survives_null_vectors_and_a_category_without_videos():
    vectors, truth = clustered(60, 9, num_categories=2)
    vectors[:5] = 0
    confidences = out_of_fold(vectors, one_hot(truth), np.arange(60) % 3, np.arange(60).astype(str))
    assert np.isfinite(confidences).all()
    assert confidences[:, 2].max() < 0.1


# --- density ---


def test_density_is_the_mean_cosine_to_the_others():
    reference = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = density(np.array([[2.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]), reference, np.array([0, -1, -1]))
    assert found == pytest.approx([(0.0 + 0.6) / 2, 0.0, 0.0])  # itself left out; a null vector; nothing below 0
    assert density(np.array([[1.0, 0.0]]), reference[:1], np.array([0])).tolist() == [0.0]  # alone in its language


def test_distinct_passes_over_near_duplicates_also_of_earlier_ones():
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0.99, 0.01, 0], [0, 0, 1], [0, 0.01, 0.99]])
    assert distinct(vectors, 9) == [0, 1, 3]
    assert distinct(vectors, 2) == [0, 1]
    assert distinct(vectors[:0], 2) == []


# --- on the demo, with the real vectors ---


@pytest.fixture(scope="module")
def demo_vectors(tmp_path_factory):
    """Vectors, label indicators, channels and languages of the embedded catalogue's English and French videos."""
    from xlclass.encoders.muse.build import embedded_encoder
    from xlclass.encoders.saved_model import load_encoder

    folder = Path(taxonomy.__file__).parent / "demo"
    rows = [json.loads(line) for code in ("en", "fr") for line in (folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]
    names = sorted({name for row in rows for name in row["labels"]})
    labels = np.array([[name in row["labels"] for name in names] for row in rows])
    texts = [". ".join([row["title"] or "", *(row["tags"] or [])]) for row in rows]
    return load_encoder(embedded_encoder(tmp_path_factory.mktemp("cache"))).encode(texts), labels, np.array([row["channel_id"] for row in rows])


def test_flipped_labels_of_the_demo_are_found_again(demo_vectors):
    vectors, labels, channels = demo_vectors
    rng = np.random.default_rng(10)
    flipped = np.zeros(len(labels), bool)
    flipped[rng.choice(len(labels), len(labels) // 20, replace=False)] = True
    given = np.where(flipped[:, None], np.roll(labels, 3, axis=1), labels)
    folds = np.unique(channels, return_inverse=True)[1] % 5
    confidences = out_of_fold(vectors, given, folds, np.arange(len(labels)).astype(str))
    thresholds = shrunk_thresholds(given.sum(axis=0)[None], np.where(given, confidences, 0).sum(axis=0, dtype=np.float64)[None])
    best = ranking(confidences, given, np.tile(thresholds, (len(labels), 1)))[: flipped.sum()]
    assert flipped[best].sum() / flipped.sum() >= 0.5  # at random 0.05


# --- on the cluster ---


def test_mislabelled_ranks_and_explains_per_language(spark):
    sure = [(f"s{i}", "en", CHAMPION, [i % 3], np.roll([0.9, 0.05, 0.05], i % 3).tolist()) for i in range(60)]
    rows = [
        ("wrong", "en", CHAMPION, [0], [0.02, 0.95, 0.03]),
        ("tie b", "en", CHAMPION, [1], [0.9, 0.1, 0.0]),
        ("tie a", "en", CHAMPION, [1], [0.9, 0.1, 0.0]),
        ("surer", "en", CHAMPION, [1], [0.95, 0.1, 0.0]),
        ("several", "en", CHAMPION, [0, 2], [0.92, 0.0, 0.2]),
        ("below the list", "en", CHAMPION, [2], [0.9, 0.0, 0.3]),
        ("unsure", "en", CHAMPION, [2], [0.4, 0.4, 0.05]),
        ("folded", "fr", OUT_OF_FOLD, [2], [0.9, 0.0, 0.1]),
        ("few", "th", CHAMPION, [2], [0.95, 0.0, 0.1]),  # a language of one video
    ]
    found = mislabelled(spark.createDataFrame([*sure, *rows], JUDGED), CATEGORIES, 5).collect()
    listed = {}
    for row in found:
        listed.setdefault(row["language"], []).append(row["video_id"])
    assert listed == {"en": ["wrong", "surer", "tie a", "tie b", "several"], "fr": ["folded"], "th": ["few"]}
    reasons = {row["video_id"]: row["reason"] for row in found}
    assert reasons["wrong"] == "the model says sports with a confidence of 0.95, and gives the label music only 0.02"
    assert reasons["several"] == "the model says music with a confidence of 0.92, and gives the label gaming only 0.20"
    assert reasons["folded"].startswith("a model trained without its channel says music")
    assert {row["issue"] for row in found} == {"mislabelled"}
    scores = {row["video_id"]: row["score"] for row in found}
    assert (scores["wrong"], scores["tie a"], scores["folded"]) == pytest.approx((1 - 0.5 / 68, 1 - 2.5 / 68, 0.5))  # 68 labels in English


def test_mislabelled_gives_each_judge_its_share_of_the_list(spark):
    """Of 30 labels judged out of fold and 60 by a champion of more extreme confidences, a third of each is wrong."""
    wrong = [(f"{who}{i}", "en", who, [1], [0.9, low, 0.0]) for who, num, low in ((OUT_OF_FOLD, 10, 0.2), (CHAMPION, 20, 0.01)) for i in range(num)]
    right = [(f"{who}-r{i}", "en", who, [0], [0.9, 0.1, 0.0]) for who, num in ((OUT_OF_FOLD, 20), (CHAMPION, 40)) for i in range(num)]
    found = mislabelled(spark.createDataFrame([*wrong, *right], JUDGED), CATEGORIES, 9).collect()
    assert sorted(row["reason"].split(" says")[0] for row in found) == ["a model trained without its channel"] * 3 + ["the model"] * 6


def test_mislabelled_of_no_labelled_videos_is_empty(spark):
    assert mislabelled(spark.createDataFrame([], JUDGED), CATEGORIES, 5).collect() == []


UNLABELLED = "video_id string, language string, text_hash string, top_category string, top_confidence float, vector binary"


def _unlabelled(ids, language, confidence, vectors, hashes=None):
    rows = zip(ids, hashes or ids, pack_vectors(np.asarray(vectors)), strict=True)
    return [(video, language, text, "music", confidence, packed) for video, text, packed in rows]


def test_worth_labelling_prefers_unsure_dense_regions(spark):
    rng = np.random.default_rng(11)
    around = lambda axis, num: np.eye(32)[axis] + 0.12 * rng.standard_normal((num, 32))  # noqa: E731  cosines of 0.6 or so within
    rows = [
        *_unlabelled([f"unsure{i}" for i in range(40)], "th", 0.3, around(0, 40)),
        *_unlabelled([f"sure{i}" for i in range(40)], "th", 0.95, around(1, 40)),
        *_unlabelled([f"outlier{i}" for i in range(8)], "th", 0.05, np.eye(32)[20:28]),
        *_unlabelled(["nowhere"], "th", 0.05, np.zeros((1, 32))),
        *_unlabelled(["alone"], "ka", 0.2, around(2, 1)),
    ]
    found = worth_labelling(spark.createDataFrame(rows, UNLABELLED), 10)
    thai = [row for row in found if row[1] == "th"]
    assert [row[0][:6] for row in thai] == ["unsure"] * 10
    assert [row[3] for row in thai] == sorted((row[3] for row in thai), reverse=True)
    assert [row[0] for row in found if row[1] == "ka"] == ["alone"]
    assert "the model's best guess, music, has a confidence of 0.30" in thai[0][4]


def test_worth_labelling_lists_near_duplicates_once(spark):
    rng = np.random.default_rng(12)
    copies = np.eye(16)[[0] * 20] + 0.01 * rng.standard_normal((20, 16))
    others = np.eye(16)[1:5] + np.eye(16)[0] * 0.5
    rows = [
        *_unlabelled([f"copy{i}" for i in range(20)], "en", 0.2, copies),
        *_unlabelled(["same a", "same b"], "en", 0.2, others[[0, 0]], ["text", "text"]),
        *_unlabelled(["b", "c", "d"], "en", 0.5, others[1:]),
    ]
    found = [row[0] for row in worth_labelling(spark.createDataFrame(rows, UNLABELLED), 10)]
    assert sum(video.startswith("copy") for video in found) == 1
    assert {"same a", "b", "c", "d"} < set(found)
    assert "same b" not in found


def test_worth_labelling_of_nothing_is_nothing(spark):
    assert worth_labelling(spark.createDataFrame([], UNLABELLED), 10) == []
