"""The tables of an evaluation."""

import numpy as np
import pytest
from pyspark.sql import Row
from pyspark.sql import functions as F
from samples import SCORED
from scipy.special import expit

from xlclass.evaluation.evaluate import _confidence_row, evaluate
from xlclass.lake import evaluations
from xlclass.pipeline.transforms import classify_embeddings
from xlclass.quality.calibration_error import bins_of, debiased_ece
from xlclass.quality.metrics import wilson
from xlclass.quality.scoring import score_languages
from xlclass.quality.splits import Split
from xlclass.report.console import summary
from xlclass.schemas import CATEGORY_ACCURACY, CONFUSION, EMBEDDINGS, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, unpack_vectors

EVALUATED = (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE)


@pytest.fixture(scope="module")
def evaluated(evaluated_copy, tmp_path_factory):
    """A run on a lake of scored videos, its model version, and the evaluation's id."""
    return evaluated_copy(tmp_path_factory.mktemp("evaluated") / "copy")


def test_predictions_equal_the_decisions_of_the_bundle(evaluated, spark):
    """Row by row against plain Python over `Bundle.decide`; one of the videos has no text."""
    run, version, _ = evaluated
    bundle = version.load()
    embeddings = run.lake.read(EMBEDDINGS)
    without_text = embeddings.limit(1).withColumn("video_id", F.lit("no text")).withColumn("vector", F.lit(None).cast("binary"))
    predictions = {row["video_id"]: row for row in classify_embeddings(embeddings.union(without_text), version, "r", 1).collect()}
    rows = {row["video_id"]: row for row in embeddings.collect()}
    decisions = bundle.decide(unpack_vectors([row["vector"] for row in rows.values()], bundle.manifest["dim"]), [row["language"] for row in rows.values()])
    assert set(predictions) == {*rows, "no text"}
    assert {row["status"] for row in predictions.values()} >= {"ok", "no_text"}
    for i, video_id in enumerate(rows):
        prediction = predictions[video_id]
        confidences = dict(zip(bundle.categories, decisions.confidences[i].tolist(), strict=True))
        passed = [name for name, passes in zip(bundle.categories, decisions.passed[i], strict=True) if passes]
        assert prediction["confidences"] == pytest.approx(confidences, abs=1e-6)
        assert prediction["top_category"] == bundle.categories[decisions.top[i]]
        assert prediction["top_confidence"] == pytest.approx(max(confidences.values()), abs=1e-6)
        assert prediction["top_logit"] == pytest.approx(float(decisions.top_logits[i]), abs=1e-5)
        assert [pair["category"] for pair in prediction["categories"]] == sorted(passed, key=lambda name: -confidences[name])
        assert prediction["status"] == ("ok" if passed else "abstained")
    columns = ("top_category", "top_confidence", "categories", "confidences", "top_logit", "status")
    assert [predictions["no text"][name] for name in columns] == [None] * 5 + ["no_text"]


def _by_language(run, table):
    return {row["language"]: row for row in run.lake.read(table).collect()}


def _versions(run):
    return [run.lake.version(table) for table in EVALUATED]


def _contents(run):
    """All rows of all tables, without run_id and evaluated_at."""
    return [sorted(map(str, run.lake.read(table).drop("run_id", "evaluated_at").collect())) for table in EVALUATED]


def test_evaluate_writes_tables_that_add_up(evaluated):
    from samples import ROWS

    run, _, _ = evaluated
    accuracy, split = _by_language(run, LANGUAGE_ACCURACY), Split("xlclass", 0.6, 0.1, 0.1)
    support = {language: sum(row["language"] == language and split.of(row["channel"]) == "test" for row in ROWS) for language in ("en", "fr", "de")}
    assert {language: row["support"] for language, row in accuracy.items()} == support
    for row in accuracy.values():
        assert (row["top1_low"], row["top1_high"]) == pytest.approx(wilson(round(row["top1"] * row["support"]), row["support"]))
        assert row["top1_at_100"] == pytest.approx(row["top1"])
    for table, column in ((CATEGORY_ACCURACY, "support"), (CONFUSION, "num_videos")):  # every video has one label
        assert {row[0]: row[1] for row in run.lake.read(table).groupBy("language").sum(column).collect()} == support
    correct = run.lake.read(CONFUSION).where("label = top_category").groupBy("language").agg(F.sum("num_videos")).collect()
    assert dict(map(tuple, correct)) == {language: round(row["top1"] * row["support"]) for language, row in accuracy.items() if row["top1"]}
    assert set(_by_language(run, LANGUAGE_CONFIDENCE)) == set(support)


