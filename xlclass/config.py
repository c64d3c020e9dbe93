"""Settings: a TOML file into nested frozen dataclasses, checked key by key.

The file says what the system is; arguments say what one run does. Every default stands here and nowhere else. Paths in the
file are relative to the file's own folder, so that a job works from any working directory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlclass.errors import SettingsError


def _in(low: float, high: float, default: Any) -> Any:
    """A number between `low` and `high`, both included."""
    return field(default=default, metadata={"low": low, "high": high})


def _each_in(low: float, high: float, default: Any) -> Any:
    """A list of at least one number, each between `low` and `high`."""
    return field(default=default, metadata={"low": low, "high": high, "filled": True})


def _one_of(*choices: str) -> Any:
    """One of `choices`; the first is the default."""
    return field(default=choices[0], metadata={"choices": choices})


@dataclass(frozen=True)
class Columns:
    """Which column of the source holds what: a name, or a dotted path into a nested column; "" where there is none."""

    video_id: str = "video_id"
    title: str = "title"
    tags: str = ""
    description: str = ""
    channel_id: str = ""
    language: str = ""
    countries: str = ""
    labels: str = ""
    updated_at: str = ""
    visual_vector: str = ""  # a list of numbers, or text of numbers with the delimiter between them


@dataclass(frozen=True)
class SourceSettings:
    """The catalogue: "demo" (the embedded one), a path, or a table name."""

    path: str
    format: str = _one_of("auto", "delta", "parquet", "json", "csv", "table")
    delimiter: str = "|"  # between the tags, labels or countries of a text column
    visual_dim: int = _in(0, 65_536, 0)  # numbers in a visual vector; needed where there is a column of them
    columns: Columns = Columns()


@dataclass(frozen=True)
class LakeSettings:
    """The folder that holds the Delta tables and the model versions."""

    path: str


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder: "embedded" (MUSE), the folder of a SavedModel, or a TF-Hub handle; and how much it is given at once."""

    model: str = "embedded"
    cache: str = "~/.cache/xlclass"  # or archive://NAME, what `spark-submit --archives FILE#NAME` unpacked
    languages: tuple[str, ...] = ()  # that a SavedModel was trained on; the embedded one knows its own
    precision: str = _one_of("float32", "bfloat16")  # of the embedded one; bfloat16 is faster where the processor has it (amx_bf16, avx512_bf16)
    batch_texts: int = _in(1, 65_536, 256)
    batch_characters: int = _in(1, 10_000_000, 24_000)  # texts of a batch times its longest


@dataclass(frozen=True)
class TextSettings:
    """How a video's text is put together."""

    max_characters: int = _in(20, 100_000, 1_000)
    min_letters: int = _in(0, 1_000, 20)  # below: the description is added, then the channel's tags; still below: the text is short
    description: str = _one_of("always", "when_short")  # whether the description is part of every text
    emoji: str = _one_of("names", "drop")
    abbreviations: str = ""  # file of the tables; "" for none
    skip: tuple[str, ...] = ()  # steps switched off, of `xlclass.catalog.text.STEPS`


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the channels by hash; what is left of 1 is the test split."""

    salt: str = "xlclass"
    train: float = _in(0.0, 1.0, 0.6)
    validation: float = _in(0.0, 1.0, 0.1)
    calibration: float = _in(0.0, 1.0, 0.1)


@dataclass(frozen=True)
class TaxonomySettings:
    """The categories, and how many training videos a category needs before a head learns it."""

    file: str = "taxonomy.toml"
    min_training_videos: int = _in(1, 1_000_000, 100)


@dataclass(frozen=True)
class TrainingSettings:
    """The sample and the head."""

    languages: tuple[str, ...] = ("en", "fr")
    max_videos_per_language_and_category: int = _in(1, 10_000_000, 5_000)
    hidden: tuple[int, ...] = _each_in(1, 65_536, (256, 128))
    dropout: float = _in(0.0, 0.95, 0.5)
    learning_rate: float = _in(1e-6, 1.0, 1e-3)
    batch_size: int = _in(1, 65_536, 64)
    max_epochs: int = _in(1, 10_000, 60)
    patience: int = _in(1, 10_000, 6)
    class_weights: str = _one_of("none", "balanced")
    threshold: float = _in(0.0, 1.0, 0.5)
    seed: int = _in(0, 2**31 - 1, 7)


@dataclass(frozen=True)
class BackfillSettings:
    """How a run is cut."""

    chunk_videos: int = _in(1, 100_000_000, 200_000)  # videos whose work is lost at most when a run is killed
    lease_seconds: int = _in(4, 3_600, 60)  # after which a killed run on another machine no longer holds the lake
    no_worker_seconds: int = _in(1, 86_400, 300)  # without any executor, after which a run gives up
    most_deleted: float = _in(0.0, 1.0, 0.05)  # share of the videos that a run deletes without --allow-deletes


@dataclass(frozen=True)
class LabelSettings:
    """The lists of doubtful labels and of videos worth labelling."""

    per_language: int = _in(0, 10_000, 50)  # videos in each list of a language
    sample_videos: int = _in(0, 1_000_000, 30_000)  # training videos whose labels are judged, on the driver; a vector of 512 takes 2 kB there


@dataclass(frozen=True)
class Settings:
    """All settings of a system."""

    source: SourceSettings
    lake: LakeSettings
    encoder: EncoderSettings = EncoderSettings()
    text: TextSettings = TextSettings()
    taxonomy: TaxonomySettings = TaxonomySettings()
    split: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings()
    backfill: BackfillSettings = BackfillSettings()
    labels: LabelSettings = LabelSettings()
    file: Path = Path()  # where these were read; not a key

    def resolve(self, path: str) -> str:
        """`path` as the settings file means it: URLs and absolute paths as they are, others from the file's folder."""
        expanded = os.path.expanduser(path)
        return expanded if "://" in expanded else os.path.normpath(self.file.parent / expanded)


