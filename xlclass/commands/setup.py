"""`xlclass setup`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.commands import settings_argument, settings_of


def arguments(parser: ArgumentParser) -> None:
    """What to set up for."""
    settings_argument(parser)


def body(given: Namespace) -> None:
    """Fetches Delta's jars, and builds or fetches the encoder."""
    from xlclass.doctor import install_jars
    from xlclass.encoders import resolve_encoder

    settings = settings_of(given)
    for jar in install_jars():
        print(f"jar      {jar.name}")
    encoder = resolve_encoder(settings)
    print(f"encoder  {encoder.path} (encoder_id {encoder.encoder_id[:16]}, {encoder.dim} numbers a text)")
