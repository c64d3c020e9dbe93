"""Whether this machine, the lake and the executors can do what the jobs do: each thing tried, and said in a line.

`doctor.py` looks at a machine before anything is installed; here the packages are there, and a session is started.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from packaging.requirements import Requirement

from xlclass import __file__ as package_file
from xlclass.catalog import load_preparation
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import Settings, lake_root, load_settings
from xlclass.encoders import resolve_encoder
from xlclass.encoders.capacity import GIB, available_memory, require_room, size, size_text, worker_bytes
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import EncoderError, LakeError, MachineError, XlclassError
from xlclass.runtime.redaction import redacted
from xlclass.runtime.requirements import DELTA, lacking_jars, require_java
from xlclass.schemas import unpack_vectors

SENTENCE = "Les meilleurs buts de la Ligue des champions"
_MIN_COSINE = 0.9999  # of the executors' vector to the driver's, both through float16
_MOST_SECONDS = 5.0  # that two clocks may differ: times in the tables are to be compared by people
_MIN_FREE = 2 * GIB  # of a disk: what a backfill of some ten thousand videos stages
_MIN_AMOUNT = size_text(_MIN_FREE)


@dataclass(frozen=True)
class Finding:
    """What was found of one thing; `state` is ok, wrong, or skipped where it rests on something that is wrong."""

    name: str
    state: str
    text: str


@dataclass
class _Patient:
    """What is looked at, and what earlier checks found for later ones."""

    conf: str
    lake: str | None
    room: int | None = None
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.found["settings"]

    @property
    def root(self) -> str:
        return lake_root(self.settings, self.lake)

    @property
    def encoder(self) -> EncoderSpec:
        return self.found["encoder"]

    @property
    def spark(self) -> Any:
        return self.found["session"]


def examine(conf: str, lake: str | None) -> Iterator[Finding]:
    """One finding after the other, each as soon as it is known; a session is started and stopped."""
    patient = _Patient(conf, lake)
    bad: set[str] = set()
    try:
        for name, (check, rests_on) in _CHECKS.items():
            missing = [other for other in rests_on if other in bad]
            finding = Finding(name, "skipped", f"not tried, as it rests on: {', '.join(missing)}") if missing else _found(name, check, patient)
            if finding.state != "ok":
                bad.add(name)
            yield finding
    finally:
        if "session" in patient.found:
            patient.spark.stop()


def _found(name: str, check: Callable[[_Patient], str], patient: _Patient) -> Finding:
    try:
        return Finding(name, "ok", check(patient))
    except XlclassError as error:
        return Finding(name, "wrong", redacted(str(error)))
    except Exception as error:  # a broken installation fails in any way, and the other checks still say what they see
        return Finding(name, "wrong", redacted(f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"))


def _java(_: _Patient) -> str:
    return require_java()


def _packages(_: _Patient) -> str:
    """The installed versions against constraints.txt where the checkout has one, and against what xlclass itself asks for."""
    wrong = []
    try:
        wanted = [Requirement(line) for line in importlib.metadata.requires("xlclass") or [] if "extra ==" not in line]
    except importlib.metadata.PackageNotFoundError:  # a checkout or a zip on PYTHONPATH
        wanted = []
    file = Path(package_file).parents[1] / "constraints.txt"
    pinned = [Requirement(line) for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"] if file.is_file() else []
    for requirement in [*wanted, *pinned]:
        version = _version(requirement.name)
        if version is None and requirement in wanted:
            wrong.append(f"{requirement.name} is missing, {requirement.specifier} is needed")
        elif version is not None and not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, {requirement.specifier} is needed")
    if wrong:
        raise MachineError(f"{'; '.join(dict.fromkeys(wrong))}: run `pip install -c constraints.txt xlclass`, or `make setup` in a checkout")
    return f"{len(wanted)} that xlclass needs, {len(pinned)} of constraints.txt: as they must be"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _jars(_: _Patient) -> str:
    lacking = lacking_jars()
    if lacking:
        raise MachineError(f"{' and '.join(lacking)} of Delta {DELTA} lack among Spark's jars or are damaged: run `xlclass setup`")
    return f"Delta {DELTA} among Spark's jars"


def _settings(patient: _Patient) -> str:
    settings = patient.found["settings"] = load_settings(patient.conf)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    load_preparation(settings)
    return f"{settings.file}, {len(taxonomy.categories)} categories, lake {patient.root}"


def _encoder(patient: _Patient) -> str:
    spec = patient.found["encoder"] = resolve_encoder(patient.settings)
    return f"{spec.path}, digest {spec.digest[:16]} as recorded, encoder_id {spec.encoder_id[:16]}"


def _lake(patient: _Patient) -> str:
    """A file is written and removed where the lake is, or will be."""
    with _written(patient.root) as file:
        there = file.parent
    return f"{there} can be written" if there == Path(patient.root) else f"is not there yet and can be made under {there}"


def _clock(patient: _Patient) -> str:
    with _written(patient.root) as file:
        apart = file.stat().st_mtime - time.time()
    if abs(apart) > _MOST_SECONDS:
        raise MachineError(f"the clock of the lake's file system is {apart:+.1f} s from this machine's: set both by NTP, times in the tables are wrong")
    return f"{abs(apart):.1f} s between this machine and the lake's file system"


def _disk(patient: _Patient) -> str:
    places = {"lake": _nearest(patient.root), "temporary files": Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])}
    free = {name: shutil.disk_usage(place).free for name, place in places.items() if place.is_dir()}
    for name, amount in free.items():
        if amount < _MIN_FREE:
            raise MachineError(f"{size_text(amount)} are free for {name} ({places[name]}), less than {_MIN_AMOUNT}: make room, or name another place")
    return ", ".join(f"{size_text(amount)} free for {name}" for name, amount in free.items())


def _session(patient: _Patient) -> str:
    from xlclass.lake.session import open_session, require_workers

    patient.room = available_memory()  # before the session takes its part
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", "--conf spark.ui.showConsoleProgress=false pyspark-shell")  # Spark shows its own to a shell
    spark = patient.found["session"] = open_session("doctor")
    require_workers(spark)
    context = spark.sparkContext
    return f"Spark {spark.version} at {context.master}, {context.defaultParallelism} tasks at once; the workers run this Python and this xlclass"


def _memory(patient: _Patient) -> str:
    """What the plan reckons with, against what there is: this machine's memory, or what a cluster's executors are given."""
    conf, worker = patient.spark.conf, worker_bytes(patient.settings.encoder)
    if patient.spark.sparkContext.master.startswith("local"):
        cores = patient.spark.sparkContext.defaultParallelism
        require_room(cores, patient.room, size("spark.driver.memory", conf.get("spark.driver.memory", "1g")), worker)
        return f"room for {cores} Python workers of {size_text(worker)}; {size_text(patient.room or 0)} were free"
    cores, given = int(conf.get("spark.executor.cores", "1")), conf.get("spark.executor.memoryOverhead", "")
    if not given or size("spark.executor.memoryOverhead", given if given[-1].isalpha() else f"{given}m") < cores * worker:
        found = f"spark.executor.memoryOverhead is {given or 'not set'}"
        raise MachineError(f"{found}; {cores} Python workers of {size_text(worker)} live in it: see `xlclass plan`")
    return f"spark.executor.memoryOverhead {given} holds {cores} Python workers of {size_text(worker)}"


def _executors(patient: _Patient) -> str:
    """A task on each core says where it runs, what time it is there, and whether it sees the lake."""
    context, folder = patient.spark.sparkContext, str(_nearest(patient.root))

    def look(_: int) -> tuple[str, float, bool]:
        return socket.gethostname(), time.time(), os.path.isdir(folder)

    num_tasks, before = context.defaultParallelism, time.time()
    said = context.parallelize(range(num_tasks), num_tasks).map(look).collect()
    after = time.time()
    blind = sorted({host for host, _, sees in said if not sees})
    if blind:
        raise LakeError(f"{', '.join(blind)} do not see {folder}: the lake must be a path of every node, such as a mount")
    off = {host: max(before - clock, clock - after) for host, clock, _ in said}
    wrong = sorted(host for host, apart in off.items() if apart > _MOST_SECONDS)
    if wrong:
        raise MachineError(f"the clocks of {', '.join(wrong)} are more than {_MOST_SECONDS:.0f} s from the driver's: set them by NTP")
    return f"{num_tasks} tasks on {len(off)} host(s) see {folder}, their clocks agree with the driver's"


def _encoding(patient: _Patient) -> str:
    """One sentence encoded in every task, as the jobs do it, against the driver's vector of it."""
    from pyspark.sql import functions as F

    from xlclass.encoders.batches import embed_column
    from xlclass.encoders.saved_model import load_encoder
    from xlclass.encoders.udf import embed_udf
    from xlclass.pipeline.transforms import threads_of

    num_tasks = patient.spark.sparkContext.defaultParallelism
    embed = embed_udf(patient.encoder, threads_of(patient.spark))
    rows = patient.spark.range(0, num_tasks, 1, num_tasks).select(embed(F.lit(SENTENCE)).alias("vector")).collect()
    own = embed_column([SENTENCE], load_encoder(patient.encoder), 1, len(SENTENCE))
    cosine = agreement([bytes(row["vector"]) for row in rows], own[0] or b"", patient.encoder.dim)
    if not cosine >= _MIN_COSINE:
        raise EncoderError(f"an executor's vector has cosine {cosine:.4f} to the driver's (at least {_MIN_COSINE}): their TensorFlow or encoder differ")
    return f"{num_tasks} executor tasks encoded a sentence, cosine to the driver's vector {cosine:.5f}"


