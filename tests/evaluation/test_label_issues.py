"""The step that fills label_issues, on a lake of its own."""

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
WRONG = {video for language in ("en", "fr", "de") for video in [video for video in MUSIC if video.startswith(language)][:3]}
TOLD = [  # the fake encoder has eight words: these tell the categories apart, those of the wrongly labelled videos best
    {**row, "title": f"{row['title']} {' '.join(row['labels'] * (9 if row['video_id'] in WRONG else 3))}"} for row in ROWS
]
CATALOGUE = [
    *({**row, "labels": ["gaming"]} if row["video_id"] in WRONG else row for row in TOLD),
    {**ROWS[0], "video_id": "two labels", "channel": "two", "title": f"{TITLES['en', 'sports']} twice", "labels": ["sports", "gaming"]},
    {**ROWS[0], "video_id": "no text", "channel": "none", "title": ""},
    {**ROWS[0], "video_id": "unlabelled no text", "channel": "none", "title": "", "labels": []},
    *({**ROWS[0], "video_id": f"new{i}", "channel": f"new{i}", "title": f"{TITLES['en', 'music']} nobody saw {i}", "labels": []} for i in range(5)),
    {**ROWS[-1], "video_id": "unknown label", "channel": "unknown", "labels": ["education"]},  # labelled, with a category too rare to learn
]


@pytest.fixture(scope="module")
def evaluated(classified_in, tmp_path_factory):
    run, version = classified_in(tmp_path_factory.mktemp("labelling"), CATALOGUE)
    return run, version, evaluate(run, version)


def test_find_label_issues_fills_the_table_once(evaluated):
    run, version, evaluation_id = evaluated
    find_label_issues(run, version, evaluation_id)
    rows = run.lake.read(LABEL_ISSUES).where(F.col("evaluation_id") == evaluation_id).collect()
    before = [run.lake.version(table) for table in (LABEL_ISSUES, MODELS, VIDEOS)]
    find_label_issues(run, version, evaluation_id)
    assert [run.lake.version(table) for table in (LABEL_ISSUES, MODELS, VIDEOS)] == before
    wrong = {row["video_id"] for row in rows if row["issue"] == "mislabelled"}
    worth = {row["video_id"] for row in rows if row["issue"] == "worth_labelling"}
    assert len(wrong & WRONG) >= 5  # of 9 among 180
    assert len(wrong & WRONG) >= 2 * len(wrong - WRONG)
    assert worth
    assert worth <= {f"new{i}" for i in range(5)}


def test_find_label_issues_of_two_runs_at_once_adds_its_rows_once(evaluated, monkeypatch):
    """The second looked before the first wrote: it sees no rows, at the version that the first saw."""
    run, version, _ = evaluated
    run.lake.ensure(LABEL_ISSUES)
    seen = run.lake.version(LABEL_ISSUES)
    find_label_issues(run, version, "of two at once")
    num_rows = run.lake.num_rows(LABEL_ISSUES)
    monkeypatch.setattr(run.lake, "version", lambda table: seen)
    monkeypatch.setattr(evaluations, "has_rows", lambda lake, table, evaluation_id: False)
    find_label_issues(run, version, "of two at once")
    assert run.lake.num_rows(LABEL_ISSUES) == num_rows


def test_judged_videos_are_judged_out_of_sample(evaluated):
    run, version, _ = evaluated
    judge = {row["video_id"]: row["judge"] for row in judged_videos(run, version).collect()}
    channels = {row["video_id"]: (row["language"], SPLIT.of(row["channel"])) for row in CATALOGUE}
    assert {"out_of_fold", "champion"} == set(judge.values())
    for video, who in judge.items():
        language, side = channels[video]
        assert who == ("out_of_fold" if language in ("en", "fr") and side == "train" else "champion")
    assert not {"no text", "unknown label", "new0"} & set(judge)
    assert sum(language == "de" for language, _ in channels.values()) - 1 == sum(video.startswith("de") for video in judge)


def test_judged_videos_hold_several_labels_in_the_models_order(evaluated):
    run, version, _ = evaluated
    row = judged_videos(run, version).where("video_id = 'two labels'").first()
    categories = version.load().manifest["categories"]
    assert {categories[i] for i in row["labels"]} == {"sports", "gaming"}
    assert len(row["confidences"]) == len(categories)


def test_judged_videos_take_no_more_training_videos_than_the_settings_allow(evaluated):
    run, version, _ = evaluated
    bounded = dataclasses.replace(run, settings=dataclasses.replace(run.settings, labels=dataclasses.replace(run.settings.labels, sample_videos=20)))
    assert judged_videos(bounded, version).where("judge = 'out_of_fold'").count() <= 20


def test_unlabelled_videos_have_a_prediction_and_a_vector(evaluated):
    run, version, _ = evaluated
    rows = unlabelled_videos(run, version).collect()
    assert {row["video_id"] for row in rows} == {f"new{i}" for i in range(5)}
    assert np.isfinite(unpack_vectors([row["vector"] for row in rows], FAKE_DIM)).all()
