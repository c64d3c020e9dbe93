"""The catalogue, wherever it is: Delta, Parquet, JSON lines, CSV, a table, or the embedded demo, as rows of one shape."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import reduce
from importlib import resources

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import Settings
from xlclass.errors import SourceError
from xlclass.runtime.redaction import redacted

_LISTS = ("tags", "countries", "labels", "visual_vector")
_FORMATS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv"}
_KINDS = {"updated_at": "timestamp", "visual_vector": "array<float>"}
_CORRUPT = "_corrupt_record"  # where Spark keeps a row that it cannot parse
_WANTED = "_wanted"  # the ids that a part of the source is read for
_BETWEEN = "\x1f"  # stands between the parts of a list that are joined; one that holds it is only looked at closer
_LINE = "_line"  # a row of JSON lines as it stands in the file
_CSV = {"header": "true", "multiLine": "true", "quote": '"', "escape": '"', "columnNameOfCorruptRecord": _CORRUPT}
_LONE_SURROGATE = r"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f]"  # half a character, as JSON may write it
_DEMO_SCHEMA = (
    "video_id string, title string, tags array<string>, description string, channel_id string, channel string, "
    "language string, country string, labels array<string>, updated_at string"
)


@dataclass(frozen=True)
class Catalogue:
    """The source's rows, a name for people, and a version that changes when the rows may have.

    Columns of `rows`: video_id, title, description, channel_id, language string; tags, countries, labels array<string>;
    visual_vector array<float>, with null for what is no number; updated_at timestamp; row string (the source's row as
    JSON); row_digest string (its sha256); and for the rules unreadable (the row could not be parsed), has_time (it says
    something for updated_at), invalid_text (it has bytes that are no UTF-8, replaced here) boolean. What the source lacks
    is null. `raw` is the source as it is, and `columns` what makes it `rows`, the video_id first.
    """

    rows: DataFrame
    name: str
    version: str
    kind: str
    raw: DataFrame
    columns: list[Column]

    @property
    def shown_name(self) -> str:
        """The name for the lake's tables and for messages: without the secrets that a URL may hold."""
        return redacted(self.name)

    @property
    def is_pinned(self) -> bool:
        """Whether it is a Delta table, read at its version whatever happens to it meanwhile."""
        return self.kind in ("delta", "table") and self.version.isdigit()

    def require_unchanged(self) -> None:
        """Makes sure that what was read is still what is there; a Delta table is read at its version, so it may change.

        Raises:
            SourceError: files came, went or changed since `read_catalogue`.
        """
        if self.kind == "demo" or self.is_pinned:
            return
        if _version(self.rows.sparkSession, self.name, self.kind) != self.version:
            raise SourceError(f"the source {self.shown_name} changed while it was read: nothing of it was used; run it again when it is complete")

    def rows_of(self, ids: DataFrame) -> DataFrame:
        """Those of `rows` whose video_id is among `ids`; of the others nothing is looked at but the id."""
        wanted = ids.select(F.col("video_id").alias(_WANTED))
        return _selected(self.raw.join(wanted, self.columns[0] == F.col(_WANTED), how="left_semi"), self.columns)

    def deleted_since(self, version: str) -> DataFrame | None:
        """The ids (column `video_id`) that a Delta source with a change feed deleted after its `version`; null where none tells."""
        if not (self.is_pinned and version.isdigit()) or int(version) >= int(self.version):
            return None
        spark = self.rows.sparkSession
        table = DeltaTable.forName(spark, self.name) if self.kind == "table" else DeltaTable.forPath(spark, self.name)
        if table.detail().first()["properties"].get("delta.enableChangeDataFeed") != "true":
            return None
        reader = spark.read.option("readChangeFeed", "true").option("startingVersion", int(version) + 1).option("endingVersion", int(self.version))
        changes = reader.table(self.name) if self.kind == "table" else reader.format("delta").load(self.name)
        deleted = changes.where("_change_type = 'delete'").select(self.columns[0]).distinct()
        return deleted.join(self.rows.select("video_id"), "video_id", how="left_anti")