def test_category_accuracy_agrees_with_its_counts(evaluated):
    run, version, _ = evaluated
    rows = run.lake.read(CATEGORY_ACCURACY).collect()
    assert len(rows) == 3 * len(version.load().categories)
    for row in rows:
        shares = [(row["num_right"], row["num_predicted"]), (row["num_right"], row["support"]), (2 * row["num_right"], row["num_predicted"] + row["support"])]
        assert [row["precision"], row["recall"], row["f1"]] == [pytest.approx(a / b) if b else None for a, b in shares]


def test_evaluate_again_writes_nothing_and_the_summary_is_the_same(evaluated):
    run, version, evaluation = evaluated
    before = _versions(run)
    assert evaluate(run, version) == evaluation
    assert _versions(run) == before
    lines = summary(run, evaluation, version).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["en", "fr", "de"]
    assert "1.000" in lines[1]
    assert max(map(len, lines[:5])) < 100


@pytest.mark.parametrize("num_written", [1, 3])
def test_evaluate_completes_the_evaluation_of_a_killed_run(evaluated, num_written):
    """Killed after the first table, or before the last: the missing rows are added, and the existing rows stay."""
    run, version, evaluation = evaluated
    complete = _contents(run)
    for table in EVALUATED[num_written:]:
        run.lake.spark.sql(f"DELETE FROM delta.`{run.lake.path(table)}`")
    before = _versions(run)
    assert evaluate(run, version) == evaluation
    assert _contents(run) == complete
    assert [after - old for after, old in zip(_versions(run), before, strict=True)] == [0] * num_written + [1] * (4 - num_written)


def test_evaluate_of_two_concurrent_runs_adds_its_rows_once(evaluated, monkeypatch):
    """The second run read the tables before the first one wrote: it sees the same table versions, without rows."""
    run, version, _ = evaluated
    complete = _contents(run)
    for table in EVALUATED:
        run.lake.spark.sql(f"DELETE FROM delta.`{run.lake.path(table)}`")
    versions = {table.name: run.lake.version(table) for table in EVALUATED}
    evaluate(run, version)
    monkeypatch.setattr(run.lake, "version", lambda table: versions[table.name])
    monkeypatch.setattr(evaluations, "has_rows", lambda lake, table, evaluation_id: False)
    evaluate(run, version)
    assert _contents(run) == complete


def test_confidence_row_measures_calibration_before_and_after(spark):
    """400 videos of confidence 0.7, 280 of them correct, with random logits."""
    rng = np.random.default_rng(1)
    logits, correct = rng.normal(0, 2, 400).astype(np.float32), rng.permutation(400) < 280
    rows = [("de", ["a" if hit else "b"], "a", 0.7, ["a"], {"a": 0.7, "b": 0.1}, float(logit)) for hit, logit in zip(correct, logits, strict=True)]
    score = score_languages(spark.createDataFrame(rows, SCORED), ["a", "b"])[0]
    values = _confidence_row("e", Row("de", 400, 0.7, [], 0.0, 0.25), score, ("v", "r"))
    row = dict(zip(LANGUAGE_CONFIDENCE.names, values, strict=True))
    expected = bins_of(expit(logits.astype(np.float64)), correct)
    assert row["ece"] == 0.0
    assert row["ece_uncalibrated"] == pytest.approx(debiased_ece(expected), abs=1e-9)
    assert row["ece_uncalibrated"] > 0.2
    assert [tuple(b.values()) for b in row["reliability_uncalibrated"]] == [pytest.approx((b.num_videos, b.mean_confidence, b.top1)) for b in expected]
    assert row["share_abstained"] == 0.25
