"""Promotion on a real lake: whether a candidate becomes the champion, and the backfill after it."""

import dataclasses
import logging
import shutil
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from xlclass.cli import main
from xlclass.config import GateSettings
from xlclass.encoders import resolve_encoders
from xlclass.errors import ModelError
from xlclass.lake.registry import Registry
from xlclass.lake.sources import read_catalogue
from xlclass.model.bundle import Bundle
from xlclass.pipeline.backfill import backfill
from xlclass.quality.test_set import scored_videos as scored_by_spark
from xlclass.schemas import PREDICTION_LOG, PREDICTIONS, VIDEOS
from xlclass.training.promotion import compare, promote, promote_if_better, scored_videos

GATE = GateSettings(min_videos=10)
ELDER = [{"encoder_id": "x" * 64, "dim": 8, "languages": []}]


@pytest.fixture
def run(classified_system, new_run, tmp_path):
    return new_run(Path(shutil.copytree(classified_system, tmp_path / "copy")))


@pytest.fixture
def registry(run):
    return Registry(run.lake.root)


def other(registry, name, **changes):
    """A candidate with the champion's chain and a changed manifest."""
    bundle = registry.champion().load()
    return registry.register(Bundle(bundle.chain, bundle.space, {**bundle.manifest, "model_version": name, "training_fingerprint": name, **changes}), "r")


def confused(registry, name):
    """A candidate that is always wrong: no video has its categories."""
    return other(registry, name, categories=["education", "comedy", "film_animation"])


def predicted_by(run, name):
    """Makes all predictions those of the version of that name."""
    predictions = run.lake.read(PREDICTIONS).withColumn("model_version", F.lit(name)).localCheckpoint()
    run.lake.replace(PREDICTIONS, predictions)


def backfilled(run):
    """The model versions of all predictions after a backfill with the champion."""
    backfill(run, read_catalogue(run.lake.spark, run.settings), [resolve_encoders(run.settings)], Registry(run.lake.root).champion())
    return {row["model_version"] for row in run.lake.read(PREDICTIONS).select("model_version").distinct().collect()}


def test_scored_videos_are_those_that_spark_scores(run, registry):
    champion = registry.champion()
    manifest = champion.manifest()
    expected = scored_by_spark(run.lake.read(PREDICTIONS).withColumn("language", F.col("video_id")), run.lake.read(VIDEOS), manifest)
    videos = scored_videos(run.lake.root, [manifest, manifest], 5_000)
    assert videos.video_id.tolist() == sorted(row["language"] for row in expected.collect())
    few = scored_videos(run.lake.root, [manifest], 4)
    assert few.groupby("language").size().to_dict() == {"de": 4, "en": 4, "fr": 4}
    assert set(few.video_id) < set(videos.video_id)


def test_scored_videos_are_on_the_test_side_of_both(run, registry):
    manifest = registry.champion().manifest()
    salted = {**manifest, "split": {**manifest["split"], "salt": "another"}}
    sides = [set(scored_videos(run.lake.root, [one], 5_000).video_id) for one in (manifest, salted)]
    assert sides[0] != sides[1]
    assert set(scored_videos(run.lake.root, [manifest, salted], 5_000).video_id) == sides[0] & sides[1]


def test_promote_if_better_promotes_a_candidate_of_the_same_quality_and_a_backfill_replaces_all_predictions(run, registry):
    first = registry.champion()
    second = other(registry, "second")
    assert promote_if_better(run, second) == second
    assert registry.champion() == second
    assert registry.history().events[-1].reason.startswith("accepted: top-1 over all languages")
    assert backfilled(run) == {"second"}
    num_logged = run.lake.read(PREDICTION_LOG).count()
    assert main.main(["models", "rollback", "--lake", run.lake.root]) == 0
    assert backfilled(run) == {first.name}
    assert run.lake.read(PREDICTION_LOG).count() > num_logged
    assert promote_if_better(run, second) == first  # a person rolled it back: the next run does not overrule that
    assert registry.champion() == first


def test_promote_if_better_keeps_the_champion_if_the_candidate_is_worse_and_names_the_losses(run, registry, caplog):
    run.settings = dataclasses.replace(run.settings, gate=GATE)
    champion, version = registry.champion(), registry.history().delta_version
    worse = confused(registry, "worse")
    with caplog.at_level(logging.WARNING):
        assert promote_if_better(run, worse) == champion
    assert "worse does not become the champion" in caplog.text
    assert "refused: all languages lost" in caplog.text
    assert " en lost" in caplog.text or " fr lost" in caplog.text or "languages together lost" in caplog.text
    assert registry.history().delta_version == version + 1  # the candidate's event only


def test_promote_ends_with_exit_code_2_if_the_gate_refuses_unless_forced(run, registry, capsys):
    confused(registry, "worse")
    assert main.main(["models", "promote", "worse", "--conf", str(run.settings.file)]) == 2
    message = capsys.readouterr().err
    assert message.startswith("xlclass: model version worse was not promoted: refused: all languages lost")
    assert len(message.splitlines()) == 1
    assert main.main(["models", "promote", "worse", "--lake", run.lake.root, "--force", "a drill"]) == 0
    assert registry.champion().name == "worse"
    assert registry.history().events[-1].reason == "forced: a drill"


def test_compare_prints_both_and_the_verdict(run, registry, capsys):
    champion = registry.champion().name
    confused(registry, "worse")
    assert main.main(["models", "compare", champion, "worse", "--conf", str(run.settings.file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    num_videos = len(scored_videos(run.lake.root, [registry.champion().manifest()], 5_000))
    whole = next(line for line in lines if line.startswith("all languages")).split()
    assert whole[2] == str(num_videos)
    assert float(whole[3]) - float(whole[4]) == pytest.approx(-float(whole[5]), abs=0.002)
    assert lines[-1].startswith(f"replacing {champion} by worse: refused: all languages lost")


def test_compare_uses_the_predictions_of_a_version_of_another_encoder(run, registry):
    champion = registry.champion()
    elder = other(registry, "elder", parts=ELDER)
    with pytest.raises(ModelError, match="elder cannot be compared: .* has no predictions of it"):
        compare(run.lake.root, elder, champion, GATE)
    predicted_by(run, "elder")  # as of before, when the vectors were of its encoder
    verdict = compare(run.lake.root, elder, champion, GATE)
    assert verdict.is_accepted
    assert verdict.groups[0].num_videos == len(scored_videos(run.lake.root, [champion.manifest()], 5_000))
    assert verdict.groups[0].accuracy.amount == 0
    assert verdict.groups[0].accuracy.champion > 0.5


def test_promote_if_better_stops_if_neither_version_can_be_used(run, registry):
    run.settings = dataclasses.replace(run.settings, gate=GATE)
    other(registry, "elder", parts=ELDER)
    worse = confused(registry, "worse")
    predicted_by(run, "elder")
    registry.make_champion(registry.history(), "elder", "r", "before the encoder changed")
    with pytest.raises(ModelError, match=r"worse does not become the champion \(refused: .*elder cannot be used: .* promote worse --force REASON"):
        promote_if_better(run, worse)
    assert registry.champion().name == "elder"


def test_promote_needs_no_comparison_with_a_damaged_champion(run, registry):
    second = other(registry, "second")
    shutil.rmtree(registry.champion().folder)
    accepted, sentence = promote(registry, registry.history(), "second", GATE)
    assert accepted
    assert "is missing or damaged" in sentence
    assert registry.champion() == second