def agreement(packed: list[bytes], own: bytes, dim: int) -> float:
    """The lowest cosine of the packed vectors to the packed vector `own`; 0 where one is no vector.

    >>> one, other = np.array([1, 0], "<f2").tobytes(), np.array([1, 1], "<f2").tobytes()
    >>> round(agreement([one, other], one, 2), 2), agreement([b"F"], one, 2)
    (0.71, 0.0)
    """
    if any(len(vector) != 2 * dim for vector in (*packed, own)):
        return 0.0
    mine, theirs = unpack_vectors([own], dim)[0], unpack_vectors(packed, dim)
    return float((theirs @ mine / np.linalg.norm(theirs, axis=1) / np.linalg.norm(mine)).min())


@contextmanager
def _written(root: str) -> Iterator[Path]:
    """A file of a moment in the folder where the lake is, or in the nearest above that is there."""
    file = _nearest(root) / f".doctor-{uuid.uuid4().hex}"
    try:
        file.write_bytes(b"")
    except OSError as error:
        raise LakeError(f"{file.parent} cannot be written ({error.strerror}): let this user write there, or give another lake") from error
    try:
        yield file
    finally:
        file.unlink()


def _nearest(root: str) -> Path:
    """The lake's folder, or the nearest above it that is there."""
    return next(path for path in (Path(root), *Path(root).parents) if path.is_dir())


_CHECKS: dict[str, tuple[Callable[[_Patient], str], tuple[str, ...]]] = {  # name: the check, and what it rests on
    "java": (_java, ()),
    "packages": (_packages, ()),
    "jars": (_jars, ()),
    "settings": (_settings, ()),
    "lake": (_lake, ("settings",)),
    "clock": (_clock, ("lake",)),
    "disk": (_disk, ("settings",)),
    "session": (_session, ("java",)),
    "encoder": (_encoder, ("settings",)),  # after the session, which unpacks an archive
    "memory": (_memory, ("settings", "session")),
    "executors": (_executors, ("settings", "session")),
    "encoding": (_encoding, ("encoder", "session")),
}
