"""The jobs and the command line on the demo's lake: the main job by spark-submit, most others inside the tests' session."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT, SETTINGS, VIDEOS, write_catalogue
from job_runs import BIN, DEMO_SETTINGS, demo_settings, run_in_session, submit
from samples import LANGUAGES

from xlclass.cli import main
from xlclass.encoders.e5.build import e5_id
from xlclass.encoders.muse.build import muse_id
from xlclass.lake.lease import Lease
from xlclass.lake.registry import Registry

pytestmark = pytest.mark.spark
DEMO_ARGUMENTS = ("--conf", str(DEMO_SETTINGS), "--lake")
MUSE_LANGUAGES = ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"]  # but the training languages


def _versions(lake: Path) -> dict[str, int]:
    return {folder.name: deltalake.DeltaTable(str(folder)).version() for folder in lake.iterdir() if (folder / "_delta_log").is_dir()}


def _accuracy_lines(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]


@pytest.fixture(scope="module")
def lake_copy(demo_lake, tmp_path_factory):
    """A copy of the demo's lake for tests that write to it."""
    return Path(shutil.copytree(demo_lake[0], tmp_path_factory.mktemp("copy") / "lake"))


def test_pipeline_prints_a_table_of_24_languages_and_the_path_of_the_tables(demo_lake):
    lake, printed = demo_lake
    assert {line.split()[0] for line in _accuracy_lines(printed)} >= LANGUAGES
    assert f"tables: {lake}" in printed


def test_pipeline_categorises_languages_without_labels(demo_lake):
    """A head that ignored its input would reach the majority category's share, about a fifth of the videos."""
    lake, _ = demo_lake
    accuracy = deltalake.DeltaTable(str(lake / "language_accuracy")).to_pandas()
    rows = accuracy[accuracy.language.isin(MUSE_LANGUAGES)]
    assert (rows.top1 * rows.support).sum() / rows.support.sum() > 0.7
    outside = accuracy[~accuracy.language.isin([*MUSE_LANGUAGES, "en", "fr"])]
    assert (outside.top1 * outside.support).sum() / outside.support.sum() > 0.6  # MUSE alone has 0.35
    predictions = deltalake.DeltaTable(str(lake / "predictions")).to_pandas()
    assert len(predictions) == 1_512
    assert set(predictions.status) == {"ok"}
    by_muse = predictions.language.isin([*MUSE_LANGUAGES, "en", "fr"])
    assert (set(predictions.encoder_id[by_muse]), set(predictions.encoder_id[~by_muse])) == ({muse_id("float32")}, {e5_id()})


@pytest.mark.slow
def test_pipeline_again_adds_a_row_to_runs_and_nothing_else(demo_lake, tmp_path):
    lake = Path(shutil.copytree(demo_lake[0], tmp_path / "lake"))
    before = _versions(lake)
    again = submit("pipeline", *DEMO_ARGUMENTS, str(lake), cwd=tmp_path)
    assert again.returncode == 0, again.stdout[-3000:]
    assert _accuracy_lines(again.stdout) == _accuracy_lines(demo_lake[1])
    after = _versions(lake)
    assert {name for name in after if after[name] != before[name]} == {"runs"}
    runs = deltalake.DeltaTable(str(lake / "runs")).to_pandas().sort_values("started_at")
    assert list(runs.outcome) == ["done", "done"]
    assert (list(runs.rows_ok), list(runs.rows_reused)) == ([1_512, 0], [0, 1_512])


@pytest.mark.slow
def test_single_jobs_run_on_the_lake_of_the_main_job(spark, lake_copy):
    failed = {}
    for job in ("train", "evaluate", "backfill", "maintain"):
        done = run_in_session(spark, job, *DEMO_ARGUMENTS, str(lake_copy), cwd=lake_copy.parent)
        if done.returncode:
            failed[job] = done.stderr[-1_000:]
    assert failed == {}


