"""`xlclass check`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import settings_argument, settings_of


def arguments(parser: ArgumentParser) -> None:
    """What to check."""
    settings_argument(parser)


def body(given: Namespace) -> None:
    """Reads the settings and what they name, and says that they are fine; a mistake in them is raised."""
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy

    settings = settings_of(given)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    load_preparation(settings)
    print(f"{settings.file}: fine; {len(taxonomy.categories)} categories")