def read_catalogue(spark: SparkSession, settings: Settings) -> Catalogue:
    """The catalogue that the settings name, nothing of it read yet but its schema and version.

    Raises:
        SourceError: it is not there, cannot be read, or lacks a column that the settings name.
    """
    given = settings.source
    if given.path == "demo":
        raw, name, version = _demo(spark)
        kind = "demo"
    else:
        name = given.path if given.format == "table" else settings.resolve(given.path)
        kind = given.format
        try:
            kind = kind if kind != "auto" else _kind(spark, name)
            version = _version(spark, name, kind)
            raw = _load(spark, name, kind, version)
        except (PySparkException, Py4JJavaError) as error:
            raise SourceError(
                f"{settings.file}: source.path: cannot read {name} as {'Delta or Parquet' if kind == 'auto' else kind}: {str(error).splitlines()[0]}"
            ) from error
    columns = _canonical(raw, settings)
    return Catalogue(_selected(raw, columns), name, version, kind, raw, columns)


def _load(spark: SparkSession, name: str, kind: str, version: str) -> DataFrame:
    """The source as it is, a Delta table as it was at `version`; rows that cannot be parsed are kept in a column of their own."""
    if version.isdigit():
        pinned = spark.read.option("versionAsOf", version)
        return pinned.table(name) if kind == "table" else pinned.format("delta").load(name)
    if kind == "table":
        return spark.table(name)
    if kind == "json":
        return _load_lines(spark, name)
    reader = spark.read.format(kind)
    if kind == "csv":  # only with a schema does Spark keep the rows of too few or too many fields apart
        names = reader.options(**_CSV).load(name).columns
        reader = reader.options(**_CSV).schema(T.StructType([T.StructField(column, T.StringType()) for column in [*names, _CORRUPT]]))
    return reader.load(name)


def _load_lines(spark: SparkSession, name: str) -> DataFrame:
    """JSON lines, each kept as it stands: Spark's own reader gives a line up for one byte that is no UTF-8.

    Primitives are read as text: one number among the titles must not change the type of all.
    """
    found = spark.read.option("primitivesAsString", "true").json(name).schema
    schema = T.StructType([field for field in found.fields if field.name != _CORRUPT] + [T.StructField(_CORRUPT, T.StringType())])
    lines = spark.read.text(name).where(F.trim("value") != "").select(F.col("value").alias(_LINE))
    parsed = F.from_json(F.make_valid_utf8(_LINE), schema, {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": _CORRUPT})
    return lines.select(_LINE, parsed.alias("parsed")).select("parsed.*", _LINE)


def _demo(spark: SparkSession) -> tuple[DataFrame, str, str]:
    """The embedded catalogue; read on the driver, so that it is there on any cluster."""
    folder = resources.files("xlclass.catalog") / "demo"
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.iterdir(), key=lambda f: f.name) if file.name.endswith(".jsonl")]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    return spark.createDataFrame(rows, _DEMO_SCHEMA), "demo", digest


def _kind(spark: SparkSession, path: str) -> str:
    """The format by the path's ending, or Delta by its log."""
    lowered = path.lower()
    by_ending = next((kind for ending, kind in _FORMATS.items() if lowered.removesuffix(".gz").endswith(ending)), None)
    return by_ending or ("delta" if DeltaTable.isDeltaTable(spark, path) else "parquet")


def _version(spark: SparkSession, name: str, kind: str) -> str:
    """Delta's version; of plain files a digest of their paths, sizes and times."""
    table = _delta_table(spark, name, kind)
    if table:
        return str(table.history(1).select("version").first()[0])
    paths = spark.table(name).inputFiles() if kind == "table" else name
    files = spark.read.format("binaryFile").load(paths).select("path", "length", F.col("modificationTime").cast("string"))
    return "f" + hashlib.sha256(repr(sorted(map(tuple, files.collect()))).encode()).hexdigest()[:15]  # never all digits, as Delta's are


def _delta_table(spark: SparkSession, name: str, kind: str) -> DeltaTable | None:
    """The source as a Delta table; null where a table is of another format, or a view."""
    if kind == "delta":
        return DeltaTable.forPath(spark, name)
    try:
        return DeltaTable.forName(spark, name) if kind == "table" else None
    except AnalysisException:  # the table is there, as its rows were found; it is no Delta table
        return None


