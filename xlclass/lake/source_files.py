"""The files of a source: their paths and version, and what their first bytes tell. The driver reads them through Hadoop's file systems."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from xlclass.errors import SettingsError, SourceError

HEADER_BYTES, RECORD_BYTES = 1 << 16, 1 << 20  # of a file that the driver reads, for the header of CSV and the keys of JSON
_MAX_HEADS = 1 << 24  # bytes of all files, unless a header needs more
_THREADS = 16
_T = TypeVar("_T")
_ENDINGS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "csv", ".tab": "csv"}
_COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4", ".snappy", ".deflate")  # endings that Hadoop's codecs read
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHER_FORMATS = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "unpack it, or export it as CSV"),
    b"\x1f\x8b": ("compressed by gzip without the ending .gz", "rename it, or unpack it"),
    b"PAR1": ("a Parquet file", 'set source.format = "parquet"'),
    b"Obj\x01": ("an Avro file", "convert it to Parquet"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "export it as CSV"),
    b"SQLite format 3": ("an SQLite database", "export its table as CSV"),
    b"<!doctype": ("an HTML page", "was a download refused?"),
    b"<html": ("an HTML page", "was a download refused?"),
    b"<?xml": ("an XML file", "convert it to JSON lines"),
}


@dataclass(frozen=True)
class SourceFile:
    """A file: its path as Hadoop gives it, such as file:/data/videos.csv, its size in bytes, and the time of its last change."""

    path: str
    size: int
    modified: str


@dataclass(frozen=True)
class Head:
    """A file, its first bytes after decompression, and whether it may have more."""

    file: SourceFile
    content: bytes
    is_cut: bool

    def encoding(self, setting: str) -> str:
        """The encoding that the file's byte order mark names, else the setting's."""
        return next((name for mark, name in _BYTE_ORDER_MARKS.items() if self.content.startswith(mark)), setting)

    def text(self, setting: str) -> str:
        """The content as text, without a byte order mark; what cannot be decoded is U+FFFD."""
        return self.content.decode(self.encoding(setting), errors="replace").removeprefix("\ufeff")


def list_files(spark: SparkSession, path: str) -> list[SourceFile]:
    """The files that the path names, or that lie in its folder at any depth, by path; those that start with _ or . are left out.

    Raises:
        SourceError: there is none.
    """
    pattern = literal_pattern(path) if exists(spark, path) else path
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    try:
        rows = reader.load(pattern).select("path", "length", F.col("modificationTime").cast("string")).collect()
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        raise SourceError(f"source.path: there is no {path}: correct the path, which is relative to the settings file") from None
    if not rows:
        raise SourceError(f"source.path: {path} is empty, or has no files but empty ones: correct the path, or put the catalogue there")
    return sorted((SourceFile(*row) for row in rows), key=lambda file: file.path)


def version_of(files: Iterable[SourceFile]) -> str:
    """The letter f and a digest of the files' paths, sizes and times; so it is never all digits."""
    rows = sorted((file.path, file.size, file.modified) for file in files)
    return "f" + hashlib.sha256(repr(rows).encode()).hexdigest()[:15]


def exists(spark: SparkSession, path: str) -> bool:
    """Whether a file or folder has exactly this path: then it is no pattern, even with brackets in its name."""
    file_system, hadoop_path = _located(spark, path)
    return bool(file_system.exists(hadoop_path))


def is_folder(spark: SparkSession, path: str) -> bool:
    """Whether a folder has exactly this path."""
    file_system, hadoop_path = _located(spark, path)
    return bool(file_system.exists(hadoop_path) and file_system.getFileStatus(hadoop_path).isDirectory())


def _located(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Hadoop's file system of a path, and the path as it takes it."""
    hadoop_path = spark._jvm.org.apache.hadoop.fs.Path(path)
    return hadoop_path.getFileSystem(spark._jsc.hadoopConfiguration()), hadoop_path


def literal_pattern(path: str) -> str:
    """The pattern that matches this path only."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", path)


def format_of(files: Sequence[SourceFile]) -> str:
    """The format that the endings of the files' names mean: parquet, json or csv.

    Raises:
        SourceError: a name has no known ending, or the files have several formats.
    """
    formats: dict[str, str] = {}
    for file in files:
        ending = name_ending(file.path)
        if ending not in _ENDINGS:
            known = ", ".join(_ENDINGS)
            raise SourceError(f"source.path: {file.path} has no ending of a known format ({known}): set source.format, or move the file away")
        formats.setdefault(_ENDINGS[ending], file.path)
    if len(formats) > 1:
        examples = ", ".join(f"{path} as {name}" for name, path in formats.items())
        raise SourceError(f"source.path: the files have several formats ({examples}): name the files of one format, such as data/*.csv")
    return next(iter(formats))


def name_ending(path: str) -> str:
    """The ending of a file's name in lower case, without that of a compression: .csv of Videos.CSV.gz."""
    name = PurePosixPath(path.lower())
    return PurePosixPath(name.stem).suffix if name.suffix in _COMPRESSIONS else name.suffix


def read_each(files: Sequence[SourceFile], read: Callable[[str], _T], kind: str = "", advice: str = "") -> list[_T]:
    """What `read`, which calls the JVM, gives for the path of each file, several at a time.

    Raises:
        SourceError: a file cannot be read; the sentence says as what `kind`, and ends with `advice`.
    """

    def checked(file: SourceFile) -> _T:
        try:
            return read(file.path)
        except Py4JJavaError as error:
            raise SourceError(f"source.path: {file.path} cannot be read{kind}: {error.java_exception.getMessage()}{advice}") from error

    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(checked, files))


def heads_of(spark: SparkSession, files: Sequence[SourceFile], most: int) -> list[Head]:
    """The first bytes, at most so many, of the files that are not empty.

    Raises:
        SourceError: a file cannot be read, or its bytes are of another format than text.
    """
    num_bytes = min(most, max(HEADER_BYTES, _MAX_HEADS // len(files)))
    contents = read_each(files, lambda path: _first_bytes(spark, path, num_bytes))
    heads = [Head(file, content, len(content) == num_bytes) for file, content in zip(files, contents, strict=True)]
    for head in heads:
        start = head.content[:16].lstrip().lower()
        for mark, (kind, advice) in _OTHER_FORMATS.items():
            if start.startswith(mark.lower()):
                raise SourceError(f"source.path: {head.file.path} is {kind}: {advice}")
    return [head for head in heads if head.content]


def _first_bytes(spark: SparkSession, path: str, num_bytes: int) -> bytes:
    file_system, hadoop_path = _located(spark, path)
    codec = spark._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(spark._jsc.hadoopConfiguration()).getCodec(hadoop_path)
    opened = file_system.open(hadoop_path)
    try:
        return bytes((codec.createInputStream(opened) if codec else opened).readNBytes(num_bytes))
    finally:
        opened.close()


def java_charset(spark: SparkSession, encoding: str) -> str:
    """Java's name of an encoding that Python knows.

    Raises:
        SettingsError: Java does not have it.
    """
    python_name = codecs.lookup(encoding).name
    charset = spark._jvm.java.nio.charset.Charset
    for name in (encoding, python_name, python_name.replace("utf-16-", "utf-16"), python_name.replace("utf-32-", "utf-32")):
        if charset.isSupported(name):
            return str(name)
    raise SettingsError(f"source.encoding: Spark cannot read {encoding}: convert the files to UTF-8")
