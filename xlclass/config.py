"""Settings: a TOML file, checked key by key and read into nested frozen dataclasses.

The file describes the system; command-line arguments describe one run. Every default is defined here and nowhere else. Paths in
the file are relative to the file's folder, so a job works from any working directory.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlclass.errors import SettingsError
from xlclass.runtime.toml_settings import each_within, names_or_files, one_of, parse, within


@dataclass(frozen=True)
class Columns:
    """The source's column for each field: a name, or a dotted path into a nested column; "" if the source has no such column."""

    video_id: str = "video_id"
    title: str = "title"
    tags: str = ""
    description: str = ""
    channel_id: str = ""
    language: str = ""
    countries: str = ""
    labels: str = ""
    updated_at: str = ""
    visual_vector: str = ""  # a list of numbers, or text with the delimiter between the numbers


@dataclass(frozen=True)
class SourceSettings:
    """The catalogue: "demo" (the embedded one), a path, or a table name."""

    path: str
    format: str = one_of("auto", "delta", "parquet", "json", "csv", "table")
    delimiter: str = "|"  # separates the tags, labels and countries in a column of type text
    separator: str = ""  # between the columns of CSV files; "": a tab in .tsv files, a comma in others
    encoding: str = "utf-8"  # of CSV and JSON files without a byte order mark, by its name in Python, such as latin-1, cp1252 or utf-16
    missing: tuple[str, ...] = ("nan", "null", "none", "n/a", "[none]")  # texts, in any case, that stand for a missing value
    missing_columns: str = one_of("refuse", "null")  # a file that lacks a column: refuse the source, or read the file with nulls
    unreadable_limit: float = within(0.0, 1.0, 0.05)  # share of rows with something unreadable above which a source of at least 100 rows is refused
    visual_dim: int = within(0, 65_536, 0)  # length of a visual vector; required if columns.visual_vector is set
    columns: Columns = Columns()


