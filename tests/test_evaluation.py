"""Scores counted on the cluster against scikit-learn, and the tables that they end in."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from xlclass.backfill import backfill, classify
from xlclass.encoders import resolve_encoder
from xlclass.evaluation import evaluate, summary
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline import scored_videos
from xlclass.quality.metrics import confidence_by_language, score_languages, wilson
from xlclass.quality.splits import Split
from xlclass.schemas import CATEGORY_ACCURACY, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE
from xlclass.training import train

CATEGORIES = ["a", "b", "c", "d"]  # d never occurs
SCORED = "language string, labels array<string>, top_category string, top_confidence float, given array<string>, confidences map<string, float>"


def _random(seed: int, num: int):
    """Labels, confidences rounded so that ties occur, and decisions, `(num, 4)` each; the first row has no text."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((num, 4)) < [0.5, 0.3, 0.2, 0.0]).astype(int)
    labels[labels.sum(axis=1) == 0, 0] = 1
    confidences = rng.random((num, 4)).round(1).clip(0.05, 0.95).astype(np.float32)
    confidences[:, 3] = 0.05
    return labels, confidences, (confidences >= 0.5).astype(int)


def _row(language, labels, confidences, given):
    names = [c for c, on in zip(CATEGORIES, labels, strict=True) if on]
    top = int(confidences.argmax())
    chosen = [c for c, on in zip(CATEGORIES, given, strict=True) if on]
    return language, names, CATEGORIES[top], float(confidences[top]), chosen, dict(zip(CATEGORIES, map(float, confidences), strict=True))


def test_score_languages_agrees_with_scikit_learn(spark):
    data = {language: _random(seed, num) for language, seed, num in (("xx", 1, 300), ("yy", 2, 40))}
    rows = [_row(language, *one) for language, columns in data.items() for one in zip(*columns, strict=True)]
    scores = score_languages(spark.createDataFrame(rows, SCORED), CATEGORIES)
    assert [score.language for score in scores] == ["xx", "yy"]
    for score in scores:
        labels, confidences, given = data[score.language]
        confidences = confidences.astype(np.float64)
        occurs = (labels.sum(axis=0) + given.sum(axis=0)) > 0
        precision, recall, micro_f1 = score.counts.micro()
        assert micro_f1 == pytest.approx(oracle.f1_score(labels, given, average="micro"), abs=1e-9)
        assert precision == pytest.approx(oracle.precision_score(labels, given, average="micro"), abs=1e-9)
        assert recall == pytest.approx(oracle.recall_score(labels, given, average="micro"), abs=1e-9)
        assert score.counts.macro_f1() == pytest.approx(oracle.f1_score(labels[:, occurs], given[:, occurs], average="macro", zero_division=0), abs=1e-9)
        assert score.top1 == pytest.approx(labels[np.arange(len(labels)), confidences.argmax(axis=1)].mean(), abs=1e-9)
        assert score.majority_baseline == pytest.approx(labels.mean(axis=0).max(), abs=1e-9)
        assert score.brier == pytest.approx(oracle.mean_squared_error(labels, confidences), abs=1e-9)
        assert score.log_loss == pytest.approx(np.mean([oracle.log_loss(labels[:, i], confidences[:, i], labels=[0, 1]) for i in range(4)]), abs=1e-7)


def test_score_languages_counts_a_video_without_text_as_wrong(spark):
    rows = [("xx", ["a"], None, None, None, None), ("xx", ["a"], "a", 0.9, ["a"], {"a": 0.9, "b": 0.1, "c": 0.1, "d": 0.1})]
    score = score_languages(spark.createDataFrame(rows, SCORED), CATEGORIES)[0]
    assert (score.support, score.num_right, score.top1) == (2, 1, 0.5)


