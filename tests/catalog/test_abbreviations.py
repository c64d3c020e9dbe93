"""The abbreviation tables, those that are shipped and those that are refused."""

import pytest
from conftest import ROOT

from xlclass.catalog.abbreviations import load_abbreviations, table_of, written_out
from xlclass.errors import SettingsError

ABBREVIATIONS = load_abbreviations(ROOT / "conf" / "abbreviations.toml")


def test_written_out_looks_at_whole_words_only():
    french = table_of(ABBREVIATIONS, "fr")
    assert written_out("rdv svp, c'est bcp (pk?)", french) == "rendez-vous s'il vous plaît, c'est beaucoup (pourquoi?)"
    assert written_out("svpx bi-svp svp\u0301", french) == "svpx bi-svp svp\u0301"
    assert written_out("a ft. b pvp c", table_of(ABBREVIATIONS, "no such language")) == "a featuring. b player versus player c"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[fr\n", "cannot be read as TOML"),
        ("fr = 1\n", r"t\.toml: fr: expected a table of abbreviations"),
        ("[fr]\nSVP = 'x'\n", r"t\.toml: fr\.SVP: an abbreviation must be one word"),
        ("[fr]\n's v' = 'x'\n", r"fr\.s v: an abbreviation must be one word"),
        ("[fr]\nsvp = ''\n", r"fr\.svp: the meaning must be words in lower case, found ''"),
        ("[fr]\nsvp = 3\n", r"fr\.svp: the meaning must be words in lower case, found 3"),
        ("[fr]\nsvp = 'S il'\n", r"fr\.svp: the meaning must be words in lower case"),
        ("[any]\npc = 'x'\n[fr]\nsvp = 'pc ici'\n", r"fr\.svp: the meaning holds 'pc', an abbreviation itself"),
    ],
)
def test_load_abbreviations_names_file_and_key(tmp_path, content, message):
    file = tmp_path / "t.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        load_abbreviations(file)


def test_load_abbreviations_says_when_there_is_no_file(tmp_path):
    with pytest.raises(SettingsError, match=r"text\.abbreviations: there is no file .*none\.toml"):
        load_abbreviations(tmp_path / "none.toml")


def test_the_shipped_tables_cover_the_languages():
    assert set(ABBREVIATIONS) == {"any", "en", "fr", "es", "pt", "de", "it", "nl", "pl", "tr", "ru", "ar", "id", "vi"}
    assert all(15 <= len(table) <= 60 for table in ABBREVIATIONS.values())
    assert all(written_out(key, table_of(ABBREVIATIONS, language)) == meaning for language, table in ABBREVIATIONS.items() for key, meaning in table.items())
