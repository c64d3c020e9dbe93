"""The log of real jobs: JSON lines with the run's id, from the driver and from the Python workers, and no secret in them."""

import json

import deltalake
import pytest
from conftest import ROOT, SETTINGS, VIDEOS, write_catalogue
from test_jobs import submit

pytestmark = [pytest.mark.spark, pytest.mark.slow]  # a whole job, a minute and a half
BREAKING = {**VIDEOS[0], "video_id": "v9", "title": "this text breaks the encoder"}


def _lines(said):
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def logged(tmp_path_factory, fake_encoder):
    """A job on a catalogue with a text that breaks the encoder, refused at training for want of labels: what it said, and its row in runs."""
    folder = tmp_path_factory.mktemp("logged")
    write_catalogue(folder, [*VIDEOS, BREAKING])
    settings = SETTINGS.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml") + "[training]\nlanguages = ['sv']\n"
    (folder / "settings.toml").write_text(settings, encoding="utf-8")
    done = submit("pipeline", "--conf", "settings.toml", cwd=folder)
    assert done.returncode == 2, done.stdout[-3000:]
    return done.stdout, deltalake.DeltaTable(str(folder / "lake" / "runs")).to_pyarrow_table().to_pylist()


def test_log_lines_all_carry_the_runs_id(logged):
    said, (row,) = logged
    lines = _lines(said)
    assert {(line["run_id"], line["job"]) for line in lines} == {(row["run_id"], "pipeline")}
    assert [line["message"] for line in lines if line["process"] == "driver"][0].endswith(" ...")
    others = [line for line in said.splitlines() if line and not line.startswith("{")]
    assert [line for line in others if not line.startswith("WARNING: ")] == [said.splitlines()[-1]]  # Java's own warning apart


def test_log_has_what_the_workers_say_in_the_same_form(logged):
    said, _ = logged
    warned = [line for line in _lines(said) if line["process"] == "worker"]
    assert {line["logger"] for line in warned} == {"xlclass.encoders.batches"}
    assert "the encoder failed on a text of" in warned[0]["message"]
    assert {"stage", "partition"} <= warned[0].keys()


def test_log_ends_with_the_refusal_for_collectors_and_for_people(logged):
    said, (row,) = logged
    assert row["message"].startswith("settings.toml: training.languages") or "training.languages (sv)" in row["message"]
    assert said.splitlines()[-1] == f"jobs/pipeline.py: {row['message']}"
    assert _lines(said)[-1]["message"] == f"refused: {row['message']}"
    assert _lines(said)[-1]["level"] == "error"


def test_secrets_of_the_settings_reach_neither_log_nor_lake(tmp_path):
    write_catalogue(tmp_path, VIDEOS)
    good = SETTINGS.format(encoder="embedded", taxonomy=ROOT / "conf" / "taxonomy.toml")
    secret = good.replace('"catalogue.jsonl"', '"s3x://ann:s3cr3t@bucket/videos.parquet?sig=s3cr3t"')
    (tmp_path / "settings.toml").write_text(secret, encoding="utf-8")
    done = submit("pipeline", "--conf", "settings.toml", cwd=tmp_path)
    assert done.returncode == 2, done.stdout[-3000:]
    assert "cannot read s3x://***@bucket/videos.parquet?sig=*** as " in done.stdout
    assert "s3cr3t" not in done.stdout
    written = [file.read_bytes() for file in (tmp_path / "lake").rglob("*") if file.is_file()]
    assert written
    assert not [contents for contents in written if b"s3cr3t" in contents]
    (row,) = deltalake.DeltaTable(str(tmp_path / "lake" / "runs")).to_pyarrow_table().to_pylist()
    assert "s3cr3t" not in json.dumps(row, default=str)


def test_log_text_is_for_people(tmp_path):
    write_catalogue(tmp_path, VIDEOS)
    settings = SETTINGS.format(encoder="no/such", taxonomy=ROOT / "conf" / "taxonomy.toml")
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    done = submit("pipeline", "--conf", "settings.toml", "--log", "text", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stdout.splitlines() if not line.startswith("WARNING: ")]
    assert line.startswith("jobs/pipeline.py: ")
