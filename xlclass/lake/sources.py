"""The source catalogue (Delta, Parquet, JSON lines, CSV, a table, or the embedded demo) as rows of one schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import Settings
from xlclass.errors import SourceError
from xlclass.lake.source_columns import CORRUPT_COLUMN, LINE_COLUMN, canonical_columns, canonical_rows
from xlclass.runtime.redaction import redacted

_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
_CSV_OPTIONS = {"header": "true", "multiLine": "true", "quote": '"', "escape": '"', "columnNameOfCorruptRecord": CORRUPT_COLUMN}
_DEMO_SCHEMA = (
    "video_id string, title string, tags array<string>, description string, channel_id string, channel string, "
    "language string, country string, labels array<string>, updated_at string"
)


@dataclass(frozen=True)
class Catalogue:
    """The source's rows, its name, and a version that changes whenever the rows may have changed.

    Columns of `rows`; null if the source has no such column:
        video_id, title, description, channel_id, language: string
        tags, countries, labels: array<string>
        visual_vector: array<float>, null for an element that is not a number
        updated_at: timestamp
        row: string, the source's row as JSON; row_digest: string, its sha256
        unreadable: boolean, the row could not be parsed
        has_time: boolean, the source has a value for updated_at, which may not be a time
        invalid_text: boolean, the source's text had bytes that are not UTF-8; they are replaced in `rows`

    `raw` holds the source's rows unchanged, and `columns` converts them to `rows`. `format` is delta, parquet, json, csv, table or demo.
    """

    rows: DataFrame
    name: str
    version: str
    format: str
    raw: DataFrame
    columns: list[Column]

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
        if _version(self.rows.sparkSession, self.name, self.format) != self.version:
            raise SourceError(f"the source {self.shown_name} changed while it was read: nothing of it was used; run this again when all its files are in place")

    def rows_of(self, ids: DataFrame) -> DataFrame:
        """The `rows` whose video_id is in `ids`; of all other rows only the video_id is computed."""
        selected = ids.select(F.col("video_id").alias("_selected_id"))
        return canonical_rows(self.raw.join(selected, self.columns[0] == F.col("_selected_id"), how="left_semi"), self.columns)

    def deleted_since(self, version: str) -> DataFrame | None:
        """The ids (column `video_id`) that a Delta source deleted after its `version`; null if it has no change data feed from there.

        An id that the source has again is not among them.
        """
        if not (self.is_pinned and version.isdigit()) or int(version) >= int(self.version):
            return None
        spark = self.rows.sparkSession
        table = DeltaTable.forName(spark, self.name) if self.format == "table" else DeltaTable.forPath(spark, self.name)
        if table.detail().first()["properties"].get("delta.enableChangeDataFeed") != "true":
            return None
        reader = spark.read.option("readChangeFeed", "true").option("startingVersion", int(version) + 1).option("endingVersion", int(self.version))
        changes = reader.table(self.name) if self.format == "table" else reader.format("delta").load(self.name)
        deleted = changes.where("_change_type = 'delete'").select(self.columns[0]).distinct()
        return deleted.join(self.rows.select("video_id"), "video_id", how="left_anti")


def read_catalogue(spark: SparkSession, settings: Settings) -> Catalogue:
    """The catalogue that the settings name; only its schema and version have been read.

    Raises:
        SourceError: the source does not exist, cannot be read, lacks a column that the settings name, or has it in another type.
    """
    source = settings.source
    if source.path == "demo":
        name = source_format = "demo"
        raw, version = _read_demo(spark)
    else:
        name = source.path if source.format == "table" else settings.resolve(source.path)
        source_format = source.format
        try:
            if source_format == "auto":
                source_format = _detect_format(spark, name)
            version = _version(spark, name, source_format)
            raw = _read(spark, name, source_format, version)
        except (PySparkException, Py4JJavaError) as error:
            tried = "Delta or Parquet" if source_format == "auto" else source_format
            raise SourceError(f"{settings.file}: source.path: cannot read {name} as {tried}: {str(error).splitlines()[0]}") from error
    columns = canonical_columns(raw, settings)
    return Catalogue(canonical_rows(raw, columns), name, version, source_format, raw, columns)


def _detect_format(spark: SparkSession, path: str) -> str:
    """The format that the file name's ending means; for a folder, Delta if it has a Delta log, else Parquet."""
    name = path.lower().removesuffix(".gz")
    by_ending = next((source_format for ending, source_format in _FORMATS.items() if name.endswith(ending)), None)
    return by_ending or ("delta" if DeltaTable.isDeltaTable(spark, path) else "parquet")


