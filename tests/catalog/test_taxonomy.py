"""The taxonomy: order, words, and what a broken file is told."""

import tomllib

import pytest
from conftest import ROOT

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.errors import SettingsError

CONF = ROOT / "conf" / "taxonomy.toml"


@pytest.fixture
def load(tmp_path):
    """The taxonomy of a file with this content."""

    def make(content):
        file = tmp_path / "words.toml"
        file.write_text(content, encoding="utf-8")
        return load_taxonomy(file)

    return make


def test_load_taxonomy_keeps_the_files_order():
    ids = [row["id"] for row in tomllib.loads(CONF.read_text(encoding="utf-8"))["category"]]
    taxonomy = load_taxonomy(CONF)
    assert list(taxonomy.categories) == ids
    assert list(taxonomy.names) == ids
    assert taxonomy.names["howto_style"] == "Howto & Style"


def test_load_taxonomy_maps_words_to_ids(load):
    taxonomy = load('[[category]]\nid = "music"\naliases = ["Musique", "10"]\n[[category]]\nid = "film"\nname = "Film & Animation"\n')
    assert taxonomy.aliases == {"music": "music", "Musique": "music", "10": "music", "film": "film"}


def test_load_taxonomy_names_a_category_by_its_id_where_it_has_no_name(load):
    assert load('[[category]]\nid = "music"\n').names == {"music": "music"}


def test_load_taxonomy_counts_an_id_among_its_own_aliases_once(load):
    assert load('[[category]]\nid = "music"\naliases = ["music"]\n').aliases == {"music": "music"}


def test_load_taxonomy_keeps_letters_of_any_script(load):
    assert load('[[category]]\nid = "音楽"\naliases = ["موسيقى"]\n').aliases == {"音楽": "音楽", "موسيقى": "音楽"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[[category]]\nid = "music"\n[[category]]\nid = "music"\n', "'music' already means music"),
        ('[[category]]\nid = "a"\naliases = ["x"]\n[[category]]\nid = "b"\naliases = ["x"]\n', "category b: the alias 'x' already means a"),
        ('[[category]]\nid = "a"\n[[category]]\nid = "b"\naliases = ["a"]\n', "category b: the alias 'a' already means a"),
        ('[[category]]\nid = "a"\naliases = ["b"]\n[[category]]\nid = "b"\n', "category b: the alias 'b' already means a"),
    ],
)
def test_load_taxonomy_refuses_a_word_of_two_categories(load, content, said):
    with pytest.raises(SettingsError) as caught:
        load(content)
    assert "words.toml" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "category = []",
        "category = 'music'",
        "category = ['music', 'sports']",  # a likely first try of somebody who has not seen the file
        "[category]\nid = 'music'",
        "[[categories]]\nid = 'music'",
        "version = 1\n[[category]]\nid = 'music'",
        "[[category]]\nname = 'Music'",
        "[[category]]\nid = ''",
        "[[category]]\nid = 10",
        "[[category]]\nid = 'music'\nname = 3",
        "[[category]]\nid = 'music'\nalias = ['Music']",
        "[[category]]\nid = 'music'\naliases = 'Music'",
        "[[category]]\nid = 'music'\naliases = [10]",
        "[[category]",
    ],
)
def test_load_taxonomy_names_a_file_that_is_no_taxonomy(load, content):
    with pytest.raises(SettingsError, match=r"words\.toml"):
        load(content)


def test_load_taxonomy_says_which_setting_names_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match=r"taxonomy\.file: .*absent\.toml"):
        load_taxonomy(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match=r"taxonomy\.file: .*cannot be read"):
        load_taxonomy(tmp_path)


def test_load_taxonomy_takes_no_other_encoding_than_utf8(tmp_path):
    file = tmp_path / "words.toml"
    file.write_bytes('[[category]]\nid = "café"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"words\.toml cannot be read"):
        load_taxonomy(file)
