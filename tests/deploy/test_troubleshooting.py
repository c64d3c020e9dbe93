"""conf/deploy/TROUBLESHOOTING.md: the code contains each message of xlclass that the page quotes."""

import ast
import functools
import re

from conftest import ROOT

PAGE = (ROOT / "conf" / "deploy" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")


def quoted(page: str) -> list[str]:
    """The messages in the first column of the part on xlclass."""
    part = page.split("\n## ")[1]
    assert part.startswith("Messages of xlclass")
    cells = [line.split(" | ")[0].removeprefix("| ") for line in part.splitlines() if line.startswith("| `")]
    return [cell.strip("`").strip() for cell in cells]


def template(node: ast.expr) -> str:
    """A string of the code, with … for each value that is inserted."""
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp):
        return template(node.left) + template(node.right)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


@functools.cache
def templates() -> set[str]:
    """All strings of the package."""
    nodes = [node for file in (ROOT / "xlclass").rglob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    return {template(node) for node in nodes if isinstance(node, ast.JoinedStr | ast.Constant)}


def occurs(message: str, texts: set[str]) -> bool:
    """True if one of `texts` contains the parts of the message between its …, in their order.

    >>> occurs("the lake … has no table", {"the lake … has no table …: run it"})
    True
    """
    pattern = re.compile(".*".join(map(re.escape, message.split("…"))), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_occurs_is_false_for_a_message_that_is_nowhere():
    assert not occurs("the lake … has no roof", {"the lake … has no table …: run it", "roof"})


def test_quoted_messages_are_in_the_code():
    messages = quoted(PAGE)
    assert not [message for message in messages if len(message) <= 10]
    assert not [message for message in messages if not occurs(message, templates())]


def test_page_quotes_most_messages():
    assert len(quoted(PAGE)) >= 70
