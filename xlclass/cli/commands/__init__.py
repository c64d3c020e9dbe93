"""The sub-commands of `xlclass`, one verb a module, as in jobs/: `arguments(parser)` says what it takes, `body(given)` does it.

`body` gives an exit code, null for 0. `xlclass.cli.main` imports only the module that was asked for, and `--help` of any command
must stay quick: what takes long to import (pandas, deltalake, TensorFlow, pyspark) is imported inside `body`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.config import Settings, given_lake, lake_root, load_settings

CONF = "conf/local.toml"  # under the working directory; the demo's, which every checkout has


def settings_argument(parser: ArgumentParser) -> None:
    """Adds `--conf`."""
    parser.add_argument("--conf", metavar="FILE", help=f"settings file; {CONF} unless given")


def lake_arguments(parser: ArgumentParser) -> None:
    """Adds `--conf` and `--lake`, of which one is enough to find a lake."""
    settings_argument(parser)
    parser.add_argument("--lake", metavar="PATH", help="the lake to read, instead of the settings' lake.path")


def settings_of(given: Namespace) -> Settings:
    """The settings that the command line names.

    Raises:
        SettingsError: they are missing or wrong.
    """
    return load_settings(given.conf or CONF)


def lake_of(given: Namespace) -> str:
    """The lake's folder; `--lake` alone needs no settings file.

    Raises:
        SettingsError: the settings are missing or wrong, or the lake is a URL.
    """
    if given.lake and not given.conf:
        return given_lake(given.lake)
    return lake_root(settings_of(given), given.lake)