def test_confidence_by_language_counts_all_predictions(spark):
    schema = "language string, top_confidence float, categories array<string>"
    rows = [("xx", i / 10, ["a"] if i else []) for i in range(11)] + [("xx", None, None), ("yy", None, None)]
    found = {row["language"]: row for row in confidence_by_language(spark.createDataFrame(rows, schema)).collect()}
    assert (found["xx"]["num_videos"], found["yy"]["num_videos"]) == (12, 1)
    assert found["xx"]["mean_confidence"] == pytest.approx(0.5)
    assert found["xx"]["confidence_deciles"] == pytest.approx([i / 10 for i in range(1, 10)], abs=0.11)
    assert found["xx"]["share_without_category"] == pytest.approx(2 / 12)
    assert (found["yy"]["mean_confidence"], found["yy"]["share_without_category"]) == (None, 1.0)


MANIFEST = {"categories": ["music", "sports"], "languages": ["en"], "split": {"salt": "s", "train": 0.5, "validation": 0.0, "calibration": 0.0}}


def test_scored_videos_are_labelled_test_videos_with_texts_not_trained_on(spark):
    split = Split(**MANIFEST["split"])
    test, trained = (next(f"c{i}" for i in range(99) if split.of(f"c{i}") == side) for side in ("test", "train"))
    videos = [
        ("seen", "en", "hash", test, ["music"]),
        ("teacher", "en", "hash", trained, ["music"]),  # the same text on both sides
        ("scored", "de", "h1", test, ["music", "other"]),
        ("unlabelled", "de", "h2", test, []),
        ("unknown label", "de", "h3", test, ["other"]),
        ("training side", "de", "h4", trained, ["music"]),
        ("no channel", "de", None, None, ["sports"]),
    ]
    table = spark.createDataFrame(videos, "video_id string, language string, text_hash string, channel_id string, labels array<string>")
    predictions = spark.createDataFrame(
        [(row[0], row[1], "music", 0.9, [("music", 0.9)], {"music": 0.9, "sports": 0.1}) for row in videos],
        "video_id string, language string, top_category string, top_confidence float, "
        "categories array<struct<category: string, confidence: float>>, confidences map<string, float>",
    )
    scored = scored_videos(predictions, table, MANIFEST).collect()
    expected = [["music"]] + ([["sports"]] if split.of("no channel") == "test" else [])
    assert sorted(row["labels"] for row in scored) == expected
    assert scored[0]["given"] == ["music"]


def test_evaluate_writes_tables_that_add_up_and_reuses_them(new_run, tmp_path):
    from test_training import ROWS

    run = new_run(tmp_path, ROWS)
    encoder = resolve_encoder(run.settings)
    backfill(run, read_catalogue(run.lake.spark, run.settings), encoder, None)
    version = train(run, encoder)
    classify(run, version)
    evaluation = evaluate(run, version)
    accuracy = {row["language"]: row for row in run.lake.read(LANGUAGE_ACCURACY).collect()}
    split = Split("xlclass", 0.6, 0.1, 0.1)
    assert {language: row["support"] for language, row in accuracy.items()} == {
        language: sum(row["language"] == language and split.of(row["channel"]) == "test" for row in ROWS) for language in ("en", "fr", "de")
    }
    for row in accuracy.values():
        assert (row["top1_low"], row["top1_high"]) == pytest.approx(wilson(round(row["top1"] * row["support"]), row["support"]))
    by_category = run.lake.read(CATEGORY_ACCURACY).groupBy("language").sum("support").collect()
    assert {row[0]: row[1] for row in by_category} == {language: row["support"] for language, row in accuracy.items()}
    assert run.lake.read(LANGUAGE_CONFIDENCE).count() == 3
    versions = [run.lake.version(table) for table in (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, LANGUAGE_CONFIDENCE)]
    assert evaluate(run, version) == evaluation
    assert [run.lake.version(table) for table in (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, LANGUAGE_CONFIDENCE)] == versions
    lines = summary(run, evaluation, version, encoder).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["en", "fr", "de"]
    assert "1.000" in lines[1]
