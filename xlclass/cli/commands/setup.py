"""`xlclass setup`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import add_settings_argument, settings_of


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the settings file, which names the encoder."""
    add_settings_argument(parser)


def body(args: Namespace) -> None:
    """Downloads Delta's jars, and builds or downloads the encoders."""
    from xlclass.encoders import resolve_encoders
    from xlclass.runtime.requirements import install_jars

    settings = settings_of(args)
    for jar in install_jars():
        print(f"jar      {jar.name}")
    for encoder in resolve_encoders(settings).specs:
        print(f"encoder  {encoder.path} (encoder_id {encoder.encoder_id[:16]}, vectors of {encoder.dim} numbers)")
