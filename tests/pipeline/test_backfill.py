"""The catalogue into the lake: every row accounted for, only new and changed rows processed again."""

import copy
import json
import shutil
from pathlib import Path

import pytest
from conftest import VIDEOS, write_catalogue
from samples import ROWS

from xlclass.encoders import resolve_encoders
from xlclass.errors import EncoderError, LakeError, ModelError, SourceError
from xlclass.lake.registry import Registry
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill, classify
from xlclass.schemas import EMBEDDINGS, PREDICTION_LOG, PREDICTIONS, REJECTED_VIDEOS, unpack_vectors
from xlclass.schemas import VIDEOS as VIDEOS_TABLE

TABLES = (REJECTED_VIDEOS, VIDEOS_TABLE, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG)


def _fill(run, version=None, **options):
    backfill(run, read_catalogue(run.lake.spark, run.settings), [resolve_encoders(run.settings)], version, BackfillOptions(**options))
    return run


def _rows(run, table):
    return {row[table.keys[0]]: row for row in run.lake.read(table).collect()}


def _versions(run):
    return {table.name: run.lake.version(table) for table in TABLES}


def _num(run, name):
    return next(step.num_rows for step in run.steps if step.name == name)


@pytest.fixture(scope="module")
def filled(new_run, tmp_path_factory):
    """A run that brought the small catalogue into a new lake."""
    return _fill(new_run(tmp_path_factory.mktemp("filled"), VIDEOS))


@pytest.fixture(scope="module")
def served(classified_system, new_run, tmp_path_factory):
    """A run on a lake with a champion: each video of a channel of its own, and one without a text."""
    folder = Path(shutil.copytree(classified_system, tmp_path_factory.mktemp("served") / "copy"))
    run = new_run(folder, [*ROWS, VIDEOS[2]])
    return _fill(run, Registry(run.lake.root).champion())


@pytest.fixture
def another(new_run, tmp_path):
    """Another run on a copy of a run's lake and catalogue, or on other rows."""

    def make(run, rows=None, more=""):
        folder = tmp_path / "copy"
        if not folder.exists():
            shutil.copytree(run.settings.file.parent, folder)
        return new_run(folder, rows, more)

    return make


def test_backfill_accounts_for_every_row(filled):
    videos, rejected = _rows(filled, VIDEOS_TABLE), filled.lake.read(REJECTED_VIDEOS).collect()
    assert set(videos) == {f"v{i}" for i in range(1, 9)}
    assert sorted(row["rule"] for row in rejected) == ["duplicate_video_id", "null_video_id"]
    assert "who am I" in next(row["row"] for row in rejected if row["rule"] == "null_video_id")
    assert (filled.counts.rows_in, filled.counts.rows_ok, filled.counts.rows_rejected, filled.counts.rows_reused) == (10, 8, 2, 0)
    assert {name: num for name, num in filled.rules.items() if num} == {
        "null_video_id": 1, "duplicate_video_id": 1, "unknown_label": 1, "language_unknown": filled.rules["language_unknown"],
    }  # fmt: skip


def test_backfill_prepares_language_labels_and_text_of_each_video(filled):
    videos = _rows(filled, VIDEOS_TABLE)
    assert (videos["v1"]["language"], videos["v1"]["locale"]) == ("en", "en-GB")
    assert (videos["v8"]["title"], videos["v8"]["language"]) == ("כותרת חדשה של הסרטון", "he")
    assert videos["v2"]["labels"] == ["howto_style"]
    assert (videos["v3"]["text"], videos["v3"]["text_quality"], videos["v3"]["text_source"]) == (None, "empty", None)
    assert (videos["v4"]["language"], videos["v4"]["labels"]) == ("und", [])
    assert len(videos["v7"]["text"]) <= 1_000


def test_backfill_embeds_every_text_and_only_texts(filled):
    videos, embeddings = _rows(filled, VIDEOS_TABLE), _rows(filled, EMBEDDINGS)
    assert set(embeddings) == set(videos)
    for name, row in embeddings.items():
        assert (row["vector"] is None) == (videos[name]["text"] is None), name
        assert row["encode_key"]["text_hash"] == videos[name]["text_hash"]


