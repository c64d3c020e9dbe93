"""An encoder that travels with the job: packed by `make dist`, unpacked on every node by `spark-submit --archives`.

A place in the settings is a path that is the same on every node, or `archive://NAME`: what `--archives FILE#NAME` unpacked.

Why the digest in the file's name: Spark passes over an archive whose path it has seen, and would keep the old model.
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


def located(place: str) -> Path:
    """Where `place` is on this node, driver or worker; asking for an archive needs Spark to run.

    Raises:
        EncoderError: no such archive was shipped.
    """
    if not place.startswith(ARCHIVE):
        return Path(place)
    inside = place.removeprefix(ARCHIVE)
    for root in _unpacked():
        if (root / inside).is_dir():
            return root / inside
    name = inside.split("/")[0]
    raise EncoderError(f"there is no {place} here: run the job by `spark-submit --archives FILE#{name}`, FILE as `make dist` names it, or give a path")


def _unpacked() -> list[Path]:
    """The folders where Spark may have unpacked this application's archives: its own, and on YARN the working directory."""
    from pyspark import SparkContext, SparkFiles

    running = SparkFiles._is_running_on_worker or SparkContext._active_spark_context
    return [Path(SparkFiles.getRootDirectory()).absolute(), Path.cwd()] if running else []


def as_shipped(spec: EncoderSpec, place: str) -> EncoderSpec:
    """`spec`, made on the driver of what lies in `place`, as every node can find it: its path begins with the place itself."""
    if not place.startswith(ARCHIVE):
        return spec
    inside = Path(spec.path).relative_to(located(place)).as_posix()
    return dataclasses.replace(spec, path=f"{place.rstrip('/')}/{inside}".removesuffix("/."))


def pack_embedded(spec: EncoderSpec, folder: Path) -> Path:
    """The embedded encoder's archive in `folder`, named by the digest of its SavedModel; equal files make equal bytes."""
    cached = Path(spec.path).parent  # the model and its recorded digest, as `embedded_encoder` looks for them under its cache
    archive = folder / f"muse-{spec.digest[:16]}.tar.gz"
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
    """Packs the embedded encoder of the settings in `conf`; where they expect an archive, it is built in the default cache.

    Raises:
        EncoderError: the settings name another encoder.
    """
    from xlclass.encoders import resolve_encoder

    settings = load_settings(conf)
    if settings.encoder.model != "embedded":
        raise EncoderError(f"{settings.file}: encoder.model: `make dist` packs the embedded encoder only; pack another with tar, its digest in the name")
    if settings.encoder.cache.startswith(ARCHIVE):
        settings = dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, cache=EncoderSettings().cache))
    pack_embedded(resolve_encoder(settings), Path(folder))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except XlclassError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
