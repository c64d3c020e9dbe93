"""What a whole source shows of wrong settings is refused before anything is written; what one row shows is that row's affair."""

import dataclasses
import json

import pytest
from refusals import message_of

from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.changes import Input, compare
from xlclass.pipeline.readability import require_readable
from xlclass.pipeline.source_sample import sample_source

GOOD = {"title": "t", "tags": ["a"], "description": "d", "channel": "c", "language": "en", "labels": ["music"], "updated_at": "2026-01-01"}


def _rows(number, **changes):
    return [{"video_id": f"v{i}", **GOOD, **changes} for i in range(number)]


@pytest.fixture(scope="module")
def judge(new_run, tmp_path_factory):
    """The message with which rows are refused, "" if they are not; `lines` are written as they are."""
    folder = tmp_path_factory.mktemp("readability")
    run = new_run(folder, [])

    def source_of(rows, lines=(), **options):
        (folder / "catalogue.jsonl").write_bytes(b"\n".join([*(json.dumps(row).encode() for row in rows), *lines]))
        catalogue = read_catalogue(run.lake.spark, run.settings)
        return Input(catalogue, run.preparation, run.taxonomy, None, 0, run.started_at, **options)

    def message(rows, lines=(), is_allowed=False, **options):
        source = source_of(rows, lines, **options)
        comparison = compare(source, run.lake)
        try:
            return message_of(require_readable, source, comparison, is_allowed)
        finally:
            comparison.rows.unpersist()  # else Spark gives its rows for the next file of this name

    message.source_of = source_of
    message.run = run
    return message


def test_a_source_is_refused_for_what_its_rows_have_in_common(judge):
    half = b'{"video_id": "half'
    assert judge(_rows(100)) == ""
    assert judge(_rows(100), [half] * 5) == ""
    assert "6 of 106 rows have something that cannot be read (unreadable_row 6), more than source.unreadable_limit (5%)" in judge(_rows(100), [half] * 6)
    assert judge(_rows(100), [half] * 6, is_allowed=True) == ""
    assert judge(_rows(90), [half] * 9) == ""  # too few rows to tell
    assert "source.columns.description: the column description: it is empty in all 100 rows" in judge(_rows(100, description="N/A"))
    assert judge(_rows(100, description="N/A"), since=judge.run.started_at.replace(year=2020)) == ""
    assert "source.columns.updated_at: the column updated_at: no value can be read as a time" in judge(_rows(100, updated_at="14/11/2017"))
    assert "not one label, such as 'Deportes', is an id or alias of the taxonomy" in judge(_rows(100, labels=["Deportes"]))
    assert judge(_rows(99, labels=["Deportes"])) == ""


def test_a_source_of_any_size_is_refused_if_nothing_of_it_can_be_read(judge):
    assert "not one of its 2 rows could be read (2 cannot be parsed, 0 have no video_id)" in judge([], [b'{"video_id": "half'] * 2)
    assert "not one of its 3 rows could be read (0 cannot be parsed, 3 have no video_id)" in judge(_rows(3, video_id=None))
    assert "source.columns.tags: the column tags has an object, or a list of objects" in judge(_rows(3, tags=[{"name": "a"}]))
    assert judge([*_rows(3), {**GOOD, "video_id": "odd", "tags": {"name": "a"}}]) == ""
    undecodable = [json.dumps({**row, "video_id": f"w{i}", "title": "QQ"}).encode().replace(b"QQ", b"\xf1") for i, row in enumerate(_rows(3))]
    assert judge(_rows(5), undecodable[:2]) == ""
    assert "3 of 8 rows have bytes that are no utf-8 (invalid_text): set source.encoding" in judge(_rows(5), undecodable)


def test_sample_source_shows_how_full_the_columns_are_and_which_labels_are_known(judge):
    rows = [*_rows(3), *({**row, "video_id": f"w{i}"} for i, row in enumerate(_rows(1, tags=[{"name": "a"}], labels=["Deportes"], description=None)))]
    sample = sample_source(judge.source_of(rows), 100)
    columns = {column.field: column for column in sample.columns}
    assert (sample.num_rows, sample.rules) == (4, {"wrong_type": 1, "unknown_label": 1})
    assert dataclasses.astuple(columns["tags"]) == ("tags", "tags", 0.75, 0.25, ("a",))
    assert (columns["description"].filled, columns["video_id"].examples) == (0.75, ("v0", "v1", "v2"))
    assert (sample.known_labels, sample.unknown_labels) == ({"music"}, ("Deportes",))
