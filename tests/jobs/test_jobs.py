"""The jobs as their users start them: spark-submit, from anywhere, with settings right and wrong."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT, SETTINGS, SHORT_LIVED, VIDEOS, write_catalogue
from samples import LANGUAGES

from xlclass.lake.registry import Registry

BIN = Path(sys.executable).parent
pytestmark = pytest.mark.spark


def submit(job: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """The job as spark-submit runs it; spark-submit itself sends a Python job's standard error to standard output."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
    environment.pop("PYSPARK_SUBMIT_ARGS", None)  # of this session's own Spark
    command = [str(BIN / "spark-submit"), "--master", "local[2]", "--driver-java-options", SHORT_LIVED, str(ROOT / "jobs" / f"{job}.py"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1_200)


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
    assert set(rows) >= LANGUAGES
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("job", ["train", "evaluate", "backfill", "maintain"])
def test_single_jobs_run_on_the_lake_of_the_main_job(demo_lake, job):
    lake, _ = demo_lake
    done = submit(job, "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), cwd=lake.parent)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_train_leaves_the_champion_in_its_place_and_says_how_to_promote(demo_lake, tmp_path):
    lake = Path(shutil.copytree(demo_lake[0], tmp_path / "lake"))
    champion = Registry(str(lake)).champion().name
    settings = (ROOT / "conf" / "local.toml").read_text(encoding="utf-8").replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
    settings = settings.replace("[taxonomy]", f'[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"') + "[training]\nseed = 8\n"
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    done = submit("train", "--conf", "settings.toml", "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    candidate = re.search(r"model version (\w+) in ", done.stdout)[1]
    assert f"the champion is still {champion}; compare them: xlclass models compare {champion} {candidate}\n" in done.stdout
    assert f"xlclass models promote {candidate}\n" in done.stdout
    assert Registry(str(lake)).champion().name == champion != candidate
    forced = [str(BIN / "python"), "-m", "xlclass.cli.main", "models", "promote", candidate, "--lake", "lake", "--force", "a drill"]
    subprocess.run(forced, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    done = submit("backfill", "--conf", "settings.toml", "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert set(deltalake.DeltaTable(str(lake / "predictions")).to_pandas().model_version) == {candidate}


TEXT = "Les meilleurs buts de la Ligue des champions"
HOSTILE = [
    b"\xff\xfe broken \xed\xa0\x80 bytes",  # no UTF-8
    b"a\x00b\x1b[2J",  # NUL, and a terminal's command
    b"m" * 1_000_000,  # a megabyte of one word
    b"a b " * 250_000,  # and of many
    "\u202eעברית 👩‍👩‍👧".encode(),  # right to left, joined emoji
    b"",
    b"\r",
]


def _xlclass(lake: Path, *words: str, **more) -> subprocess.CompletedProcess:
    command = [str(BIN / "xlclass"), words[0], "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), *words[1:]]
    return subprocess.run(command, cwd=lake, capture_output=True, timeout=600, **more)


def test_classify_answers_with_the_champion(demo_lake):
    lake, _ = demo_lake
    done = _xlclass(lake, "classify", "--verbose", TEXT, "", text=True)
    first, second = done.stdout.splitlines()
    assert re.fullmatch(rf"sports 0\.\d\d(, \w+ 0\.\d\d)*  \[fr\] {TEXT}", first), done
    assert second == "no category (no text)  [und] "
    champion = deltalake.DeltaTable(str(lake / "models")).to_pandas().query("event == 'champion'").model_version.iloc[-1]
    num_categories = len(dict(deltalake.DeltaTable(str(lake / "predictions")).to_pandas().confidences.dropna().iloc[0]))
    assert done.stderr.startswith(f"champion {champion} of the lake {lake}: {num_categories} categories, encoder ")
    answer = json.loads(_xlclass(lake, "classify", "--json", TEXT, text=True).stdout)
    assert (answer["text"], answer["language"], answer["status"], answer["top_category"]) == (TEXT, "fr", "ok", "sports")
    assert answer["categories"][0] == {"category": "sports", "confidence": answer["top_confidence"]}
    assert answer["model_version"] == champion


def test_classify_serve_answers_each_line_at_once_and_outlives_hostile_ones(demo_lake):
    lake, _ = demo_lake
    command = [str(BIN / "xlclass"), "classify", "--conf", str(ROOT / "conf" / "local.toml"), "--lake", str(lake), "--serve", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        answers = []
        for line in [TEXT.encode(), *HOSTILE, TEXT.encode()]:
            server.stdin.write(line + b"\n")
            server.stdin.flush()
            answers.append(json.loads(server.stdout.readline()))  # before the next line is sent
        rest, said = server.communicate(b"\n".join([TEXT.encode()] * 3))  # the last line without its end
    assert (server.returncode, said) == (0, b"")
    assert [json.loads(line)["top_category"] for line in rest.splitlines()] == ["sports"] * 3
    assert answers[0] == answers[-1]
    assert [(answer["status"], answer["top_category"]) for answer in answers[6:8]] == [("no_text", None)] * 2
    assert answers[1]["text"].startswith("\ufffd\ufffd broken")


def test_runs_and_doctor_look_at_the_lake(demo_lake):
    lake, _ = demo_lake
    listed = _xlclass(lake, "runs", text=True).stdout.splitlines()
    assert listed[-1].split()[1:3] == ["pipeline", "done"]
    assert listed[-1].split()[-4:] == ["1,512", "1,512", "0", "0"]
    whole = _xlclass(lake, "runs", listed[-1].split()[0], text=True).stdout
    assert re.search(r"^encode +[\d.]+ (s|min \d+ s) +1,512$", whole, re.MULTILINE)
    assert "taxonomy.min_training_videos  10" in whole
    doctor = _xlclass(lake, "doctor", "--json", text=True, env={**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf"), "PYSPARK_SUBMIT_ARGS": "pyspark-shell"})
    found = {line["name"]: line for line in map(json.loads, doctor.stdout.splitlines())}
    found.pop("memory"), found.pop("disk")  # this machine's, which others use too
    assert {line["state"] for line in found.values()} == {"ok"}, doctor.stdout
    assert re.search(r"cosine to the driver's vector (1\.0000|0\.9999)", found["encoding"]["text"])


@pytest.mark.slow
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
        pytest.param(
            "no labels",
            GOOD.replace("min_training_videos = 2", "min_training_videos = 2\n[training]\nlanguages = ['sv']"),
            "settings.toml: training.languages (sv)",
            marks=pytest.mark.slow,  # it is found after everything is encoded; test_log_of_jobs.py sees such a run too
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
