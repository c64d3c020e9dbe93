"""Ships an encoder with the job: `make dist` packs it, `spark-submit --archives` unpacks it on every node.

A location in the settings is a path that is the same on every node, or `archive://NAME` for what `--archives FILE#NAME` unpacked.

Why the file's name contains the digest: Spark skips an archive if it has seen the path before, and would keep the old model.
"""

from __future__ import annotations

import dataclasses
import gzip
import sys
import tarfile
from pathlib import Path

from xlclass.config import EncoderSettings, load_settings
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import EncoderError, XlclassError
from xlclass.runtime.files import file_written_whole

ARCHIVE = "archive://"


def local_path(location: str) -> Path:
    """The path of `location` on this node, driver or worker; an archive is found only while Spark runs.

    Raises:
        EncoderError: no such archive was shipped.
    """
    if not location.startswith(ARCHIVE):
        return Path(location)
    relative = location.removeprefix(ARCHIVE)
    for root in _archive_roots():
        if (root / relative).is_dir():
            return root / relative
    name = relative.split("/")[0]
    raise EncoderError(f"there is no {location} here: run the job by `spark-submit --archives FILE#{name}`, FILE as `make dist` names it, or give a path")


def _archive_roots() -> list[Path]:
    """The folders that Spark may unpack this application's archives into: its own, and on YARN the working directory."""
    from pyspark import SparkContext, SparkFiles

    is_running = SparkFiles._is_running_on_worker or SparkContext._active_spark_context
    return [Path(SparkFiles.getRootDirectory()).absolute(), Path.cwd()] if is_running else []


def with_shipped_path(spec: EncoderSpec, location: str) -> EncoderSpec:
    """`spec`, whose path on the driver lies in `location`, with a path that is valid on every node: it starts with `location`."""
    if not location.startswith(ARCHIVE):
        return spec
    relative = Path(spec.path).relative_to(local_path(location)).as_posix()
    return dataclasses.replace(spec, path=f"{location.rstrip('/')}/{relative}".removesuffix("/."))


def pack_built(spec: EncoderSpec, folder: Path) -> Path:
    """The archive of an encoder in the cache, written to `folder` under the digest of its SavedModel; equal files give equal bytes."""
    cached = Path(spec.path).parent  # the model and its recorded digest, as `built_model` looks for them
    archive = folder / f"{cached.name.split('-')[0]}-{spec.digest[:16]}.tar.gz"
    with (
        file_written_whole(archive) as draft,
        draft.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for file in sorted(p for p in cached.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(file.relative_to(cached.parent).as_posix())
            entry.size = file.stat().st_size
            with file.open("rb") as stream:
                tar.addfile(entry, stream)
    return archive


def main(conf: str, folder: str) -> None:
    """Packs the embedded encoder or the pair of the settings in `conf`; if their cache is an archive, it is built in the default cache.

    Raises:
        EncoderError: the settings name a SavedModel, which is not built in the cache.
    """
    from xlclass.encoders import resolve_encoder

    settings = load_settings(conf)
    if settings.encoder.model != "embedded" and not settings.encoder.preprocessor:
        raise EncoderError(
            f"{settings.file}: encoder.model: `make dist` packs the embedded encoder or a pair; pack another with tar, with its digest in the name"
        )
    if settings.encoder.cache.startswith(ARCHIVE):
        settings = dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, cache=EncoderSettings().cache))
    pack_built(resolve_encoder(settings), Path(folder))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except XlclassError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