@dataclass(frozen=True)
class LakeSettings:
    """The folder that holds the Delta tables and the model versions."""

    path: str


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder: "embedded" (MUSE), the folder of a SavedModel, or a TF-Hub handle; and its batch sizes."""

    model: str = "embedded"
    extension: str = one_of("e5", "none", "both")  # of the embedded encoder: e5 encodes the languages that MUSE does not know; both: each text by both
    cache: str = "~/.cache/xlclass"  # a folder, or archive://NAME for an archive shipped by `spark-submit --archives FILE#NAME`
    preprocessor: str = ""  # of a pair such as m-BERT or XLM-R: its folder, archive:// or TF-Hub handle; `model` is then the pair's encoder
    pooling: str = one_of("mean", "cls")  # of a pair: the mean of the tokens' vectors, or the first token's
    languages: tuple[str, ...] = ()  # languages that a SavedModel was trained on; those of the embedded encoder are built in
    precision: str = one_of("float32", "bfloat16")  # of the embedded encoder; bfloat16 is faster on processors with amx_bf16 or avx512_bf16
    batch_texts: int = within(0, 65_536, 0)  # maximum texts in a batch; 0: 4,096 for the embedded encoder, 256 for others
    batch_characters: int = within(0, 10_000_000, 0)  # maximum of texts times the longest text; 0: 4,000,000 for the embedded encoder, 24,000 for others


@dataclass(frozen=True)
class TextSettings:
    """How the text of a video is built from its fields."""

    max_characters: int = within(20, 100_000, 1_000)  # a longer text is cut
    min_letters: int = within(0, 1_000, 20)  # with fewer, the description is added, then the channel's tags; if still fewer, text_quality is short
    description: str = one_of("always", "when_short")  # add the description to every text, or only to those below min_letters
    emoji: str = one_of("names", "drop")  # replace emoji by their English names, or remove them
    abbreviations: str = ""  # file with the tables of abbreviations; "" for none
    skip: tuple[str, ...] = ()  # steps to switch off; see STEPS in xlclass/catalog/text.py


@dataclass(frozen=True)
class SplitSettings:
    """Shares of the channels in each split, assigned by hash; the remainder is the test split."""

    salt: str = "xlclass"  # another salt gives another split
    train: float = within(0.0, 1.0, 0.6)
    validation: float = within(0.0, 1.0, 0.1)
    calibration: float = within(0.0, 1.0, 0.1)


@dataclass(frozen=True)
class TaxonomySettings:
    """The file of the categories, and the number of training videos that a category needs."""

    file: str = "taxonomy.toml"
    min_training_videos: int = within(1, 1_000_000, 100)  # a category with fewer is not trained


@dataclass(frozen=True)
class TrainingSettings:
    """The sample and the head."""

    languages: tuple[str, ...] = ("en", "fr")
    max_videos_per_language_and_category: int = within(1, 10_000_000, 5_000)
    hidden: tuple[int, ...] = each_within(1, 65_536, (256, 128))
    dropout: float = within(0.0, 0.95, 0.5)
    learning_rate: float = within(1e-6, 1.0, 1e-3)
    batch_size: int = within(1, 65_536, 64)
    max_epochs: int = within(1, 10_000, 60)
    patience: int = within(1, 10_000, 6)  # epochs without a lower validation loss, after which training stops
    alignment_texts: int = within(0, 100_000, 4_000)  # unlabelled texts of languages that both encoders of a pair know, to align the second
    seed: int = within(0, 2**31 - 1, 7)


@dataclass(frozen=True)
class CalibrationSettings:
    """How logits become confidences; see `xlclass.model.chain`. Leave-one-language-out decides whether a correction that is allowed here is on."""

    prototypes: int = within(0, 65_536, 512)  # of the training vectors, for the neighbour correction; 0 forbids it
    prior_shift: str = one_of("auto", "never")  # in languages without labels
    unlabelled_prototypes: int = within(0, 65_536, 128)  # of each language without labels, for label propagation; 0 forbids it
    min_unlabelled: int = within(1, 1_000_000, 500)  # videos of a language without labels from which prior shift and label propagation are fitted
    max_unlabelled: int = within(1, 1_000_000, 6_000)  # of them that reach the driver, 3 kB each with MUSE; with fewer, held-out languages gained less


@dataclass(frozen=True)
class ThresholdSettings:
    """How confidences become categories; see `xlclass.model.thresholds`."""

    aim: str = one_of("f1", "precision")
    precision: float = within(0.0, 1.0, 0.8)  # that every category reaches on the calibration videos, with aim = "precision"
    policy: str = one_of("at_least_one", "abstain")  # for a video if none of its categories reaches its threshold
    max_categories: int = within(1, 1_000, 3)  # of a video


@dataclass(frozen=True)
class BackfillSettings:
    """Chunks, lease and limits of a backfill."""

    chunk_videos: int = within(1, 100_000_000, 200_000)  # videos that are committed together; a killed run loses at most one chunk's work
    lease_seconds: int = within(4, 3_600, 60)  # the lease of a run killed on another machine expires after this time
    no_worker_seconds: int = within(1, 86_400, 300)  # a run fails if it has no executor for this long
    max_deleted_share: float = within(0.0, 1.0, 0.05)  # maximum share of the videos that a run deletes without --allow-deletes


@dataclass(frozen=True)
class GateSettings:
    """By how much a candidate may be worse than the champion, on the same test videos, and still replace it."""

    lost_accuracy: float = within(0.0, 1.0, 0.01)  # of top-1: a larger loss is refused if it is also larger than chance explains
    max_lost_accuracy: float = within(0.0, 1.0, 0.1)  # of top-1 over all languages: a larger loss is refused in any case
    lost_calibration: float = within(0.0, 1.0, 0.02)  # growth of the debiased calibration error, as lost_accuracy
    lost_coverage: float = within(0.0, 1.0, 0.02)  # of the share of videos that get a category, as lost_accuracy
    min_videos: int = within(10, 1_000_000, 100)  # test videos of a language that is judged by itself; all other languages are judged together
    max_videos: int = within(10, 1_000_000, 5_000)  # test videos of a language that are compared, those with the lowest hash
    level: float = within(0.5, 0.9999, 0.95)  # of the interval over all languages, and of the intervals of the languages together
    resamples: int = within(100, 100_000, 2_000)
    seed: int = within(0, 2**31 - 1, 7)


@dataclass(frozen=True)
class LabelSettings:
    """The lists of probably wrong labels and of videos worth labelling (label_issues)."""

    per_language: int = within(0, 10_000, 50)  # maximum videos in each list of a language; 0 writes no lists
    sample_videos: int = within(0, 1_000_000, 30_000)  # training videos whose labels are checked on the driver; 2 kB each with 512-number vectors


@dataclass(frozen=True)
class ComparisonSettings:
    """What jobs/compare_encoders.py compares: contenders by name, or a settings file, which stands for its [encoder]; the first is the reference."""

    contenders: tuple[str, ...] = names_or_files("muse", "muse-bfloat16", "muse-int8", "e5", "e5-centred", "e5-mapped", "pair", "both")
    videos: int = within(100, 1_000_000, 10_000)  # of the sample, at most


@dataclass(frozen=True)
class RetentionSettings:
    """How long jobs/maintain.py keeps rows and files; 0 days keep rows for ever."""

    log_days: int = within(0, 36_500, 365)  # rows of prediction_log
    runs_days: int = within(0, 36_500, 0)  # rows of runs; the last successful run of each source is always kept
    files_hours: int = within(0, 87_600, 168)  # data files of old table versions; must exceed the duration of the slowest read


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
    calibration: CalibrationSettings = CalibrationSettings()
    thresholds: ThresholdSettings = ThresholdSettings()
    backfill: BackfillSettings = BackfillSettings()
    retention: RetentionSettings = RetentionSettings()
    gate: GateSettings = GateSettings()
    labels: LabelSettings = LabelSettings()
    comparison: ComparisonSettings = ComparisonSettings()
    file: Path = field(default=Path(), metadata={"is_key": False})  # the file that the settings were read from

    def resolve(self, path: str) -> str:
        """`path` from the settings file's folder; URLs and absolute paths stay unchanged."""
        expanded = os.path.expanduser(path)
        return expanded if "://" in expanded else os.path.normpath(self.file.parent / expanded)


