"""The printed summary tables."""

from samples import comparison_rows

from xlclass.report.console import LanguageLine, comparison_languages, contender_table, language_table

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


def test_contender_table_has_a_line_per_contender():
    lines = contender_table(comparison_rows()).splitlines()
    assert lines[1].split() == ["muse", "0.500", "0.500", "0.500", "0.750", "0.062", "1.50", "0.02", "-", "86", "1,024"]
    assert lines[2].split()[:5] == ["pair", "0.500", "0.500", "0.625", "0.750"]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_comparison_languages_shows_languages_with_enough_test_videos():
    lines = comparison_languages(comparison_rows()).splitlines()
    assert [line.split() for line in lines] == [
        ["language", "test", "muse", "pair"], ["en", "1,234", "0.500", "0.500"], ["de", "1,234", "0.500", "0.500"], ["cs", "1,234", "0.500", "0.625"]
    ]  # fmt: skip
    assert {len(line) for line in lines} == {len(lines[0])}
    assert comparison_languages([row | {"support": 39} for row in comparison_rows()]) == ""
