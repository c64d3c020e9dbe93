"""Sets up xlclass, inspects a lake and classifies titles on one machine; the Spark jobs are in jobs/."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from xlclass import __version__
from xlclass.errors import XlclassError
from xlclass.runtime import logs

COMMANDS = {  # name: its module and its help; see xlclass/cli/commands/__init__.py
    "setup": ("xlclass.cli.commands.setup", "prepare this machine, once: download Delta's jars, build or download the encoder"),
    "check": ("xlclass.cli.commands.check", "check a settings file and the files that it names"),
    "classify": ("xlclass.cli.commands.classify", "assign categories to titles with the champion, the model version in use"),
    "models": ("xlclass.cli.commands.models", "list, show, compare, promote or roll back the model versions of a lake"),
    "tables": ("xlclass.cli.commands.tables", "describe the tables and their columns, and print example queries"),
    "plan": ("xlclass.cli.commands.plan", "estimate workers, memory, time and cost of a backfill"),
    "doctor": ("xlclass.cli.commands.doctor", "check machine, packages, encoder, lake and executors; print how to fix problems"),
    "runs": ("xlclass.cli.commands.runs", "list the newest job runs of a lake, or show one run in full"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 2 a user's mistake, explained in one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # Thai text must not crash a terminal without Thai characters
    with logs.without_secrets(but_output=words[:1] == ["classify"]):  # which answers with the caller's own titles
        return _run(words)


def _run(words: list[str]) -> int:
    """Runs the command and returns its exit code."""
    args = _parser(words).parse_args(words)
    try:
        code = args.body(args)
        sys.stdout.flush()
    except XlclassError as error:
        print(f"xlclass: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("xlclass: interrupted by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's flush at exit fails again
        return 0
    return code or 0


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """The parser; only the command that `words` starts with is imported."""
    parser = argparse.ArgumentParser(prog="xlclass", description=__doc__)
    parser.add_argument("--version", action="version", version=f"xlclass {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module_name, help_text) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if words[:1] == [name]:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(body=module.body)
    return parser


if __name__ == "__main__":
    sys.exit(main())
