"""The catalogue into the lake: every row accounted for, only what changed is done again."""

import copy

import pytest
from conftest import VIDEOS
from test_training import ROWS

from xlclass.backfill import backfill, classify
from xlclass.encoders import resolve_encoder
from xlclass.errors import ModelError
from xlclass.lake.registry import Registry
from xlclass.lake.sources import read_catalogue
from xlclass.schemas import EMBEDDINGS, PREDICTIONS, REJECTED_VIDEOS, unpack_vectors
from xlclass.schemas import VIDEOS as VIDEOS_TABLE
from xlclass.training import train

TABLES = (REJECTED_VIDEOS, VIDEOS_TABLE, EMBEDDINGS, PREDICTIONS)


def _fill(run, version=None):
    backfill(run, read_catalogue(run.lake.spark, run.settings), resolve_encoder(run.settings), version)
    return run


def _rows(run, table):
    return {row[table.keys[0]]: row for row in run.lake.read(table).collect()}


def _versions(run):
    return {table.name: run.lake.version(table) for table in TABLES}


def _many():
    """Videos of two easy categories in two languages, each of a channel of its own."""
    return [row for row in ROWS if row["language"] in ("en", "fr") and row["labels"] != ["gaming"]]


def test_backfill_accounts_for_every_row(new_run, tmp_path):
    run = _fill(new_run(tmp_path, VIDEOS))
    videos, rejected = _rows(run, VIDEOS_TABLE), run.lake.read(REJECTED_VIDEOS).collect()
    assert set(videos) == {f"v{i}" for i in range(1, 9)}
    assert sorted(row["rule"] for row in rejected) == ["duplicate_video_id", "null_video_id"]
    assert "who am I" in next(row["row"] for row in rejected if row["rule"] == "null_video_id")
    assert (run.counts.rows_in, run.counts.rows_ok, run.counts.rows_rejected, run.counts.rows_reused) == (10, 8, 2, 0)
    assert {name: num for name, num in run.rules.items() if num} == {
        "null_video_id": 1, "duplicate_video_id": 1, "unknown_label": 1, "language_unknown": run.rules["language_unknown"],
    }  # fmt: skip


def test_backfill_prepares_what_the_design_says(new_run, tmp_path):
    videos = _rows(_fill(new_run(tmp_path, VIDEOS)), VIDEOS_TABLE)
    assert (videos["v1"]["language"], videos["v1"]["locale"]) == ("en", "en-GB")
    assert (videos["v8"]["title"], videos["v8"]["language"]) == ("כותרת חדשה של הסרטון", "he")
    assert videos["v2"]["labels"] == ["howto_style"]
    assert (videos["v3"]["text"], videos["v3"]["text_quality"], videos["v3"]["text_source"]) == (None, "empty", None)
    assert (videos["v4"]["language"], videos["v4"]["labels"]) == ("und", [])
    assert len(videos["v7"]["text"]) <= 1_000


def test_backfill_embeds_every_text_and_only_texts(new_run, tmp_path):
    run = _fill(new_run(tmp_path, VIDEOS))
    videos, embeddings = _rows(run, VIDEOS_TABLE), _rows(run, EMBEDDINGS)
    assert set(embeddings) == set(videos)
    for name, row in embeddings.items():
        assert (row["vector"] is None) == (videos[name]["text"] is None), name
        assert row["encode_key"]["text_hash"] == videos[name]["text_hash"]


def test_backfill_again_adds_no_version(new_run, tmp_path):
    before = _versions(_fill(new_run(tmp_path, VIDEOS)))
    again = _fill(new_run(tmp_path))
    assert _versions(again) == before
    assert (again.counts.rows_in, again.counts.rows_rejected, again.counts.rows_reused) == (10, 2, 8)


