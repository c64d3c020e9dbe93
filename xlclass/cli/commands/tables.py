"""`xlclass tables`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def arguments(parser: ArgumentParser) -> None:
    """Which table or query, and in which form."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a table, or with --cookbook a query; all of them unless given")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as Markdown; without NAME the page conf/TABLES.md")
    form.add_argument("--cookbook", action="store_true", help="the questions that the tables answer; with NAME the query, for Spark and DuckDB")


def body(given: Namespace) -> None:
    """Prints what is asked for; no lake is read."""
    print(_answer(given.name, given.markdown, given.cookbook))


def _answer(name: str | None, markdown: bool, cookbook: bool) -> str:
    from xlclass.cookbook import named, queries
    from xlclass.cookbook.dictionary import described, overview, page, section, table_named

    if cookbook:
        return "\n\n".join(query.text for query in named(name)) if name else _questions()
    if markdown:
        return section(table_named(name)) if name else page(queries()).rstrip("\n")
    return described(table_named(name)) if name else overview()


def _questions() -> str:
    """One line per query, by theme."""
    from xlclass.cookbook import queries

    known = {query.name: query for query in queries()}
    wide = max(map(len, known))
    themes = dict.fromkeys(query.theme for query in known.values())
    blocks = ["\n".join([theme.replace("_", " "), *(f"  {q.name:<{wide}}  {q.question}" for q in known.values() if q.theme == theme)]) for theme in themes]
    return "\n\n".join(blocks)
