"""Ships an encoder with the job: `make dist` packs it, `spark-submit --archives` unpacks it on every node.

A location in the settings is a path that is the same on every node, or `archive://NAME` for what `--archives FILE#NAME` unpacked.

Why the file's name contains the digest: Spark skips an archive if it has seen the path before, and would keep the old model.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import sys
import tarfile
from collections.abc import Sequence
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


def pack_built(specs: Sequence[EncoderSpec], folder: Path) -> Path:
    """The archive of encoders in the cache, written to `folder` under the digest of their SavedModels; equal files give equal bytes."""
    digest = hashlib.sha256("".join(spec.digest for spec in specs).encode()).hexdigest()
    archive = folder / f"encoders-{digest[:16]}.tar.gz"
    cached = [Path(spec.path).parent for spec in specs]  # the model and its recorded digest, as `built_model` looks for them
    with (
        file_written_whole(archive) as draft,
        draft.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for file in sorted(p for part in cached for p in part.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(file.relative_to(cached[0].parent).as_posix())
            entry.size = file.stat().st_size
            with file.open("rb") as stream:
                tar.addfile(entry, stream)
    return archive


def main(conf: str, folder: str) -> None:
    """Packs the embedded encoders or the m-BERT or XLM-R of the settings in `conf`; if their cache is an archive, they are built in the default cache.

    Raises:
        EncoderError: the settings name a SavedModel, which is not built in the cache.
    """
    from xlclass.encoders import resolve_encoders

    settings = load_settings(conf)
    if settings.encoder.model != "embedded" and not settings.encoder.preprocessor:
        raise EncoderError(
            f"{settings.file}: encoder.model: `make dist` packs the embedded encoders or a pair with a preprocessor; pack another with tar, with its "
            "digest in the name"
        )
    if settings.encoder.cache.startswith(ARCHIVE):
        settings = dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, cache=EncoderSettings().cache))
    pack_built(resolve_encoders(settings).specs, Path(folder))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except XlclassError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
