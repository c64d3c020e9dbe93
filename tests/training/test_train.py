"""The sample and the model version."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from samples import LABELS, ROWS

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.encoders import resolve_encoders
from xlclass.errors import ModelError
from xlclass.lake.registry import Registry
from xlclass.quality.splits import Split
from xlclass.schemas import MODELS, VIDEOS
from xlclass.training.train import sample_videos, train


@pytest.fixture
def filled(backfilled_system, new_run, tmp_path):
    """A run on a lake of its own that holds ROWS."""
    return new_run(Path(shutil.copytree(backfilled_system, tmp_path / "copy")))


def test_sample_videos_holds_training_languages_and_no_test_videos(filled):
    sample = sample_videos(filled.lake.read(VIDEOS), filled.settings, load_taxonomy(ROOT / "conf" / "taxonomy.toml")).collect()
    split = Split("xlclass", 0.6, 0.1, 0.1)
    expected = {row["video_id"]: split.of(row["channel"]) for row in ROWS if row["language"] != "de" and split.of(row["channel"]) != "test"}
    assert {row["video_id"]: row["side"] for row in sample} == expected
    assert {row["video_id"]: row["channel_id"] for row in sample} == {row["video_id"]: row["channel"] for row in ROWS if row["video_id"] in expected}


def test_sample_videos_caps_every_language_and_category(filled):
    capped = dataclasses.replace(filled.settings, training=dataclasses.replace(filled.settings.training, max_videos_per_language_and_category=5))
    sample = sample_videos(filled.lake.read(VIDEOS), capped, load_taxonomy(ROOT / "conf" / "taxonomy.toml")).collect()
    counts = {}
    for row in sample:
        counts[row["language"], row["labels"][0]] = counts.get((row["language"], row["labels"][0]), 0) + 1
    assert counts == {(language, label): 5 for language in ("en", "fr") for label in LABELS}


def test_train_writes_a_whole_manifest_and_its_events(filled):
    encoders = resolve_encoders(filled.settings)
    version = train(filled, encoders)
    manifest = json.loads((Path(version.folder) / "manifest.json").read_text())
    assert manifest["categories"] == ["music", "sports", "gaming"]  # the taxonomy's order
    assert manifest["encoder_id"] == encoders.main.encoder_id
    assert manifest["split"] == {"salt": "xlclass", "train": 0.6, "validation": 0.1, "calibration": 0.1}
    assert manifest["versions_read"] == {"videos": 1, "embeddings": 1}
    assert set(manifest["chain"]) == {"platt", "maps", "prior_shifts", "propagation_map", "thresholds"}
    assert manifest["metrics"].keys() >= {"best_epoch", "neighbours", "prior_shifts", "propagation"}
    assert len(manifest["curves"]["loss"]) == len(manifest["curves"]["val_loss"]) >= manifest["metrics"]["best_epoch"]
    assert [row["event"] for row in filled.lake.read(MODELS).orderBy("event_number").collect()] == ["candidate", "champion"]
    assert Registry(filled.lake.root).champion() == version


def test_train_reuses_the_version_of_the_same_sample_and_settings(filled):
    first = train(filled, resolve_encoders(filled.settings))
    before = filled.lake.version(MODELS)
    assert train(filled, resolve_encoders(filled.settings)) == first
    assert filled.lake.version(MODELS) == before
    filled.settings = dataclasses.replace(filled.settings, training=dataclasses.replace(filled.settings.training, seed=8))
    second = train(filled, resolve_encoders(filled.settings))
    events = [(row["model_version"], row["event"]) for row in filled.lake.read(MODELS).orderBy("event_number").collect()]
    assert events[2:] == [(second.name, "candidate")]  # test_promotion.py covers how it becomes the champion
    assert Registry(filled.lake.root).champion() == first


def test_train_refuses_a_catalogue_without_labels_in_the_training_languages(filled):
    filled.settings = dataclasses.replace(filled.settings, training=dataclasses.replace(filled.settings.training, languages=("nl",)))
    with pytest.raises(ModelError, match=r"settings.toml: training.languages \(nl\).* 0 labelled videos"):
        train(filled, resolve_encoders(filled.settings))


def test_split_column_agrees_with_the_function(spark):
    from pyspark.sql import functions as F

    split = Split("salt", 0.5, 0.2, 0.1)
    groups = [f"channel {i} é语" for i in range(500)]
    rows = spark.createDataFrame([(group,) for group in groups], "g string").select("g", split.column(F.col("g")).alias("side")).collect()
    assert {row["g"]: row["side"] for row in rows} == {group: split.of(group) for group in groups}
    shares = [sum(split.of(group) == side for group in groups) / 500 for side in ("train", "validation", "calibration", "test")]
    assert shares == pytest.approx([0.5, 0.2, 0.1, 0.2], abs=0.06)
