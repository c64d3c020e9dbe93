"""The command `xlclass`: what is done without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from xlclass import __version__
from xlclass.errors import XlclassError
from xlclass.plan import BATCH_CHARACTERS, COST_PER_CORE_HOUR, SECONDS_PER_ROW, capacity, described, positive, size, worker_bytes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command and gives its exit code: 0 done, 2 a mistake of the user's, told in one line."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.function(arguments)
    except XlclassError as error:
        print(f"xlclass: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xlclass", description=__doc__)
    parser.add_argument("--version", action="version", version=f"xlclass {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (function, help_text) in _COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.add_argument("--conf", required=name != "plan", metavar="FILE", help="settings file, such as conf/local.toml")
        command.set_defaults(function=function)
        if name == "classify":
            command.add_argument("--lake", metavar="PATH", help="the lake of the champion, instead of the settings' lake.path")
            command.add_argument("texts", nargs="+", metavar="TEXT", help="a title, such as an uploader would write it")
        if name == "plan":
            _add_plan_arguments(command)
    return parser


def _add_plan_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cores", required=True, metavar="N", help="cores of all machines together")
    command.add_argument("--memory", required=True, metavar="SIZE", help="memory that Spark may use on all machines together, such as 64g")
    command.add_argument("--rows", required=True, metavar="N", help="videos to encode")
    command.add_argument("--cost-per-core-hour", default=str(COST_PER_CORE_HOUR), metavar="COST", help="in your currency; %(default)s unless given")
    command.add_argument("--seconds-per-row", default=str(SECONDS_PER_ROW), metavar="S", help="of one core, as measured on yours; %(default)s unless given")


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


def _plan(arguments: argparse.Namespace) -> None:
    from xlclass.config import load_settings

    batch = load_settings(arguments.conf).encoder.batch_characters if arguments.conf else BATCH_CHARACTERS
    plan = capacity(
        int(positive("--cores", arguments.cores, whole=True)),
        size("--memory", arguments.memory),
        int(positive("--rows", arguments.rows, whole=True)),
        positive("--seconds-per-row", arguments.seconds_per_row, whole=False),
        positive("--cost-per-core-hour", arguments.cost_per_core_hour, whole=False),
        worker_bytes(batch),
    )
    print(described(plan))


_COMMANDS = {
    "setup": (_setup, "fetch Delta's jars and build or fetch the encoder, once"),
    "classify": (_classify, "categorise texts with the champion, without Spark"),
    "check": (_check, "check a settings file and its taxonomy"),
    "plan": (_plan, "how big a backfill is: workers, memory, time and cost, for the batches of the settings if given"),
}


if __name__ == "__main__":
    sys.exit(main())
