"""The data dictionary describes every table, and its page agrees with the contracts."""

import os
import re
from argparse import Namespace

import pytest
from conftest import ROOT

from xlclass.cli.commands import tables as command
from xlclass.cookbook import queries
from xlclass.cookbook.dictionary import described, overview, page, section, table_named
from xlclass.errors import LakeError
from xlclass.schemas import TABLES, Column, Table

PAGE = ROOT / "conf" / "TABLES.md"
ODD = Table("odd", "one row per a|b", (Column("x", "map<string, float>", "<b>a|b</b>", True), Column("y", "bigint", "whole")), ("x",), (("y_share", "y < 1"),))


def test_page_is_the_committed_one():
    text = page(queries())
    if os.environ.get("XLCLASS_REFRESH_GOLDEN") == "1":
        PAGE.write_text(text, encoding="utf-8")
    assert text == PAGE.read_text(encoding="utf-8"), "xlclass tables --markdown > conf/TABLES.md"


def test_page_links_to_existing_sections_and_files():
    text = PAGE.read_text(encoding="utf-8")
    for table in TABLES:
        assert f"](#{table.name})" in text
        assert f"\n## {table.name}\n" in text
    missing = [target for target in set(re.findall(r"\]\((\.\./[^)]+)\)", text)) if not (PAGE.parent / target).is_file()]
    assert missing == []
    assert all(f"](../xlclass/cookbook/{query.theme}.sql)" in text for query in queries())


def test_overview_has_a_line_per_table_with_its_grain():
    assert [line.split(maxsplit=1) for line in overview().splitlines()] == [[table.name, table.grain] for table in TABLES]


def test_described_shows_every_part_of_a_contract():
    assert described(ODD).splitlines() == [
        "odd",
        "one row per a|b",
        "key: x",
        "",
        "  x  map<string, float> not null  <b>a|b</b>",
        "  y  bigint              whole",
        "",
        "constraints:",
        "  y_share: y < 1",
    ]


def test_section_escapes_markdown_and_html():
    lines = section(ODD).splitlines()
    assert lines[2] == "One row per a\\|b."
    assert "| x | `map<string, float>` | no | &lt;b>a\\|b&lt;/b> |" in lines
    assert "- y_share: `y < 1`" in lines


def test_table_named_lists_the_tables_if_there_is_no_such_one():
    with pytest.raises(LakeError, match="there is no table video; there are: videos, channels, .*, runs"):
        table_named("video")


def _printed(capsys, **arguments):
    command.body(Namespace(**arguments))
    return capsys.readouterr().out


def test_command_prints_what_its_arguments_select(capsys):
    both_dialects = "\n\n".join(query.text for query in queries() if query.name == "steps")
    cases = [  # name, --markdown, --cookbook, what is printed
        (None, False, False, overview()),
        ("runs", False, False, described(table_named("runs"))),
        ("runs", True, False, section(table_named("runs"))),
        (None, True, False, page(queries()).rstrip("\n")),
        ("runs", False, True, next(query.text for query in queries() if query.name == "runs")),
        ("steps", False, True, both_dialects),
    ]
    for name, markdown, cookbook, expected in cases:
        assert _printed(capsys, name=name, markdown=markdown, cookbook=cookbook) == expected + "\n", (name, markdown, cookbook)


def test_command_lists_the_questions(capsys):
    printed = _printed(capsys, name=None, markdown=False, cookbook=True)
    assert all(query.question in printed for query in queries())
