"""The source catalogue (Delta, Parquet, JSON, CSV, a table, or the embedded demo) as rows of one schema.

A source is read in parts (`source_columns.Part`), one for the files of one layout. `source_files` lists the files and reads their first
bytes, `source_csv`, `source_json` and `source_parquet` make the parts, and `source_values` converts the values.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from importlib import resources

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.config import Settings, SourceSettings
from xlclass.errors import SourceError
from xlclass.lake.source_columns import Part
from xlclass.lake.source_csv import csv_parts
from xlclass.lake.source_files import HEADER_BYTES, RECORD_BYTES, SourceFile, format_of, heads_of, is_folder, list_files, version_of
from xlclass.lake.source_json import json_parts
from xlclass.lake.source_parquet import parquet_parts, typed_part
from xlclass.runtime.redaction import redacted

log = logging.getLogger(__name__)
_DEMO_SCHEMA = (
    "video_id string, title string, tags array<string>, description string, channel_id string, channel string, "
    "language string, country string, labels array<string>, updated_at string"
)


@dataclass(frozen=True)
class Catalogue:
    """The source's rows, its name, and a version that changes whenever the rows may have changed.

    Columns of `rows`; null if the source has no such column, or no value:
        video_id, title, description, channel_id, language: string
        tags, countries, labels: array<string>
        visual_vector: array<float>, null for an element that is not a number
        updated_at: timestamp
        row: string, the source's row as JSON or as it is; row_digest: string, its sha256
        unreadable: boolean, the row could not be parsed
        has_time: boolean, the source has a value for updated_at, which may not be a time
        invalid_text: boolean, the source's text had bytes that are no text in its encoding; they are replaced in `rows`
        wrong_types: array<string>, the columns for which the row has an object, or a list of objects, in place of texts

    `format` is delta, parquet, json, csv, table or demo.
    """

    name: str
    version: str
    format: str
    parts: Sequence[Part]
    settings: SourceSettings

    @cached_property
    def rows(self) -> DataFrame:
        """The rows of all parts."""
        return reduce(DataFrame.unionByName, (part.canonical() for part in self.parts))

    @property
    def spark(self) -> SparkSession:
        """The session that reads the source."""
        return self.parts[0].rows.sparkSession

    @property
    def shown_name(self) -> str:
        """The name for tables and messages, without the secrets that a URL may contain."""
        return redacted(self.name)

    @property
    def is_pinned(self) -> bool:
        """True for a Delta table: it is read at `version`, so later changes to it do not matter."""
        return self.format in ("delta", "table") and self.version.isdigit()

    def require_unchanged(self) -> None:
        """Passes if the source still has the version that was read, or is pinned to it.

        Raises:
            SourceError: files were added, removed or changed since `read_catalogue`.
        """
        if self.format == "demo" or self.is_pinned:
            return
        if version_of(_files(self.spark, self.name, self.format)) != self.version:
            raise SourceError(f"the source {self.shown_name} changed while it was read: nothing of it was used; run this again when all its files are in place")

    def rows_of(self, ids: DataFrame) -> DataFrame:
        """The `rows` whose video_id is in `ids`; of all other rows only the video_id is computed."""
        selected = ids.select(F.col("video_id").alias("_selected_id"))
        parts = []
        for part in self.parts:
            wanted = part.with_video_id(part.rows, "_selected_id").join(selected, "_selected_id", how="left_semi")
            parts.append(part.canonical(wanted))
        return reduce(DataFrame.unionByName, parts)

    def deleted_since(self, version: str) -> DataFrame | None:
        """The ids (column `video_id`) that a Delta source deleted after its `version`; null if it has no change feed that tells.

        An id that the source has again is not among them. A feed that is switched off in between, vacuumed, or of another schema is
        not read, with a warning: then only a comparison with the snapshot finds deletions.
        """
        if not (self.is_pinned and version.isdigit()) or int(version) >= int(self.version):
            return None
        table = _delta_table(self.spark, self.name, self.format)
        if table is None or table.detail().first()["properties"].get("delta.enableChangeDataFeed") != "true":
            return None
        try:
            return self._deleted_ids(version).localCheckpoint()  # reads the feed here, where its failure is understood
        except (PySparkException, Py4JJavaError) as error:
            log.warning(
                "the change feed of %s from version %s to %s cannot be read (%s): new and edited videos are found by comparison; to delete those that "
                "the source no longer has, run jobs/backfill.py --full",
                *(self.shown_name, version, self.version, first_sentence(error)),
            )
            return None

    def _deleted_ids(self, version: str) -> DataFrame:
        reader = self.spark.read.option("readChangeFeed", "true").option("startingVersion", int(version) + 1).option("endingVersion", int(self.version))
        changes = reader.table(self.name) if self.format == "table" else reader.format("delta").load(self.name)
        deleted = self.parts[0].with_video_id(changes.where("_change_type = 'delete'"), "_deleted_id")
        return deleted.select(F.col("_deleted_id").alias("video_id")).distinct().join(self.rows.select("video_id"), "video_id", how="left_anti")


def read_catalogue(spark: SparkSession, settings: Settings) -> Catalogue:
    """The catalogue that the settings name; only its schema, version and the first bytes of its files have been read.

    Raises:
        SourceError: the source does not exist, cannot be read, lacks a column that the settings name, or has it in another type.
    """
    source = settings.source
    if source.path == "demo":
        demo, version = _read_demo(spark)
        return Catalogue("demo", version, "demo", [typed_part(demo, source, "the demo")], source)
    name = source.path if source.format == "table" else settings.resolve(source.path)
    try:
        return _opened(spark, name, source)
    except SourceError as error:
        raise SourceError(f"{settings.file}: {error}") from error
    except (PySparkException, Py4JJavaError) as error:
        kind = "" if source.format == "auto" else f" as {source.format}"
        raise SourceError(f"{settings.file}: source.path: cannot read {name}{kind}: {first_sentence(error)}") from error


def first_sentence(error: PySparkException | Py4JJavaError) -> str:
    """What Spark says of an error, in one line, without its codes and stack."""
    words = str(error.java_exception.getMessage() if isinstance(error, Py4JJavaError) else error)
    return words.splitlines()[0].partition(" SQLSTATE")[0] if words.strip() else type(error).__name__


def _opened(spark: SparkSession, name: str, source: SourceSettings) -> Catalogue:
    source_format = source.format
    if source_format == "auto" and DeltaTable.isDeltaTable(spark, name):
        source_format = "delta"
    table = _delta_table(spark, name, source_format)
    if table is not None:
        version = str(table.history(1).select("version").first()[0])
        pinned = spark.read.option("versionAsOf", version)
        rows = pinned.table(name) if source_format == "table" else pinned.format("delta").load(name)
        return Catalogue(name, version, source_format, [typed_part(rows, source, name)], source)
    files = _files(spark, name, source_format)
    if source_format == "table":
        return Catalogue(name, version_of(files), "table", [typed_part(spark.table(name), source, name)], source)
    source_format = format_of(files) if source_format == "auto" else source_format
    return Catalogue(name, version_of(files), source_format, _parts(spark, name, source_format, files, source), source)


def _parts(spark: SparkSession, name: str, source_format: str, files: Sequence[SourceFile], source: SourceSettings) -> list[Part]:
    """The parts of a source of files.

    Raises:
        SourceError: all files are empty, or see the readers.
    """
    folder = name if is_folder(spark, name) else None
    if source_format == "parquet":
        return parquet_parts(spark, files, source, folder)
    heads = heads_of(spark, files, HEADER_BYTES if source_format == "csv" else RECORD_BYTES)
    if not heads:
        raise SourceError(f"source.path: {name} is empty")
    return csv_parts(spark, heads, source, folder) if source_format == "csv" else json_parts(spark, heads, source, folder)


def _files(spark: SparkSession, name: str, source_format: str) -> list[SourceFile]:
    return [file for path in (spark.table(name).inputFiles() if source_format == "table" else [name]) for file in list_files(spark, path)]


def _delta_table(spark: SparkSession, name: str, source_format: str) -> DeltaTable | None:
    """The source as a Delta table; null if it is files, a view, or a table of another format."""
    if source_format == "delta":
        return DeltaTable.forPath(spark, name)
    try:
        return DeltaTable.forName(spark, name) if source_format == "table" else None
    except AnalysisException:  # not a Delta table; if it does not exist either, reading it fails with Spark's message
        return None


def _read_demo(spark: SparkSession) -> tuple[DataFrame, str]:
    """The rows of the embedded catalogue and their digest; the driver reads the files, so workers need no access to them."""
    folder = resources.files("xlclass.catalog") / "demo"
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".jsonl")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    return spark.createDataFrame(rows, _DEMO_SCHEMA), digest