def _version(spark: SparkSession, name: str, source_format: str) -> str:
    """The version of a Delta table; for files, "f" and a digest of their paths, sizes and times, so it is never all digits."""
    table = _delta_table(spark, name, source_format)
    if table:
        return str(table.history(1).select("version").first()[0])
    paths = spark.table(name).inputFiles() if source_format == "table" else name
    files = spark.read.format("binaryFile").load(paths).select("path", "length", F.col("modificationTime").cast("string"))
    return "f" + hashlib.sha256(repr(sorted(map(tuple, files.collect()))).encode()).hexdigest()[:15]


def _delta_table(spark: SparkSession, name: str, source_format: str) -> DeltaTable | None:
    """The source as a Delta table; null if it is files, a view, or a table of another format."""
    if source_format == "delta":
        return DeltaTable.forPath(spark, name)
    try:
        return DeltaTable.forName(spark, name) if source_format == "table" else None
    except AnalysisException:  # not a Delta table; if it does not exist either, reading it fails with Spark's message
        return None


def _read(spark: SparkSession, name: str, source_format: str, version: str) -> DataFrame:
    """The source's rows unchanged, of a Delta table those of `version`; CSV and JSON rows that cannot be parsed are in CORRUPT_COLUMN."""
    if version.isdigit():
        pinned = spark.read.option("versionAsOf", version)
        return pinned.table(name) if source_format == "table" else pinned.format("delta").load(name)
    if source_format == "table":
        return spark.table(name)
    if source_format == "json":
        return _read_json_lines(spark, name)
    reader = spark.read.format(source_format)
    if source_format == "csv":  # only with an explicit schema does Spark keep rows with too few or too many fields in CORRUPT_COLUMN
        names = reader.options(**_CSV_OPTIONS).load(name).columns
        reader = reader.options(**_CSV_OPTIONS).schema(T.StructType([T.StructField(column, T.StringType()) for column in [*names, CORRUPT_COLUMN]]))
    return reader.load(name)


def _read_json_lines(spark: SparkSession, name: str) -> DataFrame:
    """JSON lines, and each line unchanged in LINE_COLUMN.

    The lines are read as text, because Spark's JSON reader drops a line for one byte that is not UTF-8. Primitives are read as
    text, because one number among the titles would change the type of them all.
    """
    inferred = spark.read.option("primitivesAsString", "true").json(name).schema
    schema = T.StructType([field for field in inferred.fields if field.name != CORRUPT_COLUMN] + [T.StructField(CORRUPT_COLUMN, T.StringType())])
    lines = spark.read.text(name).where(F.trim("value") != "").select(F.col("value").alias(LINE_COLUMN))
    parsed = F.from_json(F.make_valid_utf8(LINE_COLUMN), schema, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT_COLUMN})
    return lines.select(LINE_COLUMN, parsed.alias("parsed")).select("parsed.*", LINE_COLUMN)


def _read_demo(spark: SparkSession) -> tuple[DataFrame, str]:
    """The rows of the embedded catalogue and their digest; the driver reads the files, so workers need no access to them."""
    folder = resources.files("xlclass.catalog") / "demo"
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda file: file.name) if file.name.endswith(".jsonl")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    return spark.createDataFrame(rows, _DEMO_SCHEMA), digest
