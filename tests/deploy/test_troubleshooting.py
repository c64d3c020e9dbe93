"""conf/deploy/TROUBLESHOOTING.md: each message of xlclass that it quotes occurs in the code."""

import ast
import functools
import re

from conftest import ROOT

PAGE = (ROOT / "conf" / "deploy" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")


def quoted(page: str) -> list[str]:
    """The messages in the first column of the table on xlclass."""
    part = page.split("\n## ")[1]
    assert part.startswith("Messages of xlclass")
    cells = [line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| `")]
    return [cell.strip("`").strip() for cell in cells]


def template(node: ast.expr) -> str:
    """A string of the code, with … for each value that it formats."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


@functools.cache
def templates() -> set[str]:
    """Every string of the package."""
    nodes = [node for file in (ROOT / "xlclass").rglob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return {template(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)}


def occurs(message: str, texts: set[str]) -> bool:
    """Whether one of `texts` contains the parts of the message between its …, in order.

    >>> occurs("the lake … has no table", {"the lake … has no table …: run it"})
    True
    """
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_occurs_is_false_for_a_message_that_is_nowhere():
    assert not occurs("the lake … has no roof", {"the lake … has no table …: run it", "roof"})


def test_every_message_of_the_page_occurs_in_the_code():
    messages = quoted(PAGE)
    assert len(messages) >= 70
    assert [message for message in messages if len(message) <= 10 or not occurs(message, templates())] == []