def lake_root(settings: Settings, given: str | None) -> str:
    """The lake's folder: the one given on the command line, or the settings' own.

    Raises:
        SettingsError: it is a URL; the folders of model versions need a path.
    """
    return given_lake(given) if given else _path_only(settings.resolve(settings.lake.path), f"{settings.file}: lake.path")


def given_lake(given: str) -> str:
    """The folder that `--lake` means, from the working directory.

    Raises:
        SettingsError: it is a URL.
    """
    return os.path.abspath(os.path.expanduser(_path_only(given, "--lake")))


def _path_only(place: str, key: str) -> str:
    if "://" in place:
        raise SettingsError(f"{key}: {place} is a URL; give a path that the driver and all workers see, such as a mounted one")
    return place


def load_settings(file: str | Path) -> Settings:
    """The settings in `file`.

    Raises:
        SettingsError: the file is missing or not TOML, or a key is unknown, missing, mistyped or out of range.
    """
    path = Path(file).expanduser().absolute()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}: give one with --conf, such as conf/local.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    settings = dataclasses.replace(_parse(Settings, table, path, ""), file=path)
    shares = settings.split
    if shares.train + shares.validation + shares.calibration > 1 + 1e-9:
        raise SettingsError(f"{path}: split: train, validation and calibration add up to more than 1; the test split takes what is left")
    _check_training_languages(settings.training.languages, path)
    if not (settings.source.columns.video_id and settings.source.columns.title):
        raise SettingsError(f"{path}: source.columns: video_id and title must each name a column")
    if settings.source.columns.visual_vector and not settings.source.visual_dim:
        raise SettingsError(f"{path}: source.visual_dim is missing: say how many numbers a vector in {settings.source.columns.visual_vector} has")
    return settings


def _check_training_languages(languages: tuple[str, ...], path: Path) -> None:
    if not languages:
        raise SettingsError(f"{path}: training.languages is empty: name at least one language that has labels")
    for code in languages:
        if not re.fullmatch(r"[a-z]{2,3}(-Hant)?", code):
            raise SettingsError(f"{path}: training.languages: {code!r} is not a base language such as en, fr or zh-Hant; regions are kept apart, in locale")


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


def settings_digest(*parts: Any) -> str:
    """16 hex digits that name `parts` (settings, versions, strings): the same for equal contents."""
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) and not isinstance(part, type) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _parse(cls: type, table: Any, path: Path, where: str) -> Any:
    """`table` as an instance of the dataclass `cls`; `where` is the dotted key of the table, for messages."""
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: {where.rstrip('.')} must be a table ([{where.rstrip('.')}]), found {table!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in dataclasses.fields(cls) if f.name != "file" or cls is not Settings}
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
        return _parse(typing.cast(type, hint), value, path, key + ".")
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
