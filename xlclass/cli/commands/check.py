"""`xlclass check`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from xlclass.cli.commands import add_settings_argument, settings_of
from xlclass.runtime.terminal import format_table, printable

if TYPE_CHECKING:
    from xlclass.pipeline.source_sample import ColumnSample, SourceSample

_SAMPLE_ROWS = 1_000
_MAX_UNKNOWN = 5  # labels that are listed


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the settings file, and what to leave out."""
    add_settings_argument(parser)
    parser.add_argument("--settings-only", action="store_true", help="do not read a sample of the source, which needs Spark")


def body(args: Namespace) -> None:
    """Reads the settings, the taxonomy, the abbreviations and a sample of the source, and prints how the sample is understood.

    Raises:
        SettingsError: one of the files has a mistake.
        SourceError: the source cannot be read.
    """
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy

    settings = settings_of(args)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    preparation = load_preparation(settings)
    print(f"{settings.file} is valid: {len(taxonomy.categories)} categories", flush=True)
    if args.settings_only:
        return
    from xlclass.lake.runs import utc_now
    from xlclass.lake.session import open_session
    from xlclass.lake.sources import read_catalogue
    from xlclass.pipeline.changes import Input
    from xlclass.pipeline.source_sample import sample_source

    spark = open_session("check")
    catalogue = read_catalogue(spark, settings)
    source = Input(catalogue, preparation, taxonomy, None, settings.source.visual_dim, utc_now())
    print(f"{printable(catalogue.shown_name)} is read as {catalogue.format}")
    print("\n".join(_lines(sample_source(source, _SAMPLE_ROWS))))


def _values(column: ColumnSample) -> str:
    """Examples of a column's values, or what there is instead."""
    objects = f"OBJECTS in {column.mistyped:.0%} of the rows: name a field inside, such as {column.column}.name" if column.mistyped else ""
    return " | ".join(filter(None, (*column.examples, objects))) or "EMPTY in every row"


def _lines(sample: SourceSample) -> list[str]:
    """The sample as lines to print."""
    rules = ", ".join(f"{name} {number:,}" for name, number in sample.rules.items())
    lines = [f"of a sample of {sample.num_rows:,} rows{f', some broke rules: {rules}' if rules else ''}"]
    rows = [[column.field, column.column, f"{column.filled:.0%}", _values(column)] for column in sample.columns]
    lines.append(format_table(["field", "column", "filled", "values as they are read"], rows, right=["filled"]))
    num_labels = len(sample.known_labels) + len(sample.unknown_labels)
    if num_labels:
        unknown = ", ".join(printable(repr(label), 40) for label in sample.unknown_labels[:_MAX_UNKNOWN])
        lines.append(f"labels: the taxonomy knows {len(sample.known_labels)} of {num_labels}{f'; it does not know {unknown}' if unknown else ''}")
    return lines