def _canonical(raw: DataFrame, settings: Settings) -> list[Column]:
    """The columns of `Catalogue.rows` but for the row's digest, of the source's."""
    wanted = asdict(settings.source.columns)
    columns = {name: _found(raw, source, name, settings) for name, source in wanted.items() if source}
    row = F.make_valid_utf8(_LINE) if _LINE in raw.columns else F.to_json(F.struct(*(F.col(f"`{name}`") for name in raw.columns)))
    selected = [_typed(name, columns.get(name), settings.source.delimiter).alias(name) for name in wanted]
    checks = {
        "unreadable": F.col(_CORRUPT).isNotNull() if _CORRUPT in raw.columns else F.lit(False),
        "has_time": columns["updated_at"][0].isNotNull() if "updated_at" in columns else F.lit(False),
        "invalid_text": _invalid_text(raw, columns),
    }
    flags = [check.alias(name) for name, check in checks.items()]
    return [*selected, row.alias("row"), *flags]


def _selected(raw: DataFrame, columns: list[Column]) -> DataFrame:
    return raw.select(*columns).withColumn("row_digest", F.sha2("row", 256))


def _invalid_text(raw: DataFrame, columns: dict[str, tuple[Column, T.DataType]]) -> Column:
    """Whether the row holds bytes that are no UTF-8, or half a character."""
    if _LINE in raw.columns:
        return ~F.is_valid_utf8(_LINE) | F.coalesce(F.rlike(_LINE, F.lit(_LONE_SURROGATE)), F.lit(False))
    texts = [columns[name][0].cast("string") for name in ("video_id", "title", "description", "channel_id") if name in columns]
    return F.greatest(F.lit(False), *(~F.coalesce(F.is_valid_utf8(text), F.lit(True)) for text in texts))


def _found(raw: DataFrame, source: str, name: str, settings: Settings) -> tuple[Column, T.DataType]:
    """The column that the settings name, and its type."""
    column = F.col(f"`{source}`" if source in raw.columns else source)
    try:  # Spark is asked, which takes it 20 ms, only where it is a part of a struct or of another case
        kind = raw.schema[source].dataType if source in raw.columns else raw.select(column).schema[0].dataType
    except PySparkException:
        found = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in raw.schema.fields)
        raise SourceError(f"{settings.file}: source.columns.{name}: the source has no column {source}; it has {found}") from None
    is_list = isinstance(kind, T.ArrayType)
    if isinstance(kind, T.MapType | T.StructType | T.BinaryType | T.BooleanType) or (is_list and name not in _LISTS):
        expected = ("a list of numbers" if name == "visual_vector" else "text or a list of texts") if name in _LISTS else "text or a number"
        raise SourceError(f"{settings.file}: source.columns.{name}: the column {source} is {kind.simpleString()}; expected {expected}")
    return column, kind


def _typed(name: str, found: tuple[Column, T.DataType] | None, delimiter: str) -> Column:
    """A source column as the type that the chain works with; what cannot be cast becomes null."""
    kind = _KINDS.get(name, "array<string>" if name in _LISTS else "string")
    if found is None:
        return F.lit(None).cast(kind)
    column, source = found
    if name not in _LISTS:
        if kind == "timestamp":
            return column.try_cast(kind)
        text = F.make_valid_utf8(column.cast("string"))
        return F.nullif(F.trim(text), F.lit("")) if name.endswith("_id") else text  # no channel is not one channel
    is_list = isinstance(source, T.ArrayType)
    parts = column.cast("array<string>") if is_list else F.split(column.cast("string"), "\\Q" + delimiter + "\\E")
    if name == "visual_vector":
        return F.transform(parts, lambda part: part.try_cast("float"))
    return _tidied(parts)


def _tidied(parts: Column) -> Column:
    """The parts that say something, as UTF-8 and trimmed.

    Spark interprets what it does to each part, the mending by reflection: so all are looked at as one text first.
    """
    joined = F.concat(F.lit(_BETWEEN), F.array_join(parts, _BETWEEN, " "), F.lit(_BETWEEN))  # null and empty parts show as well
    is_valid = F.is_valid_utf8(joined)
    is_tidy = ~reduce(Column.__or__, (F.contains(joined, F.lit(pair)) for pair in (_BETWEEN * 2, _BETWEEN + " ", " " + _BETWEEN)))
    mended = F.when(is_valid, parts).otherwise(F.transform(parts, F.make_valid_utf8))
    trimmed = F.filter(F.transform(mended, lambda part: F.trim(part)), lambda part: part != "")
    return F.when((F.size(parts) == 0) | (is_valid & is_tidy), parts).otherwise(trimmed)
