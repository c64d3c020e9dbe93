"""Hostile rows: the job completes, every row is accounted for, and each rejected row has the right rule."""

import json

import pytest

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import backfill
from xlclass.schemas import EMBEDDINGS, REJECTED_VIDEOS, VIDEOS, unpack_vectors

ODD_TITLES = {
    "override": "\u202egnp.exe\u202c harmless",  # right-to-left override
    "nul": "before\x00after",
    "zero width": "z\u200be\u200br\u200co\u200d\ufeff",
    "controls": "\x01\x02\x1b[31mred\x7f",
    "marks": "Z̸̢̛a̵l̷g̶o̸" + "\u0301" * 3_000,
    "entities": "&amp;lt;script&amp;gt;alert(1)&lt;/script&gt;",
    "sql": "'; DROP TABLE videos; --",
    "format": "{0} %s ${jndi:ldap://x} {{7*7}}",
    "private": "\ue000\uf8ff\U000f0000",
    "noncharacter": "\ufffe\uffff",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🇫🇷",
    "ligature": "ﷺ ﬀ ㎏ Ⅷ",
    "turkish": "İSTANBUL IĞDIR",
    "one": "x",
    "spaces": "\u00a0\u2003\u3000 \t",
}


def _line(video_id, title="a fine title", **more):
    row = {"video_id": video_id, "title": title, "tags": ["a tag"], "description": None, "channel": "c", "language": "en", "labels": ["music"],
           "updated_at": "2026-01-01T00:00:00Z"}  # fmt: skip
    return json.dumps(row | more).encode() + b"\n"


LINES = [
    *(_line(name, title) for name, title in ODD_TITLES.items()),
    _line("surrogate", "lone \ud800 surrogate"),  # JSON allows it
    _line("invalid", "bytes QQ here").replace(b"QQ", b"\xff\xfe\xc3"),  # not UTF-8
    _line("number", 2026, tags=[1, 2.5, True]),
    _line("huge", description="ten million " * 850_000),
    _line("tags", tags=[f"tag {i}" for i in range(5_001)]),
    _line("old", updated_at="1970-01-01T00:00:00Z"),
    _line("future", updated_at="2999-01-01T00:00:00Z"),
    _line("no time", updated_at="yesterday"),
    _line("label", labels=["no such label", "music"]),
    _line("language", language="'; --"),
    _line("twice", "the newer", updated_at="2026-02-01T00:00:00Z"),
    _line("twice", "the older"),
    _line("twice", "in the future, so its time is unknown", updated_at="2999-01-01T00:00:00Z"),
    _line(None),
    _line("  "),
    _line("vector", visual=[0.5, "-1e2", 3]),
    *(_line(f"vector {i}", visual=wrong) for i, wrong in enumerate([[1, 2], [1, 2, 3, 4], [1, None, 3], [1, "x", 3], [1, "NaN", 3], [1, 1e9, 3], []])),
    b'{"video_id": "half", "title": "half a li',
]


def _change_settings(run, old, new):
    run.settings.file.write_text(run.settings.file.read_text().replace(old, new))
    run.settings = load_settings(run.settings.file)


@pytest.fixture(scope="module")
def filled(new_run, tmp_path_factory):
    """A run after the backfill of the hostile rows."""
    folder = tmp_path_factory.mktemp("hostile")
    run = new_run(folder)
    (folder / "catalogue.jsonl").write_bytes(b"".join(LINES))
    _change_settings(run, "[source.columns]", 'visual_dim = 3\n[source.columns]\nvisual_vector = "visual"')
    backfill(run, read_catalogue(run.lake.spark, run.settings), [resolve_encoders(run.settings)], None)
    return run


def test_backfill_accounts_for_every_hostile_row(filled):
    videos = {row["video_id"]: row for row in filled.lake.read(VIDEOS).collect()}
    rejected = sorted(row["rule"] for row in filled.lake.read(REJECTED_VIDEOS).collect())
    assert rejected == ["duplicate_video_id"] * 2 + ["null_video_id"] * 2 + ["unreadable_row"]
    assert len(videos) + len(rejected) == len(LINES)
    assert filled.counts.rows_in == len(LINES)
    assert videos["twice"]["title"] == "the newer"
    assert len(videos["huge"]["text"]) <= 1_000
    assert all("\x00" not in (row["text"] or "") and "\u202e" not in (row["text"] or "") for row in videos.values())
    assert (videos["spaces"]["text"], videos["number"]["title"], videos["label"]["labels"]) == ("a tag", "2026", ["music"])
    assert filled.lake.read(EMBEDDINGS).where("vector IS NOT NULL").count() == len(videos)


def test_backfill_counts_every_rule_also_if_no_row_breaks_it(filled):
    assert {name: num for name, num in filled.rules.items() if not name.startswith("language_")} == {
        "unreadable_row": 1, "null_video_id": 2, "duplicate_video_id": 2,
        "impossible_time": 3, "long_field": 2, "unknown_label": 1, "invalid_text": 2, "wrong_type": 0, "wrong_vector": 7,
        "encoder_failed": 0, "vector_not_finite": 0,
    }  # fmt: skip
    assert set(filled.rules) >= {"language_conflict", "language_unknown"}


def test_backfill_keeps_only_visual_vectors_of_the_right_length_and_range(filled):
    rows = {row["video_id"]: row["visual_vector"] for row in filled.lake.read(EMBEDDINGS).where("video_id LIKE 'vector%'").collect()}
    assert unpack_vectors([rows.pop("vector")], 3).tolist() == [[0.5, -100.0, 3.0]]
    assert rows
    assert not any(rows.values())


def test_backfill_keeps_rejected_rows_unchanged_with_their_source(filled):
    rows = {row["rule"]: row for row in filled.lake.read(REJECTED_VIDEOS).where("rule IN ('unreadable_row', 'null_video_id')").collect()}
    assert "half a li" in rows["unreadable_row"]["row"]
    assert json.loads(rows["null_video_id"]["row"])["title"] == "a fine title"
    assert rows["unreadable_row"]["source"].endswith("catalogue.jsonl")


def test_backfill_rejects_a_csv_row_with_too_few_fields_and_reads_the_others(new_run, tmp_path):
    (tmp_path / "catalogue.csv").write_text(
        'video_id,title,tags,description,channel,language,labels,updated_at\n'
        'a,"quoted ""title"", with\na newline",x|y,,c,en,music,2026-01-01\n'
        'b,too few fields\n'
        'c,"right",x,"d",c,fr,music,2026-01-01\n', encoding="utf-8")  # fmt: skip
    run = new_run(tmp_path)
    _change_settings(run, "catalogue.jsonl", "catalogue.csv")
    backfill(run, read_catalogue(run.lake.spark, run.settings), [resolve_encoders(run.settings)], None)
    assert {row["video_id"]: row["title"] for row in run.lake.read(VIDEOS).collect()} == {"a": 'quoted "title", with\na newline', "c": "right"}
    assert [row["rule"] for row in run.lake.read(REJECTED_VIDEOS).collect()] == ["unreadable_row"]
