"""The catalogue in every format, as rows of one schema: files as people write them, each row judged alone."""

import dataclasses
import json
import re
import shutil
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import VIDEOS, write_catalogue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import PLAIN
from refusals import message_of

from xlclass.config import Columns, SourceSettings
from xlclass.lake.sources import read_catalogue

COLUMNS = Columns(tags="tags", description="description", channel_id="channel", language="language", labels="labels", updated_at="updated_at")
HEADER = "video_id,title,tags,labels\n"


def _contents(catalogue):
    return sorted(map(str, (row.asDict() for row in catalogue.rows.drop("row", "row_digest").collect())))


def test_read_catalogue_gives_the_same_rows_from_every_format(spark, settings_in, read, tmp_path):
    lines = write_catalogue(tmp_path, VIDEOS)
    expected = _contents(read.catalogue(lines, COLUMNS))
    raw = spark.read.schema(
        "video_id string, title string, tags array<string>, description string, channel string, language string, labels array<string>, updated_at string"
    ).json(str(lines))
    raw.write.parquet(str(tmp_path / "parquet"))
    raw.write.format("delta").save(str(tmp_path / "delta"))
    raw.write.format("delta").saveAsTable("catalogue_of_test", path=str(tmp_path / "named"))
    try:
        for path, changes in [("parquet", {}), ("delta", {}), ("delta", {"format": "delta"})]:
            assert _contents(read.catalogue(path, COLUMNS, **changes)) == expected
        named = SourceSettings("catalogue_of_test", columns=COLUMNS, format="table")
        assert _contents(read_catalogue(spark, dataclasses.replace(settings_in(tmp_path), source=named))) == expected
    finally:
        spark.sql("DROP TABLE catalogue_of_test")


def test_csv_is_read_by_each_files_own_header_whatever_its_line_ends_and_quotes(read, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "a.csv").write_bytes(
        b'video_id,title,tags,labels,unused\r\nv1,"says ""hi"", twice",a| b |,Music,\r\nv2,"two\nlines",,"Music",x\r\n'
        b'v3,unix,x,Music,\nv4, trimmed\xc2\xa0 ,x,Music,"\xc3\xa9"\n\r\n'
    )
    (folder / "b.csv").write_bytes(b"\xef\xbb\xbflabels,TITLE,video_id,tags\nSports,other order,v5,z\nfew\nv6,too,many,fields,here\n")
    rows = read("videos")
    assert {name: row["title"] for name, row in rows.items()} == {
        "v1": 'says "hi", twice',
        "v2": "two\nlines",
        "v3": "unix",
        "v4": "trimmed",
        "v5": "other order",
        None: None,
        "many": "too",
    }
    assert (rows["v1"]["tags"], rows["v2"]["tags"], rows["v5"]["labels"]) == (["a", "b"], None, ["Sports"])
    assert {name for name, row in rows.items() if row["unreadable"]} == {None, "many"}
    assert (rows["many"]["row"], json.loads(rows["v3"]["row"])["title"]) == ("v6,too,many,fields,here", "unix")


def test_each_line_after_a_quote_that_is_never_closed_is_an_unreadable_row(read, tmp_path):
    (tmp_path / "a.csv").write_text(HEADER + "v1,t,a,Music\n" + 'v2,"never closed,a,Music\n' + "".join(f"v{i},t,a,Music\n" for i in range(3, 6)))
    rows = read.catalogue("a.csv").rows.collect()
    assert [(row["video_id"], row["unreadable"]) for row in rows if not row["unreadable"]] == [("v1", False)]
    assert sorted(row["row"] for row in rows if row["unreadable"]) == ['v2,"never closed,a,Music', "v3,t,a,Music", "v4,t,a,Music", "v5,t,a,Music"]


