"""The jobs as their users start them: spark-submit, from anywhere, with settings right and wrong."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT, SETTINGS, VIDEOS, write_catalogue

from xlclass.lake.registry import Registry

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.spark


def submit(job: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The job as spark-submit runs it; spark-submit itself sends a Python job's standard error to standard output."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
    environment.pop("PYSPARK_SUBMIT_ARGS", None)  # of this session's own Spark
    command = [str(BIN / "spark-submit"), "--master", "local[2]", str(ROOT / "jobs" / f"{job}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)


def _versions(lake: Path) -> dict[str, int]:
    return {folder.name: deltalake.DeltaTable(str(folder)).version() for folder in lake.iterdir() if (folder / "_delta_log").is_dir()}


def _table(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]


@pytest.fixture(scope="module")
def demo_lake(tmp_path_factory):
    """The lake of the main job on the demo with the real MUSE, run from an empty folder, and what it printed."""
    folder = tmp_path_factory.mktemp("elsewhere")
    done = submit("pipeline", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", "lake", cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "lake", done.stdout


def test_pipeline_prints_a_table_of_24_languages_and_where_the_tables_are(demo_lake):
    lake, printed = demo_lake
    rows = [line.split()[0] for line in _table(printed)]
    named = {
        "ar",
        "de",
        "el",
        "en",
        "es",
        "fa",
        "fr",
        "he",
        "hi",
        "hu",
        "it",
        "ja",
        "ko",
        "nl",
        "pl",
        "pt",
        "ru",
        "sv",
        "th",
        "tr",
        "uk",
        "vi",
        "zh",
        "zh-Hant",
    }
    assert named <= set(rows)
    assert f"tables: {lake}" in printed


def test_pipeline_categorises_languages_without_labels(demo_lake):
    """A head that ignored its input would get the majority category's share, a fifth of the videos or so."""
    lake, _ = demo_lake
    accuracy = deltalake.DeltaTable(str(lake / "language_accuracy")).to_pandas()
    known = accuracy[accuracy.language.isin(["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"])]
    assert (known.top1 * known.support).sum() / known.support.sum() > 0.7
    predictions = deltalake.DeltaTable(str(lake / "predictions")).to_pandas()
    assert len(predictions) == 1_512
    assert set(predictions.status) == {"ok"}


def test_pipeline_again_adds_a_row_to_runs_and_nothing_else(demo_lake):
    lake, printed = demo_lake
    before = _versions(lake)
    again = submit("pipeline", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), cwd=lake.parent)
    assert again.returncode == 0, again.stdout[-3000:]
    assert _table(again.stdout) == _table(printed)
    after = _versions(lake)
    assert {name for name in after if after[name] != before[name]} == {"runs"}
    runs = deltalake.DeltaTable(str(lake / "runs")).to_pandas().sort_values("started_at")
    assert len(runs) == 2
    assert list(runs.outcome) == ["done", "done"]
    assert (list(runs.rows_ok), list(runs.rows_reused)) == ([1_512, 0], [0, 1_512])