def test_backfill_again_adds_no_version(filled, another):
    run = another(filled)
    before = _versions(run)
    _fill(run)
    assert _versions(run) == before
    assert (run.counts.rows_in, run.counts.rows_rejected, run.counts.rows_reused) == (10, 2, 8)
    assert not list((run.settings.file.parent / "lake").glob("_plan*"))


def test_backfill_in_chunks_equals_backfill_in_one(filled, new_run, tmp_path):
    many = _fill(new_run(tmp_path, VIDEOS, "[backfill]\nchunk_videos = 3\n"))
    for table in (VIDEOS_TABLE, REJECTED_VIDEOS):
        volatile = ("run_id", "rejected_at", "source")
        assert {str(r) for r in filled.lake.read(table).drop(*volatile).collect()} == {str(r) for r in many.lake.read(table).drop(*volatile).collect()}
    assert filled.counts == many.counts
    assert filled.rules == many.rules


def test_backfill_encodes_an_edited_text_and_keeps_the_vector_of_a_changed_language(filled, another):
    before, edited = _rows(filled, EMBEDDINGS), copy.deepcopy(VIDEOS)
    edited[0]["title"] = "Something else altogether"
    edited[4]["language"] = "nl"  # of the emoji, which no detector contradicts
    run = _fill(another(filled, edited))
    after = _rows(run, EMBEDDINGS)
    assert (_num(run, "prepare"), _num(run, "encode")) == (2, 1)
    assert [name for name in after if after[name]["vector"] != before[name]["vector"]] == ["v1"]
    assert (before["v5"]["language"], after["v5"]["language"]) == ("ja", "nl")
    assert (run.counts.rows_ok, run.counts.rows_reused) == (2, 6)


def test_backfill_classifies_with_the_champion(served, another):
    predictions, videos = _rows(served, PREDICTIONS), _rows(served, VIDEOS_TABLE)
    assert set(predictions) == set(videos)
    version = Registry(served.lake.root).champion()
    bundle, embeddings = version.load(), _rows(served, EMBEDDINGS)
    names = sorted(set(predictions) - {"v3"})
    expected = bundle.decide(
        unpack_vectors([bytes(embeddings[name]["vector"]) for name in names], bundle.manifest["dim"]), [embeddings[name]["language"] for name in names]
    )
    for i, name in enumerate(names):
        row = predictions[name]
        assert row["status"] == "ok"
        assert row["top_category"] == bundle.categories[expected.top[i]]
        assert [row["confidences"][c] for c in bundle.categories] == pytest.approx(expected.confidences[i].tolist(), abs=1e-5)
        assert {c["category"] for c in row["categories"]} == {c for c, passed in zip(bundle.categories, expected.passed[i], strict=True) if passed}
        assert [c["confidence"] for c in row["categories"]] == sorted((c["confidence"] for c in row["categories"]), reverse=True)
    assert served.lake.read(PREDICTION_LOG).count() == len(predictions)
    run = another(served)
    before = _versions(run)
    classify(run, version)
    _fill(run, Registry(run.lake.root).champion())
    assert _versions(run) == before


