"""The abbreviation tables: expansion, the shipped tables, and refused files."""

import pytest
from conftest import ROOT
from refusals import message_of

from xlclass.catalog.abbreviations import expand_abbreviations, load_abbreviations, table_for
from xlclass.errors import SettingsError

ABBREVIATIONS = load_abbreviations(ROOT / "conf" / "abbreviations.toml")
REFUSED = {  # contents of a file, and a part of the message
    "[fr\n": "cannot be read as TOML",
    "fr = 1\n": "t.toml: fr: expected a table of abbreviations",
    "[fr]\nSVP = 'x'\n": "t.toml: fr.SVP: an abbreviation must be one word",
    "[fr]\n's v' = 'x'\n": "fr.s v: an abbreviation must be one word",
    "[fr]\nsvp = ''\n": "fr.svp: the meaning must be words in lower case, found ''",
    "[fr]\nsvp = 3\n": "fr.svp: the meaning must be words in lower case, found 3",
    "[fr]\nsvp = 'S il'\n": "fr.svp: the meaning must be words in lower case",
    "[any]\npc = 'x'\n[fr]\nsvp = 'pc ici'\n": "fr.svp: the meaning contains the abbreviation 'pc'",
}


def test_expand_abbreviations_replaces_whole_words_only():
    french = table_for(ABBREVIATIONS, "fr")
    assert expand_abbreviations("rdv svp, c'est bcp (pk?)", french) == "rendez-vous s'il vous plaît, c'est beaucoup (pourquoi?)"
    assert expand_abbreviations("svpx bi-svp svp\u0301", french) == "svpx bi-svp svp\u0301"
    assert expand_abbreviations("a ft. b pvp c", table_for(ABBREVIATIONS, "no such language")) == "a featuring. b player versus player c"


def test_load_abbreviations_names_file_and_key(tmp_path):
    file = tmp_path / "t.toml"
    messages = {}
    for content in REFUSED:
        file.write_text(content, encoding="utf-8")
        messages[content] = message_of(load_abbreviations, file)
    assert not {content: message for content, message in messages.items() if REFUSED[content] not in message}


def test_load_abbreviations_names_a_missing_file(tmp_path):
    with pytest.raises(SettingsError, match=r"text\.abbreviations: there is no file .*none\.toml"):
        load_abbreviations(tmp_path / "none.toml")


def test_shipped_tables_cover_the_languages():
    assert set(ABBREVIATIONS) == {"any", "en", "fr", "es", "pt", "de", "it", "nl", "pl", "tr", "ru", "ar", "id", "vi"}
    sizes = {language: len(table) for language, table in ABBREVIATIONS.items()}
    assert not {language: size for language, size in sizes.items() if not 15 <= size <= 60}
    for language, table in ABBREVIATIONS.items():
        merged = table_for(ABBREVIATIONS, language)
        assert {key: expand_abbreviations(key, merged) for key in table} == table