@pytest.mark.parametrize("job", ["train", "evaluate", "backfill"])
def test_single_jobs_run_on_the_lake_of_the_main_job(demo_lake, job):
    lake, _ = demo_lake
    done = submit(job, "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), cwd=lake.parent)
    assert done.returncode == 0, done.stdout[-3000:]


def test_train_leaves_the_champion_in_its_place_and_says_how_to_promote(demo_lake, tmp_path):
    lake = Path(shutil.copytree(demo_lake[0], tmp_path / "lake"))
    champion = Registry(str(lake)).champion().name
    settings = (ROOT / "conf" / "local.toml").read_text(encoding="utf-8").replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
    settings = settings.replace("[taxonomy]", f'[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"') + "[training]\nseed = 8\n"
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    done = submit("train", "--conf", "settings.toml", "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    candidate = re.search(r"model version (\w+) in ", done.stdout)[1]
    assert f"the champion is {champion}; xlclass models compare {champion} {candidate}; xlclass models promote {candidate}" in done.stdout
    assert Registry(str(lake)).champion().name == champion != candidate
    forced = [str(BIN / "python"), "-m", "xlclass.cli", "models", "promote", candidate, "--lake", "lake", "--force", "a drill"]
    subprocess.run(forced, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    done = submit("backfill", "--conf", "settings.toml", "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(deltalake.DeltaTable(str(lake / "predictions")).to_pandas().model_version) == {candidate}


def test_report_of_the_demo_is_one_page_beside_the_tables(demo_lake):
    lake, _ = demo_lake
    done = submit("report", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), cwd=lake.parent)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"report: {lake / 'report.html'}" in done.stdout
    html = (lake / "report.html").read_text(encoding="utf-8")
    accuracy = deltalake.DeltaTable(str(lake / "language_accuracy")).to_pandas()
    newest = accuracy[accuracy.evaluation_id == accuracy.sort_values("evaluated_at").evaluation_id.iloc[-1]]
    for language, top1 in zip(newest.language, newest.top1, strict=True):
        assert f'aria-label="{language}: top-1 {top1:.3f}' in html
    elsewhere = submit("report", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), "--out", "none/page.html", cwd=lake.parent)
    assert elsewhere.returncode == 2
    assert f"there is no folder {lake.parent / 'none'}" in elsewhere.stdout


def test_report_of_a_lake_without_a_champion_ends_with_one_sentence(tmp_path):
    done = submit("report", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", "empty", cwd=tmp_path)
    said = [line for line in done.stdout.splitlines() if "jobs/report.py:" in line]
    assert done.returncode == 2, done.stdout[-2000:]
    assert len(said) == 1
    assert "has no champion" in said[0]


GOOD = SETTINGS.format(encoder="embedded", taxonomy=ROOT / "conf" / "taxonomy.toml")


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("unknown key", GOOD + "[split]\nsalz = 'x'\n", "settings.toml: unknown key split.salz; known here: salt"),
        ("bad value", GOOD + "[split]\ntrain = 1.5\n", "settings.toml: split.train must be between 0"),
        ("missing key", "[source]\npath = 'demo'\n", "settings.toml: the key lake is missing"),
        ("not TOML", "source = [", "settings.toml cannot be read as TOML"),
        ("missing taxonomy", GOOD.replace("taxonomy.toml", "none.toml"), "taxonomy.file: there is no file"),
        ("missing path", GOOD.replace("catalogue.jsonl", "none.parquet"), "settings.toml: source.path: cannot read"),
        (
            "missing column",
            GOOD.replace('description = "description"', 'description = "plot"'),
            "settings.toml: source.columns.description: the source has no column plot",
        ),
        ("no encoder", GOOD.replace('"embedded"', '"no/such/model"'), "settings.toml: encoder.model: there is no SavedModel"),
        (
            "no labels",
            GOOD.replace("min_training_videos = 2", "min_training_videos = 2\n[training]\nlanguages = ['sv']"),
            "settings.toml: training.languages (sv)",
        ),
    ],
)
def test_wrong_settings_end_with_one_sentence_and_exit_code_2(name, wrong, sentence, tmp_path):
    write_catalogue(tmp_path, VIDEOS)
    (tmp_path / "settings.toml").write_text(wrong, encoding="utf-8")
    done = submit("pipeline", "--conf", "settings.toml", cwd=tmp_path)
    said = [line for line in done.stdout.splitlines() if "jobs/pipeline.py:" in line]
    assert done.returncode == 2, done.stdout[-2000:]
    assert len(said) == 1
    assert sentence in said[0]
    assert "Traceback" not in done.stdout


def test_missing_settings_file_is_named(tmp_path):
    done = submit("train", "--conf", "none.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert f"there is no settings file {tmp_path / 'none.toml'}" in done.stdout
