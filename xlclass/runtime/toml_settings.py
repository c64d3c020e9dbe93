"""A TOML table into nested frozen dataclasses, checked key by key: each field's metadata holds its limits."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from dataclasses import field
from pathlib import Path
from typing import Any

from xlclass.errors import SettingsError


def within(low: float, high: float, default: Any) -> Any:
    """A number between `low` and `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high})


def each_within(low: float, high: float, default: Any) -> Any:
    """A list of at least one number, each between `low` and `high`."""
    return field(default=default, metadata={"low": low, "high": high, "filled": True})


def one_of(*choices: str) -> Any:
    """One of `choices`; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


def read_toml(file: str | Path, key: str) -> dict[str, Any]:
    """The contents of the TOML file that the settings name under `key`.

    Raises:
        SettingsError: it is missing, or not TOML.
    """
    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{key}: there is no file {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{key}: {file} cannot be read as TOML: {error}") from error


def parse(cls: type, table: Any, path: Path, where: str = "") -> Any:
    """`table` as an instance of the dataclass `cls`; `where` is the dotted key of the table, for messages.

    Raises:
        SettingsError: a key is unknown, missing, mistyped or out of range.
    """
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where.rstrip('.')} must be a table ([{where.rstrip('.')}]), found {table!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls) if f.metadata.get("is_key", True)}
    for key in table:
        if key not in known:
            raise SettingsError(f"{path}: unknown key {where}{key}; known here: {', '.join(known)}")
    values = {}
    for name, spec in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], spec.metadata, path, where + name)
        elif spec.default is dataclasses.MISSING:
            raise SettingsError(f"{path}: the key {where}{name} is missing")
    return cls(**values)


def _list(hint: Any, value: Any, limits: typing.Mapping[str, Any], path: Path, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise SettingsError(f"{path}: {key} must be a list, found {value!r}")
    if limits.get("filled") and not value:
        raise SettingsError(f"{path}: {key} is empty: give at least one number")
    return tuple(_value(hint, item, limits, path, key) for item in value)


def _value(hint: Any, value: Any, limits: typing.Mapping[str, Any], path: Path, key: str) -> Any:
    """`value` checked against its type and limits; lists become tuples and whole numbers floats where those are meant."""
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
    if "choices" in limits and value not in limits["choices"]:
        raise SettingsError(f"{path}: {key} must be one of {', '.join(limits['choices'])}, found {value!r}")
    return value