def test_backfill_with_a_new_head_scores_all_and_logs_it_once_also_after_a_kill_between_the_two(served, another, monkeypatch):
    catalogue = [json.loads(line) for line in (served.settings.file.parent / "catalogue.jsonl").read_text().splitlines()]
    run = another(served, [*catalogue, {**ROWS[9], "video_id": "new"}])
    version = _another_head(run)
    _kill_before_the_log(run, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        _fill(run, version)
    monkeypatch.undo()
    for _ in range(2):
        _fill(run, version)
        scored = run.lake.read(PREDICTIONS).where("model_version = 'another head'").count()
        assert scored == len(_rows(run, VIDEOS_TABLE)) == len(catalogue) + 1
        logged = run.lake.read(PREDICTION_LOG).where("model_version = 'another head'")
        assert (logged.count(), logged.select("video_id").distinct().count()) == (scored + 1, scored)  # "new" when it came, then all


@pytest.mark.parametrize("stale", ["all", "some"])
def test_classify_logs_once_what_a_killed_run_scored(served, another, monkeypatch, stale):
    run = another(served)
    version = _another_head(run) if stale == "all" else Registry(run.lake.root).champion()  # replaced in one commit, or staged and merged
    if stale == "some":
        run.lake.delete_where(PREDICTIONS, "video_id = 'v3'")
    logged = run.lake.read(PREDICTION_LOG).count()
    _kill_before_the_log(run, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        classify(run, version)
    monkeypatch.undo()
    before = _versions(run)
    _fill(run, version, dry_run=True)
    assert _versions(run) == before
    for _ in range(2):
        classify(run, version)
        assert run.lake.read(PREDICTIONS).count() == len(_rows(run, EMBEDDINGS))
        assert run.lake.read(PREDICTION_LOG).count() == logged + (1 if stale == "some" else len(_rows(run, EMBEDDINGS)))


def _another_head(run):
    bundle = copy.deepcopy(Registry(run.lake.root).champion().load())
    bundle.manifest["model_version"] = "another head"
    return Registry(run.lake.root).register(bundle, run.run_id)


def _kill_before_the_log(run, monkeypatch):
    append = run.lake.append

    def killed(table, rows, app_id=None, version=1):
        if str(app_id).endswith("/rescored"):
            raise KeyboardInterrupt
        append(table, rows, app_id, version)

    monkeypatch.setattr(run.lake, "append", killed)


def test_classify_gives_no_text_a_row_without_category(served):
    row = _rows(served, PREDICTIONS)["v3"]
    assert (row["status"], row["top_category"], row["top_confidence"], row["categories"], row["confidences"]) == ("no_text", None, None, None, None)


def test_backfill_scores_what_it_encodes_and_logs_it_once(served, another):
    run = another(served, [{**ROWS[0], "title": "this is another song entirely"}, *ROWS[1:8], {**ROWS[9], "video_id": "new"}])
    known = _rows(run, PREDICTIONS)
    _fill(run, Registry(run.lake.root).champion())
    predictions = _rows(run, PREDICTIONS)
    assert set(predictions) == {*known, "new"} | {row["video_id"] for row in ROWS[:8]}
    made = {name for name, row in predictions.items() if name not in known or row["run_id"] != known[name]["run_id"]}
    assert made >= {"new", ROWS[0]["video_id"]}
    assert run.lake.read(PREDICTION_LOG).where(f"run_id = '{run.run_id}'").count() == len(made)


def test_backfill_refuses_a_model_of_another_preparation(served, another):
    with pytest.raises(ModelError, match="on texts of the preparation"):
        _fill(another(served, more="[text]\nmax_characters = 99\n"), Registry(served.lake.root).champion())


def test_backfill_follows_dry_run_limit_and_languages(new_run, tmp_path, capsys):
    run = _fill(new_run(tmp_path, VIDEOS), dry_run=True)
    assert "10 read, 8 new or changed, 0 unchanged, 2 rejected" in capsys.readouterr().out
    assert not _rows(run, VIDEOS_TABLE)
    assert not list((tmp_path / "lake" / "_plan").glob("*"))
    _fill(new_run(tmp_path), limit=3, languages=("en",))
    languages = {name: row["language"] for name, row in _rows(run, VIDEOS_TABLE).items()}
    assert len(languages) == 3
    assert set(_rows(run, EMBEDDINGS)) == {name for name, language in languages.items() if language == "en"}
    again = _fill(new_run(tmp_path))
    assert (again.counts.rows_ok, again.counts.rows_reused) == (5, 3)
    assert set(_rows(run, EMBEDDINGS)) == set(_rows(run, VIDEOS_TABLE)) == {f"v{i}" for i in range(1, 9)}


def test_backfill_deletes_what_a_whole_source_lacks_only_with_full_and_allow_deletes(served, another):
    rows = [json.loads(line) for line in (served.settings.file.parent / "catalogue.jsonl").read_text().splitlines()]
    run = another(served, rows[2:])
    champion = Registry(served.lake.root).champion()
    _fill(run, champion)
    assert len(_rows(run, VIDEOS_TABLE)) == len(rows)
    with pytest.raises(LakeError, match=r"lacks 2 of the lake's .* --allow-deletes"):
        _fill(another(served, more="[backfill]\nmax_deleted_share = 0.01\n"), champion, full=True)
    assert len(_rows(run, VIDEOS_TABLE)) == len(rows)
    _fill(another(served, more="[backfill]\nmax_deleted_share = 0.01\n"), champion, full=True, allow_deletes=True)
    for table in (VIDEOS_TABLE, EMBEDDINGS, PREDICTIONS):
        assert set(_rows(run, table)) == {row["video_id"] for row in rows[2:]}, table.name


def test_backfill_rejects_a_text_on_which_the_encoder_fails_and_completes_the_others(new_run, tmp_path):
    bad = {"v1": "this breaks the encoder", "v2": "this is no number"}
    run = _fill(new_run(tmp_path, [{**row, "title": bad.get(row["video_id"], row["title"])} for row in VIDEOS]))
    rejected = {row["rule"]: row["row"] for row in run.lake.read(REJECTED_VIDEOS).collect()}
    assert "breaks the encoder" in rejected["encoder_failed"]
    assert "is no number" in rejected["vector_not_finite"]
    assert set(_rows(run, VIDEOS_TABLE)) == set(_rows(run, EMBEDDINGS)) == {f"v{i}" for i in range(3, 9)}
    assert (run.counts.rows_ok, run.counts.rows_rejected, run.rules["encoder_failed"], run.rules["vector_not_finite"]) == (6, 4, 1, 1)
    before = _versions(run)
    _fill(new_run(tmp_path))
    assert _versions(run) == before


def test_backfill_with_a_broken_encoder_leaves_a_plan_that_other_settings_cannot_resume(filled, another):
    rows = [{**ROWS[i], "video_id": f"broken{i}", "title": f"this breaks the encoder {i}"} for i in range(20)]
    with pytest.raises(EncoderError, match="failed on 20 of 20 texts"):
        _fill(another(filled, rows))
    with pytest.raises(LakeError, match=r"text.min_letters was 20, is 21; .* --abandon"):
        _fill(another(filled, more="[text]\nmin_letters = 21\n"))
    write_catalogue(another(filled).settings.file.parent, VIDEOS)
    run = _fill(another(filled, more="[text]\nmin_letters = 21\n"), abandon=True)
    assert set(_rows(run, VIDEOS_TABLE)) == {f"v{i}" for i in range(1, 9)}


def test_backfill_uses_nothing_of_files_that_change_while_they_are_read(filled, another):
    run = another(filled)
    catalogue = read_catalogue(run.lake.spark, run.settings)
    write_catalogue(run.settings.file.parent, [{**VIDEOS[0], "title": "changed meanwhile"}, *VIDEOS[1:]])
    before = _versions(run)
    with pytest.raises(SourceError, match="changed while it was read"):
        backfill(run, catalogue, [resolve_encoders(run.settings)], None)
    assert _versions(run) == before
    assert _rows(_fill(another(filled)), VIDEOS_TABLE)["v1"]["title"] == "changed meanwhile"


def test_backfill_reads_a_delta_source_at_its_version_and_follows_its_deletions(new_run, tmp_path):
    run = new_run(tmp_path, VIDEOS)
    source, spark = str(tmp_path / "source"), run.lake.spark
    spark.read.json(str(tmp_path / "catalogue.jsonl")).write.format("delta").option("delta.enableChangeDataFeed", "true").save(source)
    run.settings.file.write_text(run.settings.file.read_text().replace("catalogue.jsonl", "source"))
    run = new_run.again(run)
    catalogue = read_catalogue(spark, run.settings)
    spark.sql(f"DELETE FROM delta.`{source}` WHERE video_id IN ('v1', 'v2')")
    backfill(run, catalogue, [resolve_encoders(run.settings)], None)
    run.record("done")
    assert {"v1", "v2"} <= set(_rows(run, VIDEOS_TABLE))
    after = _fill(new_run.again(run))
    assert set(_rows(after, VIDEOS_TABLE)) == set(_rows(after, EMBEDDINGS)) == {f"v{i}" for i in range(3, 9)}
