"""The embedded catalogue: the properties that a first run and other tests rely on."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

from samples import LANGUAGES

from xlclass.catalog import taxonomy

DEMO = Path(taxonomy.__file__).parent / "demo"
TRAINING = ("en", "fr")
COLUMNS = ["video_id", "title", "tags", "description", "channel_id", "channel", "language", "country", "labels", "updated_at"]
ROWS = {file.stem: [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line] for file in sorted(DEMO.glob("*.jsonl"))}
ALL = [row for rows in ROWS.values() for row in rows]


def known_categories():
    return taxonomy.load_taxonomy(DEMO.parents[2] / "conf" / "taxonomy.toml").categories


def test_demo_has_a_file_for_each_of_24_languages():
    assert len(LANGUAGES) == 24
    assert set(ROWS) == LANGUAGES


def test_demo_has_as_many_videos_of_each_of_12_categories():
    """30 in a training language, 3 in another, by the first label."""
    categories = {row["labels"][0] for row in ROWS["en"]}
    assert len(categories) == 12
    counts = {language: Counter(row["labels"][0] for row in rows) for language, rows in ROWS.items()}
    assert counts == {language: dict.fromkeys(categories, 30 if language in TRAINING else 3) for language in ROWS}


def test_demo_has_only_labels_of_the_taxonomy():
    assert {label for row in ALL for label in row["labels"]} <= set(known_categories())
    assert all(len(set(row["labels"])) == len(row["labels"]) for row in ALL)


def test_demo_has_unique_ids():
    counts = Counter(row["video_id"] for row in ALL)
    assert all(counts)
    assert set(counts.values()) == {1}


def test_demo_has_unique_titles():
    """A test video whose text occurs in training is not scored, so a repeated title would lose one."""
    counts = Counter(row["title"].casefold().strip() for row in ALL if row["title"])
    assert [title for title, count in counts.items() if count > 1] == []


def test_demo_has_rows_of_one_shape():
    for row in ALL:
        assert list(row) == COLUMNS
        assert all(isinstance(row[name], str) for name in ("video_id", "channel_id", "channel", "updated_at"))
        assert all(row[name] is None or isinstance(row[name], str) for name in ("title", "description", "language", "country"))
        assert all(isinstance(item, str) and item for name in ("tags", "labels") for item in row[name])
        assert datetime.fromisoformat(row["updated_at"]).utcoffset().total_seconds() == 0


def test_demo_has_one_line_per_video_for_every_line_splitter():
    """`str.splitlines`, which the reader uses, would end a line at a raw U+2028 or U+0085 in a string."""
    num_lines = {language: len((DEMO / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()) for language in ROWS}
    assert num_lines == {language: len(rows) for language, rows in ROWS.items()}


def test_demo_has_the_gaps_of_real_catalogues():
    assert any(not row["title"] for row in ALL)
    assert any(row["description"] is None for row in ALL)
    assert any(row["tags"] == [] for row in ALL)
    assert any(row["language"] is None for row in ALL)
    assert any(len(row["labels"]) > 1 for row in ALL)
    assert all(row["title"] or row["tags"] or row["description"] for row in ALL)


def test_demo_has_channels_with_several_videos_and_with_one():
    """Without channels of several videos, a split by channel would be a split by video."""
    sizes = {language: set(Counter(row["channel_id"] for row in rows).values()) for language, rows in ROWS.items()}
    assert not {language: nums for language, nums in sizes.items() if min(nums) != 1 or max(nums) == 1}


def test_demo_has_one_name_and_one_file_per_channel():
    assert len({(row["channel_id"], row["channel"]) for row in ALL}) == len({row["channel_id"] for row in ALL})
    assert sum(len({row["channel_id"] for row in rows}) for rows in ROWS.values()) == len({row["channel_id"] for row in ALL})


def test_demo_declares_the_files_language_or_none():
    """By the base code: iw is an old code of Hebrew, and Chinese in either script starts with zh."""
    declared = {language: {(row["language"] or "none").split("-")[0] for row in rows} for language, rows in ROWS.items()}
    allowed = {language: {language.split("-")[0], "none"} for language in ROWS}
    allowed["he"].add("iw")
    assert not {language: codes - allowed[language] for language, codes in declared.items() if codes - allowed[language]}
