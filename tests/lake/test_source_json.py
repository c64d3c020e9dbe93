"""JSON in all forms: each record is judged alone, whatever the others hold."""

import gzip
import json

from xlclass.config import Columns
from xlclass.lake.source_json import records

ODD_LINES = {  # a line, and what becomes of it: the title, tags and labels, and whether it is unreadable
    '{"video_id": "v", "title": "t", "tags": ["a"], "labels": "Music"}': ("t", ["a"], ["Music"], False),
    '{"video_id": "v", "title": "t", "tags": "a|b", "labels": ["Music"]}': ("t", ["a", "b"], ["Music"], False),
    '{"video_id": "v", "title": "t", "tags": {"1": "a"}}': ("t", None, None, False),
    '{"video_id": "v", "title": "t", "tags": [{"name": "a"}], "labels": [["Music"]]}': ("t", None, None, False),
    '{"video_id": "v", "title": {"text": "t"}, "tags": ["a"]}': (None, ["a"], None, False),
    '{"video_id": "v", "title": ["t"]}': (None, None, None, False),
    '{"video_id": "v", "title": "[t] {x}"}': ("[t] {x}", None, None, False),
    '{"video_id": "v", "title": "t", "title": "u"}': ("u", None, None, False),
    '{"video_id": "v", "title": "t", "Title": "other", "_line": "x", "_unreadable": 1, "value": 2, "_0": 3}': ("t", None, None, False),
    '{"video_id": "v", "title": "t", "x": ' + "[" * 900 + "]" * 900 + "}": ("t", None, None, False),
    '{"video_id": "v", "title": "t", "x": ' + "[" * 5_000 + "]" * 5_000 + "}": (None, None, None, True),
    '{"video_id": "v", "title": NaN, "tags": NaN, "labels": ["NaN", "Music"]}': (None, None, ["Music"], False),
    '{"video_id": "v", "title": "t"}{"video_id": "w", "title": "u"}': (None, None, None, True),
    '{"video_id": "v", "title": "t"} rest': (None, None, None, True),
    '{"video_id": "v", "title": "t}{"}': ("t}{", None, None, False),
    '{"video_id": "v", "title": "half a li': (None, None, None, True),
    '["v", "t"]': (None, None, None, True),
    '"v"': (None, None, None, True),
    '{"video_id": "v", "title": "t", "labels": [10, 10.0, "10"]}': ("t", None, ["10", "10", "10"], False),
    '{"video_id": 10.0, "title": 2026}': ("2026", None, None, False),
}


def test_a_json_line_is_judged_alone(read, tmp_path):
    good = [json.dumps({"video_id": f"g{i}", "title": f"title {i}", "tags": ["a", "b"], "labels": ["Music"], "n": i}) for i in range(5)]
    (tmp_path / "a.jsonl").write_text("\n".join([*good, *ODD_LINES, *good]) + "\r\n\n  \n", encoding="utf-8")
    rows = read.catalogue("a.jsonl").rows.collect()
    assert len(rows) == len(ODD_LINES) + 2 * len(good)
    by_line = {row["row"].rstrip("\r"): (row["title"], row["tags"], row["labels"], row["unreadable"]) for row in rows}
    found = {line: (*by_line[line][:3], True) if by_line[line][3] else by_line[line] for line in ODD_LINES}
    expected = {line: value if not value[3] else (*found[line][:3], True) for line, value in ODD_LINES.items()}  # an unreadable row's values do not matter
    assert found == expected
    assert [by_line[line] for line in good] == [(f"title {i}", ["a", "b"], ["Music"], False) for i in range(5)]
    wrong = {tuple(row["wrong_types"]) for row in rows}
    assert wrong == {(), ("tags",), ("tags", "labels"), ("title",)}
    assert {row["video_id"] for row in rows if row["title"] == "2026"} == {"10"}


def test_json_is_read_as_an_array_indented_and_in_other_encodings(read, tmp_path):
    videos = [{"video_id": f"v{i}", "title": f"é {i}", "tags": ["a"], "labels": ["Music"]} for i in range(3)]
    lines = "\n".join(json.dumps(video, ensure_ascii=False) for video in videos)
    files = {
        "array.json": json.dumps(videos).encode(),
        "indented.json": json.dumps(videos, indent=2, ensure_ascii=False).encode(),
        "records.json": "\n".join(json.dumps(video, indent=2) for video in videos).encode(),
        "utf16.jsonl": lines.encode("utf-16"),
        "mark.jsonl": b"\xef\xbb\xbf" + lines.encode(),
        "lines.jsonl.gz": gzip.compress(lines.encode()),
        "array.json.gz": gzip.compress(json.dumps(videos).encode()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        rows = read(name)
        assert {key: (row["title"], row["tags"], row["unreadable"]) for key, row in rows.items()} == {f"v{i}": (f"é {i}", ["a"], False) for i in range(3)}, name


def test_records_goes_on_after_what_is_no_json():
    text = '[{"a": 1},\n{"b": broken},\n{"c": ' + "[" * 100_000 + '\n {"d":\n 4}, 5]'
    assert [record[:12] for record, _ in records(text.encode(), "utf-8")] == ['{"a": 1}', '{"b": broken', '{"c": [[[[[[', '{"d":\n 4}', "5"]


def test_json_is_read_at_paths_into_objects_and_lists_of_objects(read, tmp_path):
    lines = [
        {"id": 12, "snippet": {"title": 2026, "tags": ["x"], "channel": {"id": "c"}}, "topics": [{"name": "cats"}, {"name": "dogs"}]},
        {"id": 13, "snippet": {"title": "text"}, "topics": {"name": "one"}},
        {"id": 14, "snippet": "a text", "topics": None},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    rows = read("a.jsonl", Columns(video_id="id", title="snippet.title", tags="snippet.tags", channel_id="snippet.channel.id", labels="topics.name"))
    assert {key: (row["title"], row["tags"], row["channel_id"], row["labels"]) for key, row in rows.items()} == {
        "12": ("2026", ["x"], "c", ["cats", "dogs"]),
        "13": ("text", None, None, ["one"]),
        "14": (None, None, None, None),
    }


def test_one_record_does_not_decide_which_key_is_meant(read, tmp_path):
    lines = [{"video_id": f"v{i}", "snippet": {"title": f"t{i}"}, "Tags": ["a"]} for i in range(3)]
    odd = {"video_id": "odd", "snippet.title": "x", "tags": ["b"], "Video_ID": "y", "SNIPPET": 1}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [odd, *lines])))
    rows = read("a.jsonl", Columns(title="snippet.title", tags="tags"))
    assert {key: (row["title"], row["tags"]) for key, row in rows.items()} == {"odd": (None, None), **{f"v{i}": (f"t{i}", ["a"]) for i in range(3)}}
