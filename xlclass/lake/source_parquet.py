"""Parquet files, Delta tables and named tables as parts of a source."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from xlclass.config import SourceSettings
from xlclass.lake.source_columns import Part, SourceColumn, mapped_columns, typed_columns
from xlclass.lake.source_files import SourceFile, literal_pattern, read_each

_TEXTS = ("video_id", "title", "description", "channel_id")


def parquet_parts(spark: SparkSession, files: Sequence[SourceFile], settings: SourceSettings, folder: str | None) -> list[Part]:
    """The parts of a source of Parquet files: files of one schema are read together, so a column may have another type in each part.

    Raises:
        SourceError: a file is damaged or no Parquet file, lacks a column that the settings name, or has it in a type that cannot be read.
    """
    paths: dict[str, list[str]] = {}
    schemas = read_each(files, lambda path: _schema(spark, path), " as Parquet", ": replace it, or move it away")
    for file, schema in zip(files, schemas, strict=True):
        paths.setdefault(schema, []).append(file.path)
    reader = spark.read.option("basePath", folder) if folder else spark.read
    return [typed_part(reader.parquet(*map(literal_pattern, alike)), settings, alike[0]) for alike in paths.values()]


def typed_part(rows: DataFrame, settings: SourceSettings, place: str) -> Part:
    """A table or files with typed columns as a part; `place` names it in messages.

    Raises:
        SourceError: it lacks a column that the settings name, or has it in a type that cannot be read.
    """
    columns = mapped_columns(typed_columns(rows.schema), settings, place)
    texts = [source.column for name, source in columns.items() if name in _TEXTS and isinstance(source.type, T.StringType)]
    return Part(
        settings,
        rows,
        columns,
        record=F.to_json(F.struct(*(_as_json(source).alias(name) for name, source in columns.items()))),
        is_unreadable=F.lit(False),
        is_undecodable=F.greatest(F.lit(False), F.lit(False), *(~F.coalesce(F.is_valid_utf8(text), F.lit(True)) for text in texts)),
        is_container={},
    )


def _as_json(source: SourceColumn) -> Column:
    return F.make_valid_utf8(source.column) if isinstance(source.type, T.StringType) else source.column


def _schema(spark: SparkSession, path: str) -> str:
    """The schema of a Parquet file as text, from its footer."""
    jvm, configuration = spark._jvm, spark._jsc.hadoopConfiguration()
    file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(jvm.org.apache.hadoop.fs.Path(path), configuration)
    opened = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
    try:
        return str(opened.getFileMetaData().getSchema().toString())
    finally:
        opened.close()