@pytest.mark.slow
def test_train_leaves_the_champion_and_prints_how_to_promote_and_backfill_follows(spark, demo_lake, tmp_path):
    lake = Path(shutil.copytree(demo_lake[0], tmp_path / "lake"))
    champion = Registry(str(lake)).champion().name
    settings = demo_settings(tmp_path, "[training]\nseed = 8\n")
    done = run_in_session(spark, "train", "--conf", settings, "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    candidate = re.search(r"model version (\w+) in ", done.stdout)[1]
    assert f"the champion is still {champion}; compare them: xlclass models compare {champion} {candidate}\n" in done.stdout
    assert f"xlclass models promote {candidate}\n" in done.stdout
    assert Registry(str(lake)).champion().name == champion != candidate
    assert main.main(["models", "promote", candidate, "--lake", str(lake), "--force", "a drill"]) == 0
    done = run_in_session(spark, "backfill", "--conf", settings, "--lake", "lake", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(deltalake.DeltaTable(str(lake / "predictions")).to_pandas().model_version) == {candidate}


TEXT = "Les meilleurs buts de la Ligue des champions"
HOSTILE = [
    b"\xff\xfe broken \xed\xa0\x80 bytes",  # not UTF-8
    b"a\x00b\x1b[2J",  # NUL, and a command to a terminal
    b"m" * 1_000_000,  # a megabyte in one word
    b"a b " * 250_000,  # and in many
    "\u202eעברית 👩‍👩‍👧".encode(),  # right to left, joined emoji
    b"",
    b"\r",
]


def _xlclass(lake: Path, command: str, *words: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([str(BIN / "xlclass"), command, *DEMO_ARGUMENTS, str(lake), *words], cwd=lake, capture_output=True, timeout=600, **more)


def test_classify_answers_with_the_champion(demo_lake, capsys):
    lake, _ = demo_lake
    done = _xlclass(lake, "classify", "--verbose", TEXT, "", text=True)
    first, second = done.stdout.splitlines()
    assert re.fullmatch(rf"sports 0\.\d\d(, \w+ 0\.\d\d)*  \[fr\] {TEXT}", first), done
    assert second == "no category (no text)  [und] "
    champion = deltalake.DeltaTable(str(lake / "models")).to_pandas().query("event == 'champion'").model_version.iloc[-1]
    num_categories = len(dict(deltalake.DeltaTable(str(lake / "predictions")).to_pandas().confidences.dropna().iloc[0]))
    assert done.stderr.startswith(f"champion {champion} of the lake {lake}: {num_categories} categories, encoder ")
    assert main.main(["classify", *DEMO_ARGUMENTS, str(lake), "--json", TEXT]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["language"], answer["status"], answer["top_category"]) == (TEXT, "fr", "ok", "sports")
    assert answer["categories"][0] == {"category": "sports", "confidence": answer["top_confidence"]}
    assert answer["model_version"] == champion


def test_classify_serve_answers_each_line_at_once_and_survives_hostile_ones(demo_lake):
    lake, _ = demo_lake
    command = [str(BIN / "xlclass"), "classify", *DEMO_ARGUMENTS, str(lake), "--serve", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        answers = []
        for line in [TEXT.encode(), *HOSTILE, TEXT.encode()]:
            server.stdin.write(line + b"\n")
            server.stdin.flush()
            answers.append(json.loads(server.stdout.readline()))  # before the next line is sent
        last_answers, errors = server.communicate(b"\n".join([TEXT.encode()] * 3))  # the last line has no line end
    assert (server.returncode, errors) == (0, b"")
    assert [json.loads(line)["top_category"] for line in last_answers.splitlines()] == ["sports"] * 3
    assert answers[0] == answers[-1]
    assert [(answer["status"], answer["top_category"]) for answer in answers[6:8]] == [("no_text", None)] * 2
    assert answers[1]["text"].startswith("\ufffd\ufffd broken")


def test_runs_lists_the_run_of_the_main_job_and_shows_it_whole(demo_lake, capsys):
    lake, _ = demo_lake
    assert main.main(["runs", *DEMO_ARGUMENTS, str(lake)]) == 0
    newest = capsys.readouterr().out.splitlines()[-1].split()
    assert newest[1:3] == ["pipeline", "done"]
    assert newest[-4:] == ["1,512", "1,512", "0", "0"]
    assert main.main(["runs", *DEMO_ARGUMENTS, str(lake), newest[0]]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^encode +[\d.]+ (s|min \d+ s) +1,512$", printed, re.MULTILINE)
    assert "taxonomy.min_training_videos  10" in printed


@pytest.mark.slow
def test_doctor_opens_a_session_of_its_own_and_finds_nothing_wrong(demo_lake):
    lake, _ = demo_lake
    environment = {**os.environ, "SPARK_CONF_DIR": str(ROOT / "conf"), "PYSPARK_SUBMIT_ARGS": "pyspark-shell"}
    printed = _xlclass(lake, "doctor", "--json", text=True, env=environment).stdout
    findings = {line["name"]: line for line in map(json.loads, printed.splitlines())}
    findings.pop("memory"), findings.pop("disk")  # other programs use this machine's too
    assert {line["state"] for line in findings.values()} == {"ok"}, printed
    assert re.search(r"cosine to the driver's vector (1\.0000|0\.9999)", findings["encoding"]["text"])


@pytest.mark.slow
def test_report_of_the_demo_is_one_page_beside_the_tables(spark, lake_copy):
    done = run_in_session(spark, "report", *DEMO_ARGUMENTS, str(lake_copy), cwd=lake_copy.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"report: {lake_copy / 'report.html'}" in done.stdout
    html = (lake_copy / "report.html").read_text(encoding="utf-8")
    accuracy = deltalake.DeltaTable(str(lake_copy / "language_accuracy")).to_pandas()
    newest = accuracy[accuracy.evaluation_id == accuracy.sort_values("evaluated_at").evaluation_id.iloc[-1]]
    for language, top1 in zip(newest.language, newest.top1, strict=True):
        assert f'aria-label="{language}: top-1 {top1:.3f}' in html
    refused = run_in_session(spark, "report", *DEMO_ARGUMENTS, str(lake_copy), "--out", "none/page.html", cwd=lake_copy.parent)
    assert refused.returncode == 2
    assert f"there is no folder {lake_copy.parent / 'none'}" in refused.stderr


GOOD = SETTINGS.format(encoder="embedded", taxonomy=ROOT / "conf" / "taxonomy.toml")
WRONG = {  # settings, and what the job's last line has to contain
    "unknown key": (GOOD + "[split]\nsalz = 'x'\n", "settings.toml: unknown key split.salz; known here: salt"),
    "bad value": (GOOD + "[split]\ntrain = 1.5\n", "settings.toml: split.train must be between 0"),
    "missing key": ("[source]\npath = 'demo'\n", "settings.toml: the key lake is missing"),
    "not TOML": ("source = [", "settings.toml cannot be read as TOML"),
    "missing taxonomy": (GOOD.replace("taxonomy.toml", "none.toml"), "taxonomy.file: there is no file"),
    "missing path": (GOOD.replace("catalogue.jsonl", "none.parquet"), "settings.toml: source.path: there is no"),
    "missing column": (
        GOOD.replace('description = "description"', 'description = "plot"'),
        "catalogue.jsonl has no column plot; it has ",
    ),
    "no encoder": (GOOD.replace('"embedded"', '"no/such/model"'), "settings.toml: encoder.model: there is no SavedModel"),
    "truncated encoder": (GOOD.replace('"embedded"', '"truncated"'), "settings.toml: encoder.model: the SavedModel in "),
}


def _only_line(job: str, printed: str) -> str:
    """The one line that a job with the log in text prints about a user's mistake, without traceback or other messages.

    Others print too: Java a warning, the job a warning on a machine with little memory.
    """
    lines = [line for line in printed.splitlines() if not line.startswith("WARNING: ") and "Python workers" not in line]
    assert [line.partition(": ")[0] for line in lines] == [f"jobs/{job}.py"], printed[-2000:]
    (line,) = lines
    return line


def _refusal(spark, job: str, *arguments: str, cwd: Path) -> str:
    done = run_in_session(spark, job, *arguments, "--log", "text", cwd=cwd)
    assert done.returncode == 2, done.stderr[-2000:]
    return _only_line(job, done.stderr)


def test_wrong_settings_end_with_one_sentence_and_exit_code_2_before_any_row_is_read(spark, fake_encoder, tmp_path):
    write_catalogue(tmp_path, VIDEOS)
    graph = Path(shutil.copytree(fake_encoder.path, tmp_path / "truncated"), "saved_model.pb")
    graph.write_bytes(graph.read_bytes()[:1000])
    failures = {}
    for name, (settings, sentence) in WRONG.items():
        (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
        refusal = _refusal(spark, "pipeline", "--conf", "settings.toml", cwd=tmp_path)
        if sentence not in refusal:
            failures[name] = refusal
    assert failures == {}
    assert {table.name for table in (tmp_path / "lake").iterdir()} == {"runs"}


def test_missing_settings_file_and_missing_champion_are_named(spark, tmp_path):
    assert f"there is no settings file {tmp_path / 'none.toml'}" in _refusal(spark, "train", "--conf", "none.toml", cwd=tmp_path)
    assert "has no champion" in _refusal(spark, "report", *DEMO_ARGUMENTS, "empty", cwd=tmp_path)


def test_backfill_leaves_a_lake_that_another_run_holds(spark, classified_system, tmp_path):
    folder = Path(shutil.copytree(classified_system, tmp_path / "copy"))
    before = _versions(folder / "lake")
    with Lease(str(folder / "lake"), "other", "backfill", 60):
        assert "is being changed by run other" in _refusal(spark, "backfill", "--conf", "settings.toml", cwd=folder)
    after = _versions(folder / "lake")
    assert {name for name in after if after[name] != before.get(name)} == {"runs"}


def test_spark_submit_ends_a_users_mistake_with_one_sentence_and_no_secret(spark, tmp_path):
    """Nor does the log in JSON, nor the lake, hold the secrets of the settings."""
    write_catalogue(tmp_path, VIDEOS)
    settings = GOOD.replace('"catalogue.jsonl"', '"s3x://ann:s3cr3t@bucket/videos.parquet?sig=s3cr3t"')
    (tmp_path / "settings.toml").write_text(settings, encoding="utf-8")
    submitted = submit("pipeline", "--conf", "settings.toml", "--log", "text", cwd=tmp_path)
    assert submitted.returncode == 2, submitted.stdout[-3000:]
    assert "cannot read s3x://***@bucket/videos.parquet?sig=***: " in _only_line("pipeline", submitted.stdout)
    logged = run_in_session(spark, "pipeline", "--conf", "settings.toml", "--log", "json", cwd=tmp_path)
    assert logged.returncode == 2
    assert "cannot read s3x://***@bucket/videos.parquet?sig=***: " in logged.stderr
    assert "s3cr3t" not in submitted.stdout + logged.stdout + logged.stderr
    contents = [file.read_bytes() for file in (tmp_path / "lake").rglob("*") if file.is_file()]
    assert contents
    assert not [data for data in contents if b"s3cr3t" in data]
    rows = deltalake.DeltaTable(str(tmp_path / "lake" / "runs")).to_pyarrow_table().to_pylist()
    assert len(rows) == 2
    assert "s3cr3t" not in json.dumps(rows, default=str)
