"""Two encoders compared on a small lake: one that the lake has the vectors of, and one that says nothing of the text."""

import shutil

import pyarrow.compute as pc
import pytest
from job_runs import run_in_session
from refusals import message_of
from samples import ROWS

from xlclass.evaluation.comparison_sample import FITTED, TESTED, TEXTS, collected_rows, sample_videos
from xlclass.evaluation.encoder_comparison import compare_encoders
from xlclass.quality.splits import Split
from xlclass.schemas import EMBEDDINGS, ENCODER_COMPARISON

SPLIT = Split("xlclass", 0.6, 0.1, 0.1)
SIDES = {row["video_id"]: SPLIT.of(row["channel"]) for row in ROWS}
NAMES = ("settings.toml", "constant.toml")


@pytest.fixture(scope="module")
def constant_encoder(tmp_path_factory):
    """A SavedModel that gives every text the same vector."""
    import tensorflow as tf

    class Constant(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            return tf.ones([tf.shape(texts)[0], 4]) / 2

    folder = tmp_path_factory.mktemp("constant")
    tf.saved_model.save(Constant(), str(folder))
    return folder


@pytest.fixture(scope="module")
def compared(spark, new_run, backfilled_system, constant_encoder, tmp_path_factory):
    """A run on a copy of a backfilled lake, what the job printed there, and the versions of `embeddings` before and after it."""
    folder = tmp_path_factory.mktemp("compared") / "copy"
    shutil.copytree(backfilled_system, folder)
    run = new_run(folder, more=f"[comparison]\ncontenders = {list(NAMES)}\n")
    text = run.settings.file.read_text(encoding="utf-8")
    (folder / "constant.toml").write_text(text.replace(run.settings.encoder.model, str(constant_encoder)), encoding="utf-8")
    before = run.lake.version(EMBEDDINGS)
    done = run_in_session(spark, "compare_encoders", "--conf", "settings.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    return run, done.stdout, (before, run.lake.version(EMBEDDINGS))


def rows_of(run):
    return {(row["contender"], row["language"]): row for row in run.lake.scan(ENCODER_COMPARISON, *ENCODER_COMPARISON.names)}


def test_compare_encoders_writes_a_row_per_contender_and_language(compared):
    run, printed, versions = compared
    rows = rows_of(run)
    num_tested = {code: sum(row["language"] == code and SIDES[row["video_id"]] == "test" for row in ROWS) for code in ("en", "fr", "de")}
    support = num_tested | {"all": sum(num_tested.values()), "training": num_tested["en"] + num_tested["fr"], "known": None, "other": num_tested["de"]}
    del support["known"]  # the fake encoder knows English and French only
    assert {key: row["support"] for key, row in rows.items()} == {(name, code): num for name in NAMES for code, num in support.items()}
    fake, constant = (rows[name, "training"] for name in NAMES)
    assert constant["top1"] <= constant["majority_baseline"] < fake["top1"]
    assert constant["gain_high"] < 0
    of_all = [rows[name, "all"] for name in NAMES]
    assert [row["vector_bytes"] for row in of_all] == [16, 8]
    num_training = sum(row["language"] != "de" and SIDES[row["video_id"]] == "train" for row in ROWS)
    for row in of_all:
        assert row["num_training_videos"] == num_training
        assert 0 < row["milliseconds_per_text"] < 1_000
        assert 200 < row["memory_mib"] < 4_000
        assert row["cost_per_million"] == pytest.approx(row["milliseconds_per_text"] * 1e6 / 3.6e6 * 0.05)
    assert rows["constant.toml", "de"]["memory_mib"] is None
    assert versions[0] == versions[1]  # vectors of a comparison are not kept
    assert f"Languages that settings.toml was not trained on ({num_tested['de']} test videos)" in printed


def test_compare_encoders_again_adds_no_row(compared, new_run, monkeypatch):
    run, _, _ = compared
    version, (comparison_id,) = run.lake.version(ENCODER_COMPARISON), {row["comparison_id"] for row in rows_of(run).values()}
    monkeypatch.setattr("xlclass.evaluation.encoder_comparison.encoded_sample", None)  # a call would fail
    assert compare_encoders(new_run.again(run)) == comparison_id
    assert run.lake.version(ENCODER_COMPARISON) == version
    assert not run.lake.scan(ENCODER_COMPARISON, "language", where=pc.field("comparison_id") != comparison_id)


def test_sample_videos_keeps_fit_and_test_apart(compared):
    run, _, _ = compared
    rows = collected_rows(sample_videos(run, 100))
    assert len(rows) <= 100
    assert rows.video_id.is_unique
    sides = {use: set(group.video_id.map(SIDES)) for use, group in rows.groupby("use")}
    assert sides == {FITTED: {"train", "validation", "calibration"}, TESTED: {"test"}, TEXTS: {"train"}}
    assert {use: set(group.language) for use, group in rows.groupby("use")} == {FITTED: {"en", "fr"}, TESTED: {"en", "fr", "de"}, TEXTS: {"de"}}
    assert rows[rows.use == FITTED].language.value_counts().to_dict() == {"en": 20, "fr": 20}


def test_compare_encoders_says_what_a_lake_lacks(new_run, tmp_path):
    run = new_run(tmp_path, [], more='[comparison]\ncontenders = ["settings.toml"]\n')
    message = message_of(compare_encoders, run)
    assert message.startswith(f"{run.settings.file}: the sample of 0 videos has 0 categories with 2 labelled training videos")
    assert "\n" not in message
