"""`xlclass setup`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.cli.commands import settings_argument, settings_of


def arguments(parser: ArgumentParser) -> None:
    """What to set up for."""
    settings_argument(parser)


def body(given: Namespace) -> None:
    """Fetches Delta's jars, and builds or fetches the encoder."""
    from xlclass.encoders import resolve_encoder
    from xlclass.runtime.requirements import install_jars

    settings = settings_of(given)
    for jar in install_jars():
        print(f"jar      {jar.name}")
    encoder = resolve_encoder(settings)
    print(f"encoder  {encoder.path} (encoder_id {encoder.encoder_id[:16]}, {encoder.dim} numbers a text)")
