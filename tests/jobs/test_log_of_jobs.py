"""The log of a real job: JSON lines with the run's id, from the driver and from the Python workers."""

import json

import deltalake
import pytest
from conftest import ROOT, SETTINGS, VIDEOS, write_catalogue
from job_runs import submit

pytestmark = [pytest.mark.spark, pytest.mark.slow]  # a whole job, a minute and a half
BREAKING = {**VIDEOS[0], "video_id": "v9", "title": "this text breaks the encoder"}


def _records(printed):
    return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, fake_encoder):
    """What a job printed on a catalogue with a text that breaks the encoder, refused at training for lack of labels, and its rows in `runs`."""
    folder = tmp_path_factory.mktemp("logged")
    write_catalogue(folder, [*VIDEOS, BREAKING])
    settings = SETTINGS.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml") + "[training]\nlanguages = ['sv']\n"
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    done = submit("pipeline", "--conf", "settings.toml", cwd=folder)
    assert done.returncode == 2, done.stdout[-3000:]
    return done.stdout, deltalake.DeltaTable(str(folder / "lake" / "runs")).to_pyarrow_table().to_pylist()


def test_log_lines_all_carry_the_runs_id(logged):
    printed, (row,) = logged
    records = _records(printed)
    assert {(record["run_id"], record["job"]) for record in records} == {(row["run_id"], "pipeline")}
    assert next(record["message"] for record in records if record["process"] == "driver").endswith(" ...")
    plain_lines = [line for line in printed.splitlines() if line and not line.startswith("{")]
    assert [line for line in plain_lines if not line.startswith("WARNING: ")] == [printed.splitlines()[-1]]  # apart from Java's own warning


def test_log_has_the_workers_messages_in_the_same_form(logged):
    printed, _ = logged
    records = [record for record in _records(printed) if record["process"] == "worker"]
    assert {record["logger"] for record in records} == {"xlclass.encoders.batches"}
    assert "the encoder failed on a text of" in records[0]["message"]
    assert {"stage", "partition"} <= records[0].keys()


def test_log_ends_with_the_refusal_for_collectors_and_for_people(logged):
    printed, (row,) = logged
    assert "settings.toml: training.languages (sv)" in row["message"]
    assert printed.splitlines()[-1] == f"jobs/pipeline.py: {row['message']}"
    assert _records(printed)[-1]["message"] == f"refused: {row['message']}"
    assert _records(printed)[-1]["level"] == "error"
    assert "Traceback" not in printed