def lake_root(settings: Settings, argument: str | None) -> str:
    """The lake's folder: `argument` (the value of `--lake`) if there is one, else the settings' `lake.path`.

    Raises:
        SettingsError: it is a URL, or a name that Spark would read as a pattern.
    """
    return lake_from_argument(argument) if argument else _lake_folder(settings.resolve(settings.lake.path), f"{settings.file}: lake.path")


def lake_from_argument(argument: str) -> str:
    """The folder that `--lake` names, relative to the working directory.

    Raises:
        SettingsError: it is a URL, or a name that Spark would read as a pattern.
    """
    return _lake_folder(argument, "--lake")


def _lake_folder(place: str, key: str) -> str:
    if "://" in place:
        raise SettingsError(f"{key}: {place} is a URL; give a path that the driver and all workers see, such as a mounted file system")
    folder = os.path.abspath(os.path.expanduser(place))
    if set(folder) & set("[]{}*?\\\n"):
        raise SettingsError(f"{key}: {folder!r} has a character of []{{}}*?\\ or a line end, which Spark reads as a pattern: choose another folder")
    return folder


def load_settings(file: str | Path) -> Settings:
    """The settings in `file`.

    Raises:
        SettingsError: the file is missing or not TOML, or a key is unknown, missing, of the wrong type or out of range.
    """
    path = Path(file).expanduser().absolute()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}: give one with --conf, such as conf/local.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from error
    settings = dataclasses.replace(parse(Settings, table, path), file=path)
    shares = settings.split
    if shares.train + shares.validation + shares.calibration > 1 + 1e-9:
        raise SettingsError(f"{path}: split: train, validation and calibration add up to more than 1; lower them, the remainder is the test split")
    _check_training_languages(settings.training.languages, path)
    columns = settings.source.columns
    if not (columns.video_id and columns.title):
        raise SettingsError(f"{path}: source.columns: video_id and title must each name a column")
    if columns.visual_vector and not settings.source.visual_dim:
        raise SettingsError(f"{path}: source.visual_dim is missing: set it to the length of the vectors in the column {columns.visual_vector}")
    _check_source(settings.source, path)
    return settings


def _check_source(source: SourceSettings, path: Path) -> None:
    if not source.delimiter:
        raise SettingsError(f'{path}: source.delimiter is empty: give the text that separates tags, such as "|" or ","')
    if len(source.separator) > 1:
        raise SettingsError(f'{path}: source.separator must be one character, such as ";" or a tab ("\\t"), found {source.separator!r}')
    try:
        codecs.lookup(source.encoding)
    except LookupError:
        raise SettingsError(f"{path}: source.encoding: there is no encoding {source.encoding}; examples: utf-8, latin-1, cp1251, utf-16") from None


def _check_training_languages(languages: tuple[str, ...], path: Path) -> None:
    if not languages:
        raise SettingsError(f"{path}: training.languages is empty: name at least one language that has labels")
    for code in languages:
        if not re.fullmatch(r"[a-z]{2,3}(-Hant)?", code):
            raise SettingsError(f"{path}: training.languages: {code!r} is not a base language such as en, fr or zh-Hant; give the code without a region")


def settings_digest(*parts: Any) -> str:
    """A digest of `parts` (settings, versions, strings): 16 hex digits, equal for equal contents."""
    plain = [dataclasses.asdict(part) if dataclasses.is_dataclass(part) and not isinstance(part, type) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
