"""`xlclass tables`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the name of a table or query, and the output format."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a table, or with --cookbook a query (default: an overview of all)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--markdown", action="store_true", help="print Markdown; without NAME the whole page conf/TABLES.md")
    output.add_argument("--cookbook", action="store_true", help="list the questions that the tables answer; with NAME print its SQL for Spark and DuckDB")


def body(args: Namespace) -> None:
    """Prints a description or a query; reads no lake."""
    print(_output(args.name, args.markdown, args.cookbook))


def _output(name: str | None, markdown: bool, cookbook: bool) -> str:
    from xlclass.cookbook import named, queries
    from xlclass.cookbook.dictionary import described, overview, page, section, table_named

    if cookbook:
        return "\n\n".join(query.text for query in named(name)) if name else _questions()
    if markdown:
        return section(table_named(name)) if name else page(queries()).rstrip("\n")
    return described(table_named(name)) if name else overview()


def _questions() -> str:
    """The questions grouped by theme, one line each."""
    from xlclass.cookbook import queries

    by_name = {query.name: query for query in queries()}
    width = max(map(len, by_name))
    themes = dict.fromkeys(query.theme for query in by_name.values())
    blocks = ["\n".join([theme.replace("_", " "), *(f"  {q.name:<{width}}  {q.question}" for q in by_name.values() if q.theme == theme)]) for theme in themes]
    return "\n\n".join(blocks)
