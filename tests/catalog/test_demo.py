"""The embedded catalogue: what a first run, and every test that reads it, can count on."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_demo_has_as_many_videos_of_each_of_12_categories(language):
    """30 in the training languages, 3 in each other one, by the first label."""
    counts = Counter(row["labels"][0] for row in ROWS[language])
    assert len(counts) == 12
    assert set(counts.values()) == {30 if language in TRAINING else 3}
    assert counts.keys() == Counter(row["labels"][0] for row in ROWS["en"]).keys()


def test_demo_has_labels_of_the_taxonomy_only():
    assert {label for row in ALL for label in row["labels"]} <= set(known_categories())
    assert all(len(set(row["labels"])) == len(row["labels"]) for row in ALL)


def test_demo_has_every_id_once():
    counts = Counter(row["video_id"] for row in ALL)
    assert all(counts)
    assert set(counts.values()) == {1}


def test_demo_has_no_title_twice():
    """A test video whose text occurs in training is left out of the score: none may be lost that way."""
    counts = Counter(row["title"].casefold().strip() for row in ALL if row["title"])
    assert [title for title, count in counts.items() if count > 1] == []


def test_demo_has_rows_of_one_shape():
    for row in ALL:
        assert list(row) == COLUMNS
        assert all(isinstance(row[name], str) for name in ("video_id", "channel_id", "channel", "updated_at"))
        assert all(row[name] is None or isinstance(row[name], str) for name in ("title", "description", "language", "country"))
        assert all(isinstance(item, str) and item for name in ("tags", "labels") for item in row[name])
        assert datetime.fromisoformat(row["updated_at"]).utcoffset().total_seconds() == 0


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_demo_has_one_line_per_video_however_lines_are_cut(language):
    """A raw U+2028 or U+0085 in a string would end the line for `str.splitlines`, which the reader uses."""
    assert len((DEMO / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()) == len(ROWS[language])


def test_demo_has_what_real_catalogues_have():
    assert any(not row["title"] for row in ALL)
    assert any(row["description"] is None for row in ALL)
    assert any(row["tags"] == [] for row in ALL)
    assert any(row["language"] is None for row in ALL)
    assert any(len(row["labels"]) > 1 for row in ALL)
    assert all(row["title"] or row["tags"] or row["description"] for row in ALL)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_demo_has_channels_with_several_videos_and_with_one(language):
    """Without the former a split by channel is one by video."""
    videos = Counter(row["channel_id"] for row in ROWS[language])
    assert min(videos.values()) == 1
    assert max(videos.values()) > 1


def test_demo_has_channels_of_one_name_and_one_file():
    assert len({(row["channel_id"], row["channel"]) for row in ALL}) == len({row["channel_id"] for row in ALL})
    assert sum(len({row["channel_id"] for row in rows}) for rows in ROWS.values()) == len({row["channel_id"] for row in ALL})


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_demo_declares_the_files_language_or_none(language):
    """By its base code, old codes included; Chinese of either script starts with zh."""
    base = {(row["language"] or "none").split("-")[0] for row in ROWS[language]}
    assert base <= {language.split("-")[0], "none"} | ({"iw"} if language == "he" else set())
