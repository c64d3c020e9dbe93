"""conf/deploy/TROUBLESHOOTING.md: each message of xlclass that it quotes is in the code."""

import ast
import functools
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / "conf" / "deploy" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")


def quoted(page: str) -> list[str]:
    """The messages in the first column of the part on xlclass."""
    part = page.split("\n## ")[1]
    assert part.startswith("Messages of xlclass")
    cells = [line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| `")]
    return [cell.strip("`").strip() for cell in cells]


def template(node: ast.expr) -> str:
    """A text of the code, … for what it puts in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


@functools.cache
def templates() -> set[str]:
    """Every text of the package."""
    nodes = [node for file in (ROOT / "xlclass").rglob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return {template(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)}


def occurs(message: str, texts: set[str]) -> bool:
    """Whether one of `texts` has the parts of the message between its … in their order.

    >>> occurs("the lake … has no table", {"the lake … has no table …: run it"})
    True
    """
    wanted = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    return any(wanted.search(text) for text in texts)


def test_occurs_tells_a_message_that_nobody_says():
    assert not occurs("the lake … has no roof", {"the lake … has no table …: run it", "roof"})


@pytest.mark.parametrize("message", quoted(PAGE))
def test_message_of_the_page_is_one_that_the_code_says(message):
    assert len(message) > 10
    assert occurs(message, templates())


def test_page_quotes_all_of_the_family():
    assert len(quoted(PAGE)) >= 70