@pytest.mark.parametrize(
    ("name", "encoding", "setting"),
    [
        ("a.csv", "latin-1", "latin-1"),
        ("a.csv", "cp1251", "cp1251"),
        ("a.csv", "utf-16", "utf-8"),
        ("a.tsv", "utf-8", "utf-8"),
        ("a.csv", "shift_jis", "shift_jis"),
    ],
)
def test_csv_is_read_in_its_encoding(read, tmp_path, name, encoding, setting):
    title = {"cp1251": "Лучшие голы", "shift_jis": "日本語の題"}.get(encoding, "Canción é")
    text = f"{HEADER}v1,{title},a|b,Music\r\nv2,plain,,\r\n"
    (tmp_path / name).write_bytes((text.replace(",", "\t") if name.endswith("tsv") else text).encode(encoding))
    rows = read(name, encoding=setting)
    assert {row["video_id"]: (row["title"], row["invalid_text"]) for row in rows.values()} == {"v1": (title, False), "v2": ("plain", False)}


def test_what_cannot_be_decoded_is_replaced_and_counted_in_every_format(read, tmp_path):
    (tmp_path / "a.csv").write_bytes(HEADER.encode() + b"v1,Canci\xf3n,,\nv2,fine,,\n")
    (tmp_path / "a.jsonl").write_bytes(b'{"video_id": "v1", "title": "Canci\xf3n"}\n{"video_id": "v2", "title": "fine"}\n')
    (tmp_path / "b.json").write_bytes(b'[{"video_id": "v1", "title": "Canci\xf3n"},\n{"video_id": "v2", "title": "fine"}]')
    for name in ("a.csv", "a.jsonl", "b.json"):
        rows = read(name, PLAIN if name == "a.csv" else Columns())
        assert {key: (row["title"], row["invalid_text"]) for key, row in rows.items()} == {"v1": ("Canci\ufffdn", True), "v2": ("fine", False)}


def test_parquet_files_of_different_types_are_read_together(read, tmp_path):
    folder = tmp_path / "data [1] 100% `é"
    (folder / "chan=001").mkdir(parents=True)
    (folder / "chan=1").mkdir()
    times = pa.array([1_510_679_581_000_000_000], pa.timestamp("ns"))
    tables = {
        "chan=001/a.parquet": {"video_id": ["v1"], "title": ["t"], "tags": pa.nulls(1), "labels": [10], "updated_at": times, "odd`name": [1]},
        "chan=001/b b.parquet": {"video_id": [2], "title": ["t"], "tags": [["x"]], "labels": [10.0], "updated_at": ["2017-11-14T17:13:01Z"]},
        "chan=1/c.parquet": {"labels": ["10"], "title": ["t"], "video_id": ["v3"], "tags": ["x|y"], "updated_at": [1_510_679_581]},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / name)
    rows = read(folder.name, Columns(tags="tags", labels="labels", channel_id="chan", updated_at="updated_at"))
    assert {key: (row["tags"], row["labels"], row["channel_id"]) for key, row in rows.items()} == {
        "v1": (None, ["10"], "001"),
        "2": (["x"], ["10"], "001"),
        "v3": (["x", "y"], ["10"], "1"),
    }
    assert {row["updated_at"] for row in rows.values()} == {datetime(2017, 11, 14, 17, 13, 1)}


