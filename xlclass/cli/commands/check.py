"""`xlclass check`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import add_settings_argument, settings_of


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the settings file."""
    add_settings_argument(parser)


def body(args: Namespace) -> None:
    """Reads the settings, the taxonomy and the abbreviations, and prints that they are valid.

    Raises:
        SettingsError: one of them has a mistake.
    """
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy

    settings = settings_of(args)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    load_preparation(settings)
    print(f"{settings.file} is valid: {len(taxonomy.categories)} categories")
