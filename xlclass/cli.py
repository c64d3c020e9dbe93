"""The command `xlclass`: what is done without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xlclass import __version__
from xlclass.errors import XlclassError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command and gives its exit code: 0 done, 2 a mistake of the user's, told in one line."""
    parser = argparse.ArgumentParser(prog="xlclass", description=__doc__)
    parser.add_argument("--version", action="version", version=f"xlclass {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (function, help_text) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument("--conf", required=True, metavar="FILE", help="settings file, such as conf/local.toml")
        command.set_defaults(function=function)
    arguments = parser.parse_args(argv)
    try:
        arguments.function(arguments)
    except XlclassError as error:
        print(f"xlclass: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _setup(arguments: argparse.Namespace) -> None:
    from xlclass.config import load_settings
    from xlclass.doctor import install_jars
    from xlclass.encoders import resolve_encoder

    for jar in install_jars():
        print(f"jar      {jar.name}")
    encoder = resolve_encoder(load_settings(arguments.conf))
    print(f"encoder  {encoder.path} (encoder_id {encoder.encoder_id[:16]}, {encoder.dim} numbers a text)")


def _check(arguments: argparse.Namespace) -> None:
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.config import load_settings

    settings = load_settings(arguments.conf)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    print(f"{settings.file}: fine; {len(taxonomy.categories)} categories")


_COMMANDS = {
    "setup": (_setup, "fetch Delta's jars and build or fetch the encoder, once"),
    "check": (_check, "check a settings file and its taxonomy"),
}