def test_a_file_without_a_column_is_read_with_nulls_if_the_settings_say_so(read, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.csv").write_text("video_id,title\nv1,t\n")
    (tmp_path / "videos" / "b.csv").write_text(HEADER + "v2,t,a,Music\n")
    assert {key: row["tags"] for key, row in read("videos", missing_columns="null").items()} == {"v1": None, "v2": ["a"]}


def test_read_catalogue_refuses_in_one_sentence_what_it_cannot_read(read, tmp_path):
    (tmp_path / "mixed").mkdir()
    contents = {
        "lacks.csv": b"video_id,title,labels\nv1,t,Music\n",
        "semicolons.csv": b"video_id;title;tags;labels\n",
        "twice.csv": b"video_id,title,tags,labels,tags\n",
        "blank.csv": b"\r\nvideo_id,title\n",
        "empty.csv": b"",
        "sheet.csv": b"PK\x03\x04rest",
        "page.json": b"<!DOCTYPE html><html>",
        "plain.csv.gz": b"video_id,title\n",
        "broken.parquet": b"PAR1nothing",
        "keys.jsonl": b'{"video_id": "v", "title": "t", "tag": 1}\n',
        "notes.txt": b"x",
        "mixed/a.csv": HEADER.encode(),
        "mixed/b.json": b"{}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    pq.write_table(pa.table({"video_id": ["v"], "title": [{"text": "t"}], "tags": [[{"name": "a"}]], "labels": [["a"]]}), tmp_path / "structs.parquet")
    expected = {
        "nowhere.parquet": "source.path: there is no",
        "lacks.csv": "source.columns.tags: file:.*lacks.csv has no column tags; it has video_id, title, labels",
        "semicolons.csv": "is the separator ';'",
        "twice.csv": "two columns tags",
        "blank.csv": "empty line",
        "empty.csv": "is empty",
        "sheet.csv": "an Excel workbook",
        "page.json": "an HTML page",
        "plain.csv.gz": "plain.csv.gz cannot be read: .*not a gzip file",
        "broken.parquet": "broken.parquet cannot be read as Parquet",
        "keys.jsonl": "has no column tags; it has video_id, title, tag",
        "notes.txt": "notes.txt has no ending of a known format",
        "mixed": "several formats",
        "structs.parquet": "source.columns.title: the column title of .* is struct<text:string>; expected text or a number",
    }
    messages = {name: message_of(read.catalogue, name) for name in expected}
    assert {name: message for name, message in messages.items() if not re.search(expected[name], message) or "\n" in message} == {}
    message = message_of(read.catalogue, "structs.parquet", Columns(title="title.text", tags="tags"))
    assert "the column tags of" in message
    assert "tags.name" in message


def test_version_changes_if_the_files_change(read, tmp_path):
    write_catalogue(tmp_path, VIDEOS)
    before = read.catalogue("catalogue.jsonl", COLUMNS).version
    assert read.catalogue("catalogue.jsonl", COLUMNS).version == before
    write_catalogue(tmp_path, VIDEOS[:-1])
    assert read.catalogue("catalogue.jsonl", COLUMNS).version != before


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["title", "Title", "tags", "labels", "x", "video_id"]), inner, max_size=4),
    max_leaves=6,
)
malformed_lines = json_values.map(json.dumps) | st.text(st.characters(exclude_characters="\n\r", codec="utf-8"), min_size=1, max_size=30)
quoted_cells = st.text(st.characters(exclude_characters='"', codec="utf-8"), max_size=6).map(lambda cell: f'"{cell}"')
malformed_records = st.lists(quoted_cells | st.sampled_from(["", "x", " ", '"a ""b"""', "'"]), min_size=1, max_size=7).map(",".join)
one_example = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))


def _rows_around(read, folder, ending, odd_records, header, record_of, line_end):
    """The good rows of files that hold four each, and an odd record at some place; the files are read together, which is quick."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, (odd, place) in enumerate(odd_records):
        good = [record_of(f"{number}-{i}") for i in range(4)]
        (folder / f"{number}.{ending}").write_bytes(line_end.join([*header, *good[:place], odd, *good[place:]]).encode())
    rows = read.catalogue(folder.name).rows.where("video_id RLIKE '^[0-9]+-[0-3]$'").collect()
    return sorted((row["video_id"], row["title"], row["tags"], row["labels"], row["unreadable"]) for row in rows)


def _expected_rows(num_files):
    return sorted((f"{number}-{i}", f"title, {number}-{i}", ["a", "b"], ["Music"], False) for number in range(num_files) for i in range(4))


@one_example
@given(odd_records=st.lists(st.tuples(malformed_lines, st.integers(0, 4)), min_size=40, max_size=60))
def test_a_malformed_json_line_changes_no_other_row(read, tmp_path, odd_records):
    def line(name):
        return json.dumps({"video_id": name, "title": f"title, {name}", "tags": ["a", "b"], "labels": "Music"})

    assert _rows_around(read, tmp_path / "videos", "jsonl", odd_records, [], line, "\n") == _expected_rows(len(odd_records))


@one_example
@given(odd_records=st.lists(st.tuples(malformed_records, st.integers(0, 4)), min_size=40, max_size=60))
def test_a_malformed_csv_record_with_closed_quotes_changes_no_other_row(read, tmp_path, odd_records):
    def record(name):
        return f'{name},"title, {name}",a|b,Music'

    assert _rows_around(read, tmp_path / "videos", "csv", odd_records, [HEADER.strip()], record, "\r\n") == _expected_rows(len(odd_records))
