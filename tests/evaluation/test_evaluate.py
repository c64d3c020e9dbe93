"""Which videos are scored, and the tables that the scores end in."""

import shutil

import numpy as np
import pytest
from pyspark.sql import Row
from pyspark.sql import functions as F
from samples import SCORED
from scipy.special import expit

from xlclass.encoders import resolve_encoder
from xlclass.evaluation.evaluate import _confidence_row, evaluate
from xlclass.lake import evaluations
from xlclass.lake.tables import Lake
from xlclass.pipeline.transforms import classify_embeddings, scored_videos
from xlclass.quality.calibration_error import bins_of, debiased_ece
from xlclass.quality.metrics import wilson
from xlclass.quality.scoring import score_languages
from xlclass.quality.splits import Split
from xlclass.report.console import summary
from xlclass.schemas import CATEGORY_ACCURACY, CONFUSION, EMBEDDINGS, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, PREDICTIONS, unpack_vectors

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
        [(row[0], row[1], "music", 0.9, [("music", 0.9)], {"music": 0.9, "sports": 0.1}, 2.2) for row in videos],
        "video_id string, language string, top_category string, top_confidence float, "
        "categories array<struct<category: string, confidence: float>>, confidences map<string, float>, top_logit float",
    )
    scored = scored_videos(predictions, table, MANIFEST).collect()
    expected = [["music"]] + ([["sports"]] if split.of("no channel") == "test" else [])
    assert sorted(row["labels"] for row in scored) == expected
    assert scored[0]["given"] == ["music"]


EVALUATED = (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE)


@pytest.fixture(scope="module")
def evaluated(evaluated_copy, tmp_path_factory):
    """A run on a lake of scored videos, its model version, and the evaluation's id."""
    return evaluated_copy(tmp_path_factory.mktemp("evaluated") / "copy")


def test_predictions_are_what_the_bundle_decides(evaluated, spark):
    """Row by row against plain Python over `Bundle.decide`, with a video without a text among the others."""
    run, version, _ = evaluated
    bundle = version.load()
    texts = run.lake.read(EMBEDDINGS)
    none = texts.limit(1).withColumn("video_id", F.lit("no text")).withColumn("vector", F.lit(None).cast("binary"))
    found = {row["video_id"]: row for row in classify_embeddings(texts.union(none), version, "r", 1).collect()}
    rows = {row["video_id"]: row for row in texts.collect()}
    told = bundle.decide(unpack_vectors([row["vector"] for row in rows.values()], bundle.manifest["dim"]), [row["language"] for row in rows.values()])
    assert set(found) == {*rows, "no text"}
    assert {row["status"] for row in found.values()} >= {"ok", "no_text"}
    for i, video in enumerate(rows):
        odds = dict(zip(bundle.categories, told.confidences[i].tolist(), strict=True))
        given = [name for name, passed in zip(bundle.categories, told.passed[i], strict=True) if passed]
        assert found[video]["confidences"] == pytest.approx(odds, abs=1e-6)
        assert found[video]["top_category"] == bundle.categories[told.top[i]]
        assert found[video]["top_confidence"] == pytest.approx(max(odds.values()), abs=1e-6)
        assert found[video]["top_logit"] == pytest.approx(float(told.top_logits[i]), abs=1e-5)
        assert [pair["category"] for pair in found[video]["categories"]] == sorted(given, key=lambda name: -odds[name])
        assert found[video]["status"] == ("ok" if given else "abstained")
    said = ("top_category", "top_confidence", "categories", "confidences", "top_logit", "status")
    assert [found["no text"][name] for name in said] == [None] * 5 + ["no_text"]


def _by_language(run, table):
    return {row["language"]: row for row in run.lake.read(table).collect()}


def _versions(run):
    return [run.lake.version(table) for table in EVALUATED]


def _contents(run):
    """All rows of all tables, without the run and the time that made them."""
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
    for table, counted in ((CATEGORY_ACCURACY, "support"), (CONFUSION, "num_videos")):  # every video has one label
        assert {row[0]: row[1] for row in run.lake.read(table).groupBy("language").sum(counted).collect()} == support
    right = run.lake.read(CONFUSION).where("label = top_category").groupBy("language").agg(F.sum("num_videos")).collect()
    assert dict(map(tuple, right)) == {language: round(row["top1"] * row["support"]) for language, row in accuracy.items() if row["top1"]}
    assert set(_by_language(run, LANGUAGE_CONFIDENCE)) == set(support)