def test_backfill_in_chunks_equals_backfill_in_one(new_run, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    one, many = _fill(new_run(tmp_path / "one", VIDEOS)), _fill(new_run(tmp_path / "many", VIDEOS, "[backfill]\nchunk_videos = 3\n"))
    assert len([step for step in many.steps if step.name == "encode"]) == 1
    for table in (VIDEOS_TABLE, REJECTED_VIDEOS):
        volatile = ("run_id", "rejected_at", "source")
        assert {str(r) for r in one.lake.read(table).drop(*volatile).collect()} == {str(r) for r in many.lake.read(table).drop(*volatile).collect()}
    assert one.counts == many.counts


def test_backfill_encodes_an_edited_text_and_no_other(new_run, tmp_path):
    before = _rows(_fill(new_run(tmp_path, VIDEOS)), EMBEDDINGS)
    edited = copy.deepcopy(VIDEOS)
    edited[0]["title"] = "Something else altogether"
    run = _fill(new_run(tmp_path, edited))
    after = _rows(run, EMBEDDINGS)
    assert next(step.num_rows for step in run.steps if step.name == "encode") == 1
    assert [name for name in after if after[name]["vector"] != before[name]["vector"]] == ["v1"]
    assert (run.counts.rows_ok, run.counts.rows_reused) == (1, 7)


def test_backfill_keeps_the_vector_when_only_the_language_changes(new_run, tmp_path):
    before = _rows(_fill(new_run(tmp_path, VIDEOS)), EMBEDDINGS)
    edited = copy.deepcopy(VIDEOS)
    edited[4]["language"] = "nl"  # of the emoji, which no detector contradicts
    run = _fill(new_run(tmp_path, edited))
    after = _rows(run, EMBEDDINGS)
    assert next(step.num_rows for step in run.steps if step.name == "encode") == 0
    assert (before["v5"]["language"], after["v5"]["language"]) == ("ja", "nl")
    assert after["v5"]["vector"] == before["v5"]["vector"]


def test_backfill_classifies_with_the_champion(new_run, tmp_path):
    run = new_run(tmp_path, _many())
    encoder = resolve_encoder(run.settings)
    _fill(run)
    version = train(run, encoder)
    classify(run, version)
    predictions, videos = _rows(run, PREDICTIONS), _rows(run, VIDEOS_TABLE)
    assert set(predictions) == set(videos)
    bundle, embeddings = version.load(), _rows(run, EMBEDDINGS)
    names = sorted(predictions)
    expected = bundle.decide(unpack_vectors([bytes(embeddings[name]["vector"]) for name in names], encoder.dim))
    for i, name in enumerate(names):
        row = predictions[name]
        assert row["status"] == "ok"
        assert row["top_category"] == bundle.categories[expected.top[i]]
        assert [row["confidences"][c] for c in bundle.categories] == pytest.approx(expected.confidences[i].tolist(), abs=1e-5)
        assert {c["category"] for c in row["categories"]} == {c for c, passed in zip(bundle.categories, expected.passed[i], strict=True) if passed}
        assert [c["confidence"] for c in row["categories"]] == sorted((c["confidence"] for c in row["categories"]), reverse=True)
    versions = _versions(run)
    classify(run, version)
    _fill(new_run(tmp_path), Registry(run.lake).champion())
    assert _versions(run) == versions


def test_classify_gives_no_text_a_row_without_category(new_run, tmp_path):
    run = new_run(tmp_path, [*_many(), VIDEOS[2]])
    _fill(run)
    classify(run, train(run, resolve_encoder(run.settings)))
    row = _rows(run, PREDICTIONS)["v3"]
    assert (row["status"], row["top_category"], row["top_confidence"], row["categories"], row["confidences"]) == ("no_text", None, None, None, None)


def test_backfill_refuses_a_model_of_another_preparation(new_run, tmp_path):
    run = _fill(new_run(tmp_path, _many()))
    version = train(run, resolve_encoder(run.settings))
    with pytest.raises(ModelError, match="preparation_version"):
        _fill(new_run(tmp_path, more="[text]\nmax_characters = 99\n"), version)
