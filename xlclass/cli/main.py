"""The command `xlclass`: what is done without a cluster."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from xlclass import __version__
from xlclass.errors import XlclassError
from xlclass.runtime.redaction import redacted

COMMANDS = {  # name: its module, and what it does; see xlclass/commands/__init__.py
    "setup": ("xlclass.cli.commands.setup", "fetch Delta's jars and build or fetch the encoder, once"),
    "check": ("xlclass.cli.commands.check", "check a settings file and its taxonomy"),
    "classify": ("xlclass.cli.commands.classify", "categorise texts with the champion, without Spark"),
    "models": ("xlclass.cli.commands.models", "the model versions of a lake: list, show, compare, promote, roll back"),
    "tables": ("xlclass.cli.commands.tables", "the tables, what each column means, and questions that they answer"),
    "plan": ("xlclass.cli.commands.plan", "how big a backfill is: workers, memory, time and cost, for the encoder of the settings if given"),
    "doctor": ("xlclass.cli.commands.doctor", "check machine, packages, encoder, lake and executors: what is wrong, and what to do"),
    "runs": ("xlclass.cli.commands.runs", "what the jobs did: the newest runs of a lake, or one whole"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command and gives its exit code: 0 done, 2 a mistake of the user's, told in one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # an answer in Thai at a terminal of another alphabet
    given = _parser(words).parse_args(words)
    try:
        code = given.body(given)
        sys.stdout.flush()
    except XlclassError as error:
        print(f"xlclass: {redacted(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails once more when it flushes at its end
        return 0
    return code or 0


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser; of the commands only the one in `words` is imported."""
    parser = argparse.ArgumentParser(prog="xlclass", description=__doc__)
    parser.add_argument("--version", action="version", version=f"xlclass {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (place, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if words[:1] == [name]:
            module = importlib.import_module(place)
            module.arguments(command)
            command.set_defaults(body=module.body)
    return parser


if __name__ == "__main__":
    sys.exit(main())
