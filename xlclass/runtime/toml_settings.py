"""Parses a TOML table into nested frozen dataclasses, key by key; the metadata of a field contain its limits."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import field
from pathlib import Path
from typing import Any

from xlclass.errors import SettingsError


def within(low: float, high: float, default: Any) -> Any:
    """A field for a number from `low` to `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high})


def each_within(low: float, high: float, default: Any) -> Any:
    """A field for a list of at least one number, each from `low` to `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high, "not_empty": True})


def one_of(*choices: str) -> Any:
    """A field for one of `choices`; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


def names_or_files(*names: str) -> Any:
    """A field for a list of at least one of `names` or of TOML files; all names are the default."""
    return field(default=names, metadata={"choices": names, "suffix": ".toml", "not_empty": True})


def read_toml(file: str | Path, key: str) -> dict[str, Any]:
    """The contents of the TOML file under `key` of the settings.

    Raises:
        SettingsError: the file is missing or not TOML.
    """
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{key}: there is no file {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{key}: {file} cannot be read as TOML: {error}") from error


def parse(cls: type, table: Any, path: Path, prefix: str = "") -> Any:
    """`table` as an instance of the dataclass `cls`; `prefix` is the dotted key of the table with a final dot, for messages.

    Raises:
        SettingsError: a key is unknown, missing, mistyped or out of range.
    """
    if not isinstance(table, dict):
        key = prefix.rstrip(".")
        raise SettingsError(f"{path}: {key} must be a table ([{key}]), found {table!r}")
    hints = typing.get_type_hints(cls)
    keys = {f.name: f for f in dataclasses.fields(cls) if f.metadata.get("is_key", True)}
    for key in table:
        if key not in keys:
            raise SettingsError(f"{path}: unknown key {prefix}{key}; known here: {', '.join(keys)}")
    values = {}
    for key, spec in keys.items():
        if key in table:
            values[key] = _value(hints[key], table[key], spec.metadata, path, prefix + key)
        elif spec.default is dataclasses.MISSING:
            raise SettingsError(f"{path}: the key {prefix}{key} is missing")
    return cls(**values)


def _list(hint: Any, value: Any, limits: typing.Mapping[str, Any], path: Path, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{path}: {key} must be a list, found {value!r}")
    if limits.get("not_empty") and not value:
        raise SettingsError(f"{path}: {key} is empty: give at least one value")
    return tuple(_value(hint, item, limits, path, key) for item in value)


def _value(hint: Any, value: Any, limits: typing.Mapping[str, Any], path: Path, key: str) -> Any:
    """`value` after a check of its type and limits; a list becomes a tuple, and an int a float if the field is a float."""
    if dataclasses.is_dataclass(hint):
        return parse(typing.cast(type, hint), value, path, key + ".")
    if typing.get_origin(hint) is tuple:
        return _list(typing.get_args(hint)[0], value, limits, path, key)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise SettingsError(f"{path}: {key} must be of type {hint.__name__}, found {value!r}")
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise SettingsError(f"{path}: {key} must be between {limits['low']:,} and {limits['high']:,}, found {value!r}")
    suffix = limits.get("suffix")
    if "choices" in limits and value not in limits["choices"] and not (suffix and value.endswith(suffix)):
        file = f" or a file that ends in {suffix}" if suffix else ""
        raise SettingsError(f"{path}: {key} must be one of {', '.join(limits['choices'])}{file}, found {value!r}")
    return value
