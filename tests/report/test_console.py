"""The printed summary table."""

from xlclass.report.console import LanguageLine, language_table

LINES = [
    LanguageLine("fr", 10, 0.5, 4, 3, 0.5, 1.0),
    LanguageLine("de", 3, 0.9, 2, 2, 1.0),
    LanguageLine("hi", 7, None),
    LanguageLine("en", 20, 0.6, 5, 1, 0.4),
]


def test_language_table_groups_the_languages():
    text = language_table(LINES, ["en", "fr"], [["en", "fr", "de"]])
    assert [line.split()[0] for line in text.splitlines() if line] == ["language", "en", "fr", "de", "hi", "total", "total", "total"]


def test_language_table_shows_intervals_and_a_dash_without_data():
    lines = language_table(LINES, ["en", "fr"], [["en", "fr", "de"]]).splitlines()
    assert "0.750   0.301 - 0.954" in next(line for line in lines if line.startswith("fr"))  # Wilson of 3 in 4
    assert next(line for line in lines if line.startswith("fr")).split()[-2:] == ["0.500", "1.000"]  # mean confidence, top-1 at 50 %
    assert lines[0].endswith("top-1 at 50 %")
    assert {len(line) for line in lines if line[:2] in ("la", "fr")} == {len(lines[0])}
    assert next(line for line in lines if line.startswith("hi")).split() == ["hi", "7", "0", "-", "-", "-"]


def test_language_table_has_a_total_per_group():
    row = next(line for line in language_table(LINES, ["en", "fr"], [["en", "fr", "de"]]).splitlines() if "training languages (2)" in line)
    assert row.split()[:4] == ["total", "30", "9", "0.444"]
    assert " 0.567 " in row  # (20 x 0.6 + 10 x 0.5) / 30
