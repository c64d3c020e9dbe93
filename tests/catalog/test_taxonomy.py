"""The taxonomy: order, aliases, and refused files."""

import tomllib

import pytest
from conftest import ROOT
from refusals import message_of

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.errors import SettingsError

CONF = ROOT / "conf" / "taxonomy.toml"
AMBIGUOUS = {  # contents of a file, and a part of the message
    '[[category]]\nid = "music"\n[[category]]\nid = "music"\n': "'music' already means music",
    '[[category]]\nid = "a"\naliases = ["x"]\n[[category]]\nid = "b"\naliases = ["x"]\n': "category b: the alias 'x' already means a",
    '[[category]]\nid = "a"\n[[category]]\nid = "b"\naliases = ["a"]\n': "category b: the alias 'a' already means a",
    '[[category]]\nid = "a"\naliases = ["b"]\n[[category]]\nid = "b"\n': "category b: the alias 'b' already means a",
}
INVALID = [
    "",
    "category = []",
    "category = 'music'",
    "category = ['music', 'sports']",  # a likely first attempt of a new user
    "[category]\nid = 'music'",
    "[[categories]]\nid = 'music'",
    "version = 1\n[[category]]\nid = 'music'",
    "[[category]]\nname = 'Music'",
    "[[category]]\nid = ''",
    "[[category]]\nid = 10",
    "[[category]]\nid = 'music'\nname = 3",
    "[[category]]\nid = 'music'\nalias = ['Music']",
    "[[category]]\nid = 'music'\naliases = 'Music'",
    "[[category]]\nid = 'music'\naliases = [1.5]",
    "[[category]",
]


@pytest.fixture
def load(tmp_path):
    """Loads the taxonomy of a file with the given content."""

    def load_content(content):
        file = tmp_path / "words.toml"
        file.write_text(content, encoding="utf-8")
        return load_taxonomy(file)

    return load_content


def test_load_taxonomy_keeps_the_files_order():
    ids = [row["id"] for row in tomllib.loads(CONF.read_text(encoding="utf-8"))["category"]]
    taxonomy = load_taxonomy(CONF)
    assert list(taxonomy.categories) == ids
    assert list(taxonomy.names) == ids
    assert taxonomy.names["howto_style"] == "Howto & Style"


def test_load_taxonomy_maps_aliases_to_ids(load):
    taxonomy = load('[[category]]\nid = "music"\naliases = ["Musique", 10, "11.0"]\n[[category]]\nid = "film"\nname = "Film & Animation"\n')
    assert taxonomy.aliases == {"music": "music", "Musique": "music", "10": "music", "11": "music", "film": "film"}


def test_load_taxonomy_uses_the_id_as_the_default_name(load):
    assert load('[[category]]\nid = "music"\n').names == {"music": "music"}


def test_load_taxonomy_accepts_an_id_among_its_own_aliases(load):
    assert load('[[category]]\nid = "music"\naliases = ["music"]\n').aliases == {"music": "music"}


def test_load_taxonomy_keeps_letters_of_any_script(load):
    assert load('[[category]]\nid = "音楽"\naliases = ["موسيقى"]\n').aliases == {"音楽": "音楽", "موسيقى": "音楽"}


def test_load_taxonomy_refuses_an_alias_of_two_categories(load):
    messages = {content: message_of(load, content) for content in AMBIGUOUS}
    assert not {content: message for content, message in messages.items() if "words.toml" not in message or AMBIGUOUS[content] not in message}


def test_load_taxonomy_names_an_invalid_file(load):
    messages = {content: message_of(load, content) for content in INVALID}
    assert not {content: message for content, message in messages.items() if "words.toml" not in message}


def test_load_taxonomy_names_the_setting_of_an_unreadable_file(tmp_path):
    with pytest.raises(SettingsError, match=r"taxonomy\.file: .*absent\.toml"):
        load_taxonomy(tmp_path / "absent.toml")
    with pytest.raises(SettingsError, match=r"taxonomy\.file: .*cannot be read"):
        load_taxonomy(tmp_path)


def test_load_taxonomy_refuses_other_encodings_than_utf8(tmp_path):
    file = tmp_path / "words.toml"
    file.write_bytes('[[category]]\nid = "café"\n'.encode("latin-1"))
    with pytest.raises(SettingsError, match=r"words\.toml cannot be read"):
        load_taxonomy(file)
