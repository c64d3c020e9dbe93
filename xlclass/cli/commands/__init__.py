"""The commands of `xlclass`, one module each: `add_arguments(parser)` defines the arguments, `body(args)` runs the command.

`body` returns an exit code; None means 0. `xlclass.cli.main` imports only the module of the command in use. `--help` must stay
fast, so `body` imports slow packages (numpy, pandas, deltalake, TensorFlow, pyspark) itself.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.config import Settings, lake_from_argument, lake_root, load_settings

DEFAULT_SETTINGS = "conf/local.toml"  # of the demo; relative to the working directory


def add_settings_argument(parser: ArgumentParser) -> None:
    """Adds `--conf`."""
    parser.add_argument("--conf", metavar="FILE", help=f"settings file (default: {DEFAULT_SETTINGS})")


def add_lake_arguments(parser: ArgumentParser) -> None:
    """Adds `--conf` and `--lake`; either is enough to find a lake."""
    add_settings_argument(parser)
    parser.add_argument("--lake", metavar="PATH", help="folder of the lake (default: lake.path in the settings file)")


def settings_of(args: Namespace) -> Settings:
    """The settings that `--conf` names, or the default ones.

    Raises:
        SettingsError: the file is missing or has a mistake.
    """
    return load_settings(args.conf or DEFAULT_SETTINGS)


def lake_of(args: Namespace) -> str:
    """The folder of an existing lake; `--lake` without `--conf` reads no settings file.

    Raises:
        SettingsError: the settings file is missing or has a mistake, or the lake is a URL.
        LakeError: the folder is no lake.
    """
    from xlclass.lake.reading import require_lake

    return require_lake(lake_from_argument(args.lake) if args.lake and not args.conf else lake_root(settings_of(args), args.lake))
