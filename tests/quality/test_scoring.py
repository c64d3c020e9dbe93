"""Scores counted by Spark, against scikit-learn and Spark's own evaluators. Each random catalogue is one language of one frame."""

import numpy as np
import pytest
from pyspark.ml.evaluation import MulticlassClassificationEvaluator, MultilabelClassificationEvaluator
from samples import SCORED
from scipy.special import expit
from sklearn import metrics as oracle
from test_selective import sorted_accuracy

from xlclass.quality.calibration_error import bins_of
from xlclass.quality.scoring import NO_TEXT, confidence_by_language, confusion, score_languages
from xlclass.quality.selective import COVERAGES

CATEGORIES = ["a", "b", "it's c", "d", "absent"]  # the last one is never a label and never predicted
RANDOM = [f"random{i:02}" for i in range(24)]
SINGLE = ["single", "single large"]  # one label a video
EMPTY = ["no text", "nothing predicted"]
ALL = [*RANDOM, *SINGLE, *EMPTY]


class Videos:
    """A language's videos: `labels` and `predicted (n, 5) bool`, `confidences (n, 5) float32`, `logits (n,) float32`; nan without a text."""

    def __init__(self, language):
        rng = np.random.default_rng(ALL.index(language))
        num = 3_000 if language == "single large" else int(rng.integers(1, 80))
        self.labels = rng.random((num, 5)) < [0.5, 0.3, 0.2, rng.choice([0, 0.1]), 0]
        if language in SINGLE:
            self.labels = np.eye(5, dtype=bool)[rng.integers(0, 4, num)]
        self.labels[~self.labels.any(axis=1), 0] = True
        self.confidences = rng.random((num, 5)).round(1).astype(np.float32)  # ties, and 0 and 1
        self.confidences[:, 4] = 0.0
        self.logits = rng.normal(0, 40 if language == RANDOM[0] else 2, num).astype(np.float32)
        self.predicted = self.confidences >= (2 if language == "nothing predicted" else 0.6)
        lacks_text = rng.random(num) < (1 if language == "no text" else 0.1)
        self.confidences[lacks_text], self.logits[lacks_text], self.predicted[lacks_text] = np.nan, np.nan, False
        self.has_text = ~lacks_text
        self.top = np.where(lacks_text, -1, self.confidences.argmax(axis=1))
        self.top_confidence = self.confidences.max(axis=1).astype(np.float64)
        self.correct = self.has_text & self.labels[np.arange(num), self.top]

    def rows(self, language):
        for i in range(len(self.labels)):
            labels, predicted = ([name for name, on in zip(CATEGORIES, flags, strict=True) if on] for flags in (self.labels[i], self.predicted[i]))
            if self.has_text[i]:
                values = dict(zip(CATEGORIES, self.confidences[i].tolist(), strict=True))
                yield language, labels, CATEGORIES[self.top[i]], float(self.top_confidence[i]), predicted[::-1], values, float(self.logits[i])
            else:
                yield language, labels, None, None, None, None, None


def failures(check, languages):
    """The message of every language whose check fails."""
    messages = {}
    for language in languages:
        try:
            check(language)
        except AssertionError as error:
            messages[language] = str(error)
    return messages


@pytest.fixture(scope="module")
def videos():
    return {language: Videos(language) for language in ALL}


@pytest.fixture(scope="module")
def scored(spark, videos):
    rows = [row for language, of_language in videos.items() for row in of_language.rows(language)]
    return spark.createDataFrame(rows, SCORED).repartition(3).persist()


@pytest.fixture(scope="module")
def scores(scored):
    return {score.language: score for score in score_languages(scored, CATEGORIES)}


@pytest.fixture(scope="module")
def matrices(scored):
    """The confusion matrix of every language, `(5, 6)`: labels by top categories, the last of which is no_text."""
    counts = {language: np.zeros((5, 6), int) for language in ALL}
    for language, label, top, num in confusion(scored).collect():
        counts[language][CATEGORIES.index(label), [*CATEGORIES, NO_TEXT].index(top)] = num
    return counts


def test_score_languages_gives_each_language_once_in_order(scored, scores, videos):
    assert list(scores) == sorted(ALL)
    assert {language: score.support for language, score in scores.items()} == {language: len(v.labels) for language, v in videos.items()}
    assert score_languages(scored.where("false"), CATEGORIES) == []


def test_decisions_agree_with_scikit_learn(scores, videos):
    def check(language):
        score, labels, predicted = scores[language], videos[language].labels, videos[language].predicted
        functions = (oracle.precision_score, oracle.recall_score, oracle.f1_score)
        for average, values in (("micro", score.counts.micro()), ("macro", score.counts.macro()), (None, score.counts.per_category())):
            expected = [function(labels, predicted, average=average, zero_division=np.nan) for function in functions]
            np.testing.assert_allclose(np.array(values, float), expected, rtol=0, atol=1e-9)  # null is nan
        assert score.subset_accuracy == pytest.approx(oracle.accuracy_score(labels, predicted), abs=1e-9)
        assert score.majority_baseline == pytest.approx(labels.mean(axis=0).max(), abs=1e-9)

    assert failures(check, ALL) == {}


def test_top1_at_every_coverage_agrees_with_plain_sorting(scores, videos):
    def check(language):
        score, correct = scores[language], videos[language].correct
        assert score.top1 == pytest.approx(oracle.accuracy_score(np.ones(len(correct)), correct), abs=1e-9)
        assert score.top1_at[100] == pytest.approx(score.top1, abs=1e-9)
        expected = {percent: sorted_accuracy(videos[language].top_confidence, correct, percent) for percent in COVERAGES}
        assert score.top1_at == pytest.approx(expected, abs=1e-9)

    assert failures(check, ALL) == {}