def test_category_accuracy_is_what_its_counts_give(evaluated):
    run, version, _ = evaluated
    rows = run.lake.read(CATEGORY_ACCURACY).collect()
    assert len(rows) == 3 * len(version.load().categories)
    for row in rows:
        shares = [(row["num_right"], row["num_predicted"]), (row["num_right"], row["support"]), (2 * row["num_right"], row["num_predicted"] + row["support"])]
        assert [row["precision"], row["recall"], row["f1"]] == [pytest.approx(a / b) if b else None for a, b in shares]


def test_evaluate_again_writes_nothing_and_prints_the_same(evaluated):
    run, version, evaluation = evaluated
    encoder, before = resolve_encoder(run.settings), _versions(run)
    assert evaluate(run, version) == evaluation
    assert _versions(run) == before
    lines = summary(run, evaluation, version, encoder).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["en", "fr", "de"]
    assert "1.000" in lines[1]
    assert max(map(len, lines[:5])) < 100


@pytest.mark.parametrize("num_written", [1, 3])
def test_evaluate_completes_what_a_run_that_died_left(evaluated, num_written):
    """Killed behind the first table, or before the last: the rest is added, and what is there is left alone."""
    run, version, evaluation = evaluated
    whole = _contents(run)
    for table in EVALUATED[num_written:]:
        run.lake.spark.sql(f"DELETE FROM delta.`{run.lake.path(table)}`")
    before = _versions(run)
    assert evaluate(run, version) == evaluation
    assert _contents(run) == whole
    assert [after - old for after, old in zip(_versions(run), before, strict=True)] == [0] * num_written + [1] * (4 - num_written)


def test_evaluate_of_two_runs_at_once_adds_its_rows_once(evaluated, monkeypatch):
    """The second looked before the first wrote: it sees no rows, at the version that the first saw."""
    run, version, _ = evaluated
    whole = _contents(run)
    for table in EVALUATED:
        run.lake.spark.sql(f"DELETE FROM delta.`{run.lake.path(table)}`")
    seen = {table.name: run.lake.version(table) for table in EVALUATED}
    evaluate(run, version)
    monkeypatch.setattr(run.lake, "version", lambda table: seen[table.name])
    monkeypatch.setattr(evaluations, "has_rows", lambda lake, table, evaluation_id: False)
    evaluate(run, version)
    assert _contents(run) == whole


def test_confidence_row_measures_calibration_before_and_after(spark):
    """400 videos that say 0.7, of which 280 are right, and whose logits say something else."""
    rng = np.random.default_rng(1)
    logits, right = rng.normal(0, 2, 400).astype(np.float32), rng.permutation(400) < 280
    rows = [("de", ["a" if hit else "b"], "a", 0.7, ["a"], {"a": 0.7, "b": 0.1}, float(logit)) for hit, logit in zip(right, logits, strict=True)]
    score = score_languages(spark.createDataFrame(rows, SCORED), ["a", "b"])[0]
    values = _confidence_row("e", Row("de", 400, 0.7, [], 0.0, 0.25), score, ("v", "r"))
    found = dict(zip(LANGUAGE_CONFIDENCE.names, values, strict=True))
    expected = bins_of(expit(logits.astype(np.float64)), right)
    assert found["ece"] == 0.0
    assert found["ece_uncalibrated"] == pytest.approx(debiased_ece(expected), abs=1e-9)
    assert found["ece_uncalibrated"] > 0.2
    assert [tuple(b.values()) for b in found["reliability_uncalibrated"]] == [pytest.approx((b.num_videos, b.mean_confidence, b.top1)) for b in expected]
    assert found["share_abstained"] == 0.25


def test_evaluate_reads_a_lake_of_before_top_logit(evaluated, new_run, tmp_path):
    """A predictions table of an older contract: its evaluation lacks what needs the column, and nothing else."""
    run, version, evaluation = evaluated
    old = new_run.again(run)
    old.lake = Lake(run.lake.spark, shutil.copytree(run.lake.root, tmp_path / "lake").as_posix())
    names = [column.name for column in PREDICTIONS.columns if column.name != "top_logit"]
    rows = old.lake.read(PREDICTIONS).select(*names)
    rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(old.lake.path(PREDICTIONS))
    for table in EVALUATED:
        shutil.rmtree(old.lake.path(table))
    assert evaluate(old, version) == evaluation
    row = _by_language(old, LANGUAGE_CONFIDENCE)["de"]
    assert (row["ece_uncalibrated"], row["reliability_uncalibrated"]) == (None, [])
    assert "top_logit" not in old.lake.spark.read.format("delta").load(old.lake.path(PREDICTIONS)).columns
