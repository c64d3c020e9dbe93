"""Suspect labels and videos worth labelling: the rules on arrays, with cleanlab and scikit-learn as oracles, and the Spark transforms."""

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
from xlclass.quality.label_quality import CHAMPION, JUDGED, OUT_OF_FOLD, check_labels, density, distinct, mislabelled, shrunk_thresholds, worth_labelling
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
    """Labels with exactly that share flipped, and which ones are flipped."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(len(truth), bool)
    flipped[rng.choice(len(truth), round(share * len(truth)), replace=False)] = True
    return np.where(flipped, (truth + rng.integers(1, num_categories, len(truth))) % num_categories, truth), flipped


def ranking(confidences, labels, thresholds):
    """Rows of the suspect labels in the order of `mislabelled`, most suspect first."""
    check = check_labels(confidences, labels, thresholds)
    order = np.lexsort((-np.nan_to_num(check.alternative_confidence), check.label_confidence))
    return [row for row in order if check.alternative[row] >= 0]


# --- the rule ---


def test_check_labels_takes_the_least_confident_label_and_its_strongest_alternative():
    confidences = np.array([[0.9, 0.1, 0.05], [0.9, 0.8, 0.05], [0.2, 0.1, 0.6]])
    labels = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0]], bool)
    check = check_labels(confidences, labels, np.full((3, 3), 0.6))
    assert check.label.tolist() == [1, 1, 1]
    assert check.label_confidence.tolist() == [0.1, 0.8, 0.1]
    assert check.alternative.tolist() == [0, -1, 2]  # a confidence equal to its threshold passes


def test_check_labels_accepts_a_label_without_a_confident_alternative():
    confidences = np.array([[0.01, 0.5, 0.5], [0.7, 0.65, 0.1]])
    check = check_labels(confidences, one_hot([0, 0]), np.full((2, 3), 0.6))
    assert check.alternative.tolist() == [-1, -1]  # no category is confident; the label is the most confident category


def test_check_labels_accepts_a_confident_label_next_to_another_confident_category():
    check = check_labels(np.array([[0.98, 0.7, 0.1], [0.98, 0.7, 0.1]]), np.array([[1, 1, 0], [0, 1, 0]], bool), np.full((2, 3), 0.6))
    assert check.alternative.tolist() == [-1, -1]


def test_check_labels_gives_ties_to_the_lower_category():
    check = check_labels(np.array([[0.1, 0.9, 0.9], [0.1, 0.1, 0.9]]), np.array([[1, 0, 0], [1, 1, 0]], bool), np.full((2, 3), 0.5))
    assert (check.alternative.tolist(), check.label.tolist()) == ([1, 2], [0, 0])


def test_check_labels_accepts_empty_arrays():
    assert len(check_labels(np.empty((0, 3)), np.empty((0, 3), bool), np.empty((0, 3))).alternative) == 0


def test_check_labels_agrees_with_cleanlab():
    vectors, truth = clustered(600, 1, noise=0.6)
    labels, _ = flip_some(truth, 0.1, 2)
    confidences = out_of_fold(vectors, one_hot(labels), np.arange(600) % 5, np.arange(600).astype(str)).astype(np.float64)
    thresholds = get_confident_thresholds(labels, confidences)
    check = check_labels(confidences, one_hot(labels), np.tile(thresholds, (600, 1)))
    self_confidence = get_label_quality_scores_per_class([[label] for label in labels], confidences)
    np.testing.assert_allclose(check.label_confidence, self_confidence[np.arange(600), labels], atol=1e-12)
    _, off_diagonal = compute_confident_joint(labels, confidences, thresholds=thresholds, calibrate=False, return_indices_of_off_diagonals=True)
    best_alternative = np.where(one_hot(labels) | (confidences < thresholds), 0, confidences).max(axis=1)
    label_is_unsure = (best_alternative > check.label_confidence) & (check.label_confidence < thresholds[labels])
    expected = set(off_diagonal) & set(np.flatnonzero(label_is_unsure))
    assert set(np.flatnonzero(check.alternative >= 0)) == expected
    assert len(expected) > 20


def test_shrunk_thresholds_equal_cleanlabs_with_many_labels_and_the_pooled_ones_with_none():
    vectors, truth = clustered(90_000, 3, noise=0.5)
    confidences = logistic(vectors, fit_logistic(vectors[:2000], one_hot(truth[:2000])))
    nums = np.array([np.bincount(truth, minlength=3), [0, 0, 0]])
    sums = np.array([[confidences[truth == c, c].sum(dtype=np.float64) for c in range(3)], [0, 0, 0]])
    np.testing.assert_allclose(shrunk_thresholds(nums, sums), np.tile(get_confident_thresholds(truth, confidences), (2, 1)), atol=1e-3)
    assert shrunk_thresholds(np.zeros((1, 2)), np.zeros((1, 2))).tolist() == [[0.5, 0.5]]


# --- out of fold ---


def test_fit_logistic_agrees_with_scikit_learn():
    vectors, truth = clustered(800, 4, noise=0.6)
    labels = one_hot(truth)
    confidences = logistic(vectors, fit_logistic(vectors, labels, penalty=1.0))
    for category in range(3):
        expected = LogisticRegression(C=1.0, tol=1e-8, max_iter=1_000).fit(vectors, labels[:, category]).predict_proba(vectors)[:, 1]
        np.testing.assert_allclose(confidences[:, category], expected, atol=0.02)


def test_out_of_fold_finds_flipped_labels():
    vectors, truth = clustered(2_000, 5, noise=0.2)
    labels, flipped = flip_some(truth, 0.05, 6)
    confidences = out_of_fold(vectors, one_hot(labels), np.arange(2_000) % 5, np.arange(2_000).astype(str))
    thresholds = np.tile([confidences[labels == c, c].mean() for c in range(3)], (2_000, 1))
    most_suspect = ranking(confidences, one_hot(labels), thresholds)[:100]
    assert flipped[most_suspect].mean() >= 0.9  # at random 0.05
    assert roc_auc_score(flipped, -check_labels(confidences, one_hot(labels), thresholds).label_confidence) >= 0.97


def test_out_of_fold_does_not_train_on_a_copy_of_the_text_in_another_channel():
    """Labels are random and every text occurs in two folds. A model that was trained on the copy would predict the label."""
    rng = np.random.default_rng(7)
    originals = rng.standard_normal((60, 512)).astype(np.float32) * 3
    random_labels = one_hot(rng.integers(0, 2, 60), 2)
    vectors, labels, texts = np.vstack([originals, originals]), np.vstack([random_labels, random_labels]), np.tile(np.arange(60).astype(str), 2)
    confidences = out_of_fold(vectors, labels, np.repeat([0, 1], 60), texts)
    assert np.isnan(confidences).all()  # no training video is left
    confidences = out_of_fold(vectors, labels, np.arange(120) % 5, texts)
    assert (confidences.argmax(axis=1) == labels.argmax(axis=1)).mean() < 0.75
    leaking = out_of_fold(vectors, labels, np.arange(120) // 60, np.arange(120).astype(str))
    assert (leaking.argmax(axis=1) == labels.argmax(axis=1)).mean() > 0.95


def test_out_of_fold_of_one_fold_or_no_videos_gives_no_confidence():
    vectors, truth = clustered(10, 8)
    assert np.isnan(out_of_fold(vectors, one_hot(truth), np.zeros(10), np.arange(10).astype(str))).all()
    assert out_of_fold(vectors[:0], one_hot(truth)[:0], np.empty(0), np.empty(0, str)).shape == (0, 3)


def test_out_of_fold_accepts_zero_vectors_and_a_category_without_videos():
    vectors, truth = clustered(60, 9, num_categories=2)
    vectors[:5] = 0
    confidences = out_of_fold(vectors, one_hot(truth), np.arange(60) % 3, np.arange(60).astype(str))
    assert np.isfinite(confidences).all()
    assert confidences[:, 2].max() < 0.1


# --- density ---


def test_density_is_the_mean_cosine_to_the_other_videos():
    sample = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    densities = density(np.array([[2.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]), sample, np.array([0, -1, -1]))
    assert densities == pytest.approx([(0.0 + 0.6) / 2, 0.0, 0.0])  # the video itself is left out; a zero vector; never negative
    assert density(np.array([[1.0, 0.0]]), sample[:1], np.array([0])).tolist() == [0.0]  # the only video of its language


def test_distinct_skips_near_duplicates_of_every_kept_vector():
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0.99, 0.01, 0], [0, 0, 1], [0, 0.01, 0.99]])
    assert distinct(vectors, 9) == [0, 1, 3]
    assert distinct(vectors, 2) == [0, 1]
    assert distinct(vectors[:0], 2) == []


# --- on the demo catalogue, with MUSE's vectors ---


@pytest.fixture(scope="module")
def demo_vectors(tmp_path_factory):
    """Vectors, label indicators, channels and languages of the embedded catalogue's English and French videos."""
    from xlclass.encoders.muse.build import muse_encoder
    from xlclass.encoders.saved_model import load_encoder

    folder = Path(taxonomy.__file__).parent / "demo"
    rows = [json.loads(line) for code in ("en", "fr") for line in (folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]
    names = sorted({name for row in rows for name in row["labels"]})
    labels = np.array([[name in row["labels"] for name in names] for row in rows])
    texts = [". ".join([row["title"] or "", *(row["tags"] or [])]) for row in rows]
    return load_encoder(muse_encoder(tmp_path_factory.mktemp("cache"))).encode(texts), labels, np.array([row["channel_id"] for row in rows])


def test_flipped_labels_of_the_demo_are_found(demo_vectors):
    vectors, labels, channels = demo_vectors
    rng = np.random.default_rng(10)
    flipped = np.zeros(len(labels), bool)
    flipped[rng.choice(len(labels), len(labels) // 20, replace=False)] = True
    observed = np.where(flipped[:, None], np.roll(labels, 3, axis=1), labels)
    folds = np.unique(channels, return_inverse=True)[1] % 5
    confidences = out_of_fold(vectors, observed, folds, np.arange(len(labels)).astype(str))
    thresholds = shrunk_thresholds(observed.sum(axis=0)[None], np.where(observed, confidences, 0).sum(axis=0, dtype=np.float64)[None])
    most_suspect = ranking(confidences, observed, np.tile(thresholds, (len(labels), 1)))[: flipped.sum()]
    assert flipped[most_suspect].sum() / flipped.sum() >= 0.5  # at random 0.05


# --- in Spark ---


def test_mislabelled_ranks_and_explains_per_language(spark):
    accepted = [(f"s{i}", "en", CHAMPION, [i % 3], np.roll([0.9, 0.05, 0.05], i % 3).tolist()) for i in range(60)]
    rows = [
        ("wrong", "en", CHAMPION, [0], [0.02, 0.95, 0.03]),
        ("tie b", "en", CHAMPION, [1], [0.9, 0.1, 0.0]),
        ("tie a", "en", CHAMPION, [1], [0.9, 0.1, 0.0]),
        ("more confident", "en", CHAMPION, [1], [0.95, 0.1, 0.0]),
        ("several", "en", CHAMPION, [0, 2], [0.92, 0.0, 0.2]),
        ("below the list", "en", CHAMPION, [2], [0.9, 0.0, 0.3]),
        ("unsure", "en", CHAMPION, [2], [0.4, 0.4, 0.05]),
        ("folded", "fr", OUT_OF_FOLD, [2], [0.9, 0.0, 0.1]),
        ("few", "th", CHAMPION, [2], [0.95, 0.0, 0.1]),  # a language of one video
    ]
    issues = mislabelled(spark.createDataFrame([*accepted, *rows], JUDGED), CATEGORIES, 5).collect()
    listed = {}
    for row in issues:
        listed.setdefault(row["language"], []).append(row["video_id"])
    assert listed == {"en": ["wrong", "more confident", "tie a", "tie b", "several"], "fr": ["folded"], "th": ["few"]}
    reasons = {row["video_id"]: row["reason"] for row in issues}
    assert reasons["wrong"] == "the model predicts sports with confidence 0.95; the label music has confidence 0.02"
    assert reasons["several"] == "the model predicts music with confidence 0.92; the label gaming has confidence 0.20"
    assert reasons["folded"].startswith("a model trained without this channel predicts music")
    assert {row["issue"] for row in issues} == {"mislabelled"}
    scores = {row["video_id"]: row["score"] for row in issues}
    assert (scores["wrong"], scores["tie a"], scores["folded"]) == pytest.approx((1 - 0.5 / 68, 1 - 2.5 / 68, 0.5))  # 68 labels in English


def test_mislabelled_gives_each_judge_its_share_of_the_list(spark):
    """30 labels are judged out of fold and 60 by a champion with more extreme confidences; a third of each is wrong."""
    wrong = [(f"{judge}{i}", "en", judge, [1], [0.9, low, 0.0]) for judge, num, low in ((OUT_OF_FOLD, 10, 0.2), (CHAMPION, 20, 0.01)) for i in range(num)]
    correct = [(f"{judge}-c{i}", "en", judge, [0], [0.9, 0.1, 0.0]) for judge, num in ((OUT_OF_FOLD, 20), (CHAMPION, 40)) for i in range(num)]
    issues = mislabelled(spark.createDataFrame([*wrong, *correct], JUDGED), CATEGORIES, 9).collect()
    assert sorted(row["reason"].split(" predicts")[0] for row in issues) == ["a model trained without this channel"] * 3 + ["the model"] * 6


def test_mislabelled_of_no_labelled_videos_is_empty(spark):
    assert mislabelled(spark.createDataFrame([], JUDGED), CATEGORIES, 5).collect() == []


UNLABELLED = "video_id string, language string, text_hash string, top_category string, top_confidence float, vector binary"


def _unlabelled(ids, language, confidence, vectors, hashes=None):
    rows = zip(ids, hashes or ids, pack_vectors(np.asarray(vectors)), strict=True)
    return [(video, language, text, "music", confidence, packed) for video, text, packed in rows]


def test_worth_labelling_prefers_unsure_videos_in_dense_regions(spark):
    rng = np.random.default_rng(11)
    around = lambda axis, num: np.eye(32)[axis] + 0.12 * rng.standard_normal((num, 32))  # noqa: E731  cosines of about 0.6 among these vectors
    rows = [
        *_unlabelled([f"unsure{i}" for i in range(40)], "th", 0.3, around(0, 40)),
        *_unlabelled([f"sure{i}" for i in range(40)], "th", 0.95, around(1, 40)),
        *_unlabelled([f"outlier{i}" for i in range(8)], "th", 0.05, np.eye(32)[20:28]),
        *_unlabelled(["zero vector"], "th", 0.05, np.zeros((1, 32))),
        *_unlabelled(["alone"], "ka", 0.2, around(2, 1)),
    ]
    issues = worth_labelling(spark.createDataFrame(rows, UNLABELLED), 10)
    thai = [row for row in issues if row[1] == "th"]
    assert [row[0][:6] for row in thai] == ["unsure"] * 10
    assert [row[3] for row in thai] == sorted((row[3] for row in thai), reverse=True)
    assert [row[0] for row in issues if row[1] == "ka"] == ["alone"]
    assert thai[0][4].startswith("the model's top category music has confidence 0.30; the mean cosine to the nearest videos of the language is 0.")


def test_worth_labelling_lists_near_duplicates_once(spark):
    rng = np.random.default_rng(12)
    copies = np.eye(16)[[0] * 20] + 0.01 * rng.standard_normal((20, 16))
    different = np.eye(16)[1:5] + np.eye(16)[0] * 0.5
    rows = [
        *_unlabelled([f"copy{i}" for i in range(20)], "en", 0.2, copies),
        *_unlabelled(["same a", "same b"], "en", 0.2, different[[0, 0]], ["text", "text"]),
        *_unlabelled(["b", "c", "d"], "en", 0.5, different[1:]),
    ]
    listed = [row[0] for row in worth_labelling(spark.createDataFrame(rows, UNLABELLED), 10)]
    assert sum(video_id.startswith("copy") for video_id in listed) == 1
    assert {"same a", "b", "c", "d"} < set(listed)
    assert "same b" not in listed


def test_worth_labelling_of_no_unlabelled_videos_is_empty(spark):
    assert worth_labelling(spark.createDataFrame([], UNLABELLED), 10) == []
