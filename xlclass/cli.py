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
        if name == "classify":
            command.add_argument("--lake", metavar="PATH", help="the lake of the champion, instead of the settings' lake.path")
            command.add_argument("texts", nargs="+", metavar="TEXT", help="a title, such as an uploader would write it")
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
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.config import load_settings

    settings = load_settings(arguments.conf)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    load_preparation(settings)
    print(f"{settings.file}: fine; {len(taxonomy.categories)} categories")


def _classify(arguments: argparse.Namespace) -> None:
    from xlclass.classifier import Classifier
    from xlclass.config import load_settings

    classifier = Classifier(load_settings(arguments.conf), arguments.lake)
    for text, answer in zip(arguments.texts, classifier.classify(arguments.texts), strict=True):
        given = ", ".join(f"{category} {confidence:.2f}" for category, confidence in answer.categories) or "no category"
        print(f"{given}  [{answer.language}] {text}")


_COMMANDS = {
    "setup": (_setup, "fetch Delta's jars and build or fetch the encoder, once"),
    "classify": (_classify, "categorise texts with the champion, without Spark"),
    "check": (_check, "check a settings file and its taxonomy"),
}


if __name__ == "__main__":
    sys.exit(main())
