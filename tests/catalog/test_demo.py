"""The embedded catalogue: what a first run and every test that reads it may rely on."""

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
CATEGORIES = taxonomy.load_taxonomy(DEMO.parents[2] / "conf" / "taxonomy.toml").categories


def _languages_where(is_wrong):
    """The languages for whose rows `is_wrong(language, rows)`."""
    return [language for language, rows in ROWS.items() if is_wrong(language, rows)]


def test_demo_has_a_file_for_each_of_24_languages():
    assert len(LANGUAGES) == 24
    assert set(ROWS) == LANGUAGES


def test_demo_has_equally_many_videos_of_each_of_12_categories():
    """30 in the training languages, 3 in each other one, by the first label."""
    of_english = {row["labels"][0] for row in ROWS["en"]}
    assert len(of_english) == 12

    def is_wrong(language, rows):
        expected = dict.fromkeys(of_english, 30 if language in TRAINING else 3)
        return Counter(row["labels"][0] for row in rows) != expected

    assert _languages_where(is_wrong) == []


def test_demo_has_labels_of_the_taxonomy_only():
    assert {label for row in ALL for label in row["labels"]} <= set(CATEGORIES)
    assert all(len(set(row["labels"])) == len(row["labels"]) for row in ALL)


def test_demo_has_unique_ids():
    counts = Counter(row["video_id"] for row in ALL)
    assert all(counts)
    assert set(counts.values()) == {1}


def test_demo_has_no_title_twice():
    """A test video whose text occurs in training is not scored: none may be lost that way."""
    counts = Counter(row["title"].casefold().strip() for row in ALL if row["title"])
    assert [title for title, count in counts.items() if count > 1] == []


def test_demo_has_rows_of_one_shape():
    for row in ALL:
        assert list(row) == COLUMNS
        assert all(isinstance(row[name], str) for name in ("video_id", "channel_id", "channel", "updated_at"))
        assert all(row[name] is None or isinstance(row[name], str) for name in ("title", "description", "language", "country"))
        assert all(isinstance(item, str) and item for name in ("tags", "labels") for item in row[name])
        assert datetime.fromisoformat(row["updated_at"]).utcoffset().total_seconds() == 0


def test_demo_has_one_line_per_video_by_any_definition_of_a_line():
    """A raw U+2028 or U+0085 in a string would end the line for `str.splitlines`, which the reader uses."""
    assert _languages_where(lambda language, rows: len((DEMO / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()) != len(rows)) == []


def test_demo_has_the_gaps_of_real_catalogues():
    assert any(not row["title"] for row in ALL)
    assert any(row["description"] is None for row in ALL)
    assert any(row["tags"] == [] for row in ALL)
    assert any(row["language"] is None for row in ALL)
    assert any(len(row["labels"]) > 1 for row in ALL)
    assert all(row["title"] or row["tags"] or row["description"] for row in ALL)


def test_demo_has_channels_with_several_videos_and_with_one():
    """Without channels of several videos a split by channel would be a split by video."""

    def is_wrong(_, rows):
        counts = Counter(row["channel_id"] for row in rows).values()
        return min(counts) != 1 or max(counts) == 1

    assert _languages_where(is_wrong) == []


def test_demo_has_one_name_and_one_file_per_channel():
    assert len({(row["channel_id"], row["channel"]) for row in ALL}) == len({row["channel_id"] for row in ALL})
    assert sum(len({row["channel_id"] for row in rows}) for rows in ROWS.values()) == len({row["channel_id"] for row in ALL})


def test_demo_declares_the_files_language_or_none():
    """By its base code, old codes included; Chinese of either script is declared as zh."""

    def is_wrong(language, rows):
        declared = {(row["language"] or "none").split("-")[0] for row in rows}
        return not declared <= {language.split("-")[0], "none"} | ({"iw"} if language == "he" else set())

    assert _languages_where(is_wrong) == []
