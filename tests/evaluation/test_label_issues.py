"""The step that writes label_issues."""

import dataclasses

import numpy as np
import pytest
from conftest import FAKE_DIM
from pyspark.sql import functions as F
from samples import ROWS, TITLES

from xlclass.evaluation.evaluate import evaluate
from xlclass.evaluation.label_issues import find_label_issues, judged_videos, unlabelled_videos
from xlclass.lake import evaluations
from xlclass.quality.splits import Split
from xlclass.schemas import LABEL_ISSUES, MODELS, VIDEOS, unpack_vectors

SPLIT = Split("xlclass", 0.6, 0.1, 0.1)
MUSIC = [row["video_id"] for row in ROWS if row["labels"] == ["music"]]
WRONG = {video_id for language in ("en", "fr", "de") for video_id in [video_id for video_id in MUSIC if video_id.startswith(language)][:3]}
DISTINCT = [  # the fake encoder has eight dimensions: the added label words separate the categories, most of all for the wrongly labelled videos
    {**row, "title": f"{row['title']} {' '.join(row['labels'] * (9 if row['video_id'] in WRONG else 3))}"} for row in ROWS
]
CATALOGUE = [
    *({**row, "labels": ["gaming"]} if row["video_id"] in WRONG else row for row in DISTINCT),
    {**ROWS[0], "video_id": "two labels", "channel": "two", "title": f"{TITLES['en', 'sports']} twice", "labels": ["sports", "gaming"]},
    {**ROWS[0], "video_id": "no text", "channel": "none", "title": ""},
    {**ROWS[0], "video_id": "unlabelled no text", "channel": "none", "title": "", "labels": []},
    *({**ROWS[0], "video_id": f"new{i}", "channel": f"new{i}", "title": f"{TITLES['en', 'music']} unlabelled {i}", "labels": []} for i in range(5)),
    {**ROWS[-1], "video_id": "unknown label", "channel": "unknown", "labels": ["education"]},  # its category is too rare to be trained
]


@pytest.fixture(scope="module")
def evaluated(classified_in, tmp_path_factory):
    run, version = classified_in(tmp_path_factory.mktemp("labelling"), CATALOGUE)
    return run, version, evaluate(run, version)


def test_find_label_issues_writes_its_rows_once(evaluated):
    run, version, evaluation_id = evaluated
    find_label_issues(run, version, evaluation_id)
    rows = run.lake.read(LABEL_ISSUES).where(F.col("evaluation_id") == evaluation_id).collect()
    before = [run.lake.version(table) for table in (LABEL_ISSUES, MODELS, VIDEOS)]
    find_label_issues(run, version, evaluation_id)
    assert [run.lake.version(table) for table in (LABEL_ISSUES, MODELS, VIDEOS)] == before
    mislabelled = {row["video_id"] for row in rows if row["issue"] == "mislabelled"}
    worth_labelling = {row["video_id"] for row in rows if row["issue"] == "worth_labelling"}
    assert len(mislabelled & WRONG) >= 5  # of 9 among 180
    assert len(mislabelled & WRONG) >= 2 * len(mislabelled - WRONG)
    assert worth_labelling
    assert worth_labelling <= {f"new{i}" for i in range(5)}


def test_find_label_issues_of_two_concurrent_runs_adds_its_rows_once(evaluated, monkeypatch):
    """The second run read the table before the first one wrote: it sees the same table version, without rows."""
    run, version, _ = evaluated
    run.lake.ensure(LABEL_ISSUES)
    table_version = run.lake.version(LABEL_ISSUES)
    find_label_issues(run, version, "concurrent")
    num_rows = run.lake.num_rows(LABEL_ISSUES)
    monkeypatch.setattr(run.lake, "version", lambda table: table_version)
    monkeypatch.setattr(evaluations, "has_rows", lambda lake, table, evaluation_id: False)
    find_label_issues(run, version, "concurrent")
    assert run.lake.num_rows(LABEL_ISSUES) == num_rows


def test_judged_videos_are_judged_out_of_sample(evaluated):
    run, version, _ = evaluated
    judge = {row["video_id"]: row["judge"] for row in judged_videos(run, version).collect()}
    splits = {row["video_id"]: (row["language"], SPLIT.of(row["channel"])) for row in CATALOGUE}
    assert {"out_of_fold", "champion"} == set(judge.values())
    for video_id, name in judge.items():
        language, split = splits[video_id]
        assert name == ("out_of_fold" if language in ("en", "fr") and split == "train" else "champion")
    assert not {"no text", "unknown label", "new0"} & set(judge)
    assert sum(language == "de" for language, _ in splits.values()) - 1 == sum(video_id.startswith("de") for video_id in judge)


def test_judged_videos_hold_several_labels_in_the_models_order(evaluated):
    run, version, _ = evaluated
    row = judged_videos(run, version).where("video_id = 'two labels'").first()
    categories = version.load().manifest["categories"]
    assert {categories[i] for i in row["labels"]} == {"sports", "gaming"}
    assert len(row["confidences"]) == len(categories)


def test_judged_videos_respect_the_limit_of_training_videos(evaluated):
    run, version, _ = evaluated
    limited = dataclasses.replace(run, settings=dataclasses.replace(run.settings, labels=dataclasses.replace(run.settings.labels, sample_videos=20)))
    assert judged_videos(limited, version).where("judge = 'out_of_fold'").count() <= 20


def test_unlabelled_videos_have_a_prediction_and_a_vector(evaluated):
    run, version, _ = evaluated
    rows = unlabelled_videos(run, version).collect()
    assert {row["video_id"] for row in rows} == {f"new{i}" for i in range(5)}
    assert np.isfinite(unpack_vectors([row["vector"] for row in rows], FAKE_DIM)).all()