def test_brier_and_log_loss_agree_with_scikit_learn(scores, videos):
    """Over the videos with a text, category by category; scikit-learn clips a float32 by its resolution from 0 and 1."""

    def check(language):
        score, has_text = scores[language], videos[language].has_text
        labels, confidences = videos[language].labels[has_text], videos[language].confidences[has_text]
        if not has_text.any():
            assert (score.brier, score.log_loss) == (None, None)
            return
        brier = np.mean([oracle.brier_score_loss(labels[:, i], confidences[:, i].astype(np.float64), pos_label=1, labels=[0, 1]) for i in range(5)])
        clipped = confidences.astype(np.float64).clip(2.0**-23, 1 - 2.0**-23)
        assert score.brier == pytest.approx(brier, abs=1e-9)
        assert score.log_loss == pytest.approx(np.mean([oracle.log_loss(labels[:, i], clipped[:, i], labels=[0, 1]) for i in range(5)]), abs=1e-9)
        in_float32 = np.mean([oracle.log_loss(labels[:, i], confidences[:, i], labels=[0, 1]) for i in range(5)])
        assert score.log_loss == pytest.approx(in_float32, abs=1e-5)

    assert failures(check, ALL) == {}


def test_bins_are_those_of_single_videos(scores, videos):
    def check(language):
        score, correct, sigmoid = scores[language], videos[language].correct, expit(videos[language].logits.astype(np.float64))
        for bins, confidence in ((score.bins, videos[language].top_confidence), (score.uncalibrated_bins, sigmoid)):
            expected = bins_of(confidence, correct)
            assert [(b.num_videos, b.mean_confidence, b.top1) for b in bins] == [pytest.approx((b.num_videos, b.mean_confidence, b.top1)) for b in expected]
        assert bool(score.bins) == (language == "single large")

    assert failures(check, ALL) == {}


def test_confusion_adds_up_to_the_labels(scores, matrices, videos):
    """A video counts under each of its labels, even if it has no text."""

    def check(language):
        assert matrices[language].sum(axis=1).tolist() == scores[language].counts.support.tolist()
        without_text = videos[language].labels[~videos[language].has_text].sum(axis=0)
        assert matrices[language][:, 5].tolist() == without_text.tolist()

    assert failures(check, ALL) == {}


def test_confusion_of_single_labels_agrees_with_scikit_learn(matrices, videos):
    def check(language):
        top = np.where(videos[language].has_text, videos[language].top, 5)
        expected = oracle.confusion_matrix(videos[language].labels.argmax(axis=1), top, labels=range(6))
        np.testing.assert_array_equal(matrices[language], expected[:5])

    assert failures(check, SINGLE) == {}


def test_decisions_agree_with_sparks_evaluator(spark, scores, videos):
    def check(language):
        indicators = zip(videos[language].labels, videos[language].predicted, strict=True)
        index_sets = [tuple([float(i) for i in np.flatnonzero(flags)] for flags in row) for row in indicators]
        frame = spark.createDataFrame(index_sets, "label array<double>, prediction array<double>").persist()
        score, names = scores[language], ("microPrecision", "microRecall", "microF1Measure", "subsetAccuracy")
        for name, value in zip(names, (*score.counts.micro(), score.subset_accuracy), strict=True):
            assert value == pytest.approx(MultilabelClassificationEvaluator(metricName=name).evaluate(frame), abs=1e-9), name
        for name, values in zip(("precisionByLabel", "recallByLabel", "f1MeasureByLabel"), score.counts.per_category(), strict=True):
            expected = MultilabelClassificationEvaluator(metricName=name, metricLabel=1.0).evaluate(frame)
            assert values[1] == pytest.approx(expected, abs=1e-9), name

    assert failures(check, [*RANDOM[1:3], "single large"]) == {}


def test_top1_and_confusion_agree_with_sparks_evaluator(spark, scores, matrices, videos):
    language = videos["single large"]
    top = np.where(language.has_text, language.top, 5).astype(float)
    pairs = list(zip(language.labels.argmax(axis=1).astype(float).tolist(), top.tolist(), strict=True))
    frame = spark.createDataFrame(pairs, "label double, prediction double")
    assert scores["single large"].top1 == pytest.approx(MulticlassClassificationEvaluator(metricName="accuracy").evaluate(frame.persist()), abs=1e-9)
    matrix = matrices["single large"]
    for i in range(2):
        recall = MulticlassClassificationEvaluator(metricName="recallByLabel", metricLabel=float(i)).evaluate(frame)
        assert matrix[i, i] / matrix[i].sum() == pytest.approx(recall, abs=1e-9)


def test_confidence_by_language_counts_all_predictions(spark):
    schema = "language string, top_confidence float, categories array<string>, status string"
    rows = [("xx", i / 10, ["a"] if i else [], "ok" if i else "abstained") for i in range(11)]
    rows += [("xx", None, None, "no_text"), ("yy", None, None, "no_text")]
    by_language = {row["language"]: row for row in confidence_by_language(spark.createDataFrame(rows, schema)).collect()}
    xx, yy = by_language["xx"], by_language["yy"]
    assert (xx["num_videos"], yy["num_videos"]) == (12, 1)
    assert xx["mean_confidence"] == pytest.approx(0.5)
    assert xx["confidence_deciles"] == pytest.approx([i / 10 for i in range(1, 10)], abs=0.11)
    assert (xx["share_without_category"], xx["share_abstained"]) == pytest.approx((2 / 12, 1 / 12))
    assert (yy["mean_confidence"], yy["share_without_category"], yy["share_abstained"]) == (None, 1.0, 0.0)
