"""Checks that this machine, the lake and the executors can run the jobs; one finding per check.

`runtime/requirements.py` checks a machine before any package is installed; this module needs the packages and starts a session.
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
from xlclass.encoders import resolve_encoders
from xlclass.encoders.capacity import GIB, available_memory, format_size, parse_size, require_memory, worker_bytes
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.pair import Encoders
from xlclass.errors import EncoderError, LakeError, MachineError, XlclassError
from xlclass.runtime.redaction import redacted
from xlclass.runtime.requirements import DELTA, missing_jars, require_java
from xlclass.schemas import unpack_vectors

SENTENCE = "Les meilleurs buts de la Ligue des champions"
_MIN_COSINE = 0.9999  # between an executor's vector and the driver's, both as float16
_MAX_CLOCK_SECONDS = 5.0  # difference between two clocks; larger ones make times in the tables misleading
_MIN_FREE = 2 * GIB  # disk space that a backfill of about ten thousand videos stages
_MIN_FREE_TEXT = format_size(_MIN_FREE)


@dataclass(frozen=True)
class Finding:
    """The result of one check; `state` is ok, wrong, or skipped if a check that it needs was not ok."""

    name: str
    state: str
    text: str


@dataclass
class _Context:
    """The arguments, and the results of earlier checks that later checks use."""

    conf: str
    lake: str | None
    free_memory: int | None = None  # bytes, before the session started
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.results["settings"]

    @property
    def root(self) -> str:
        return lake_root(self.settings, self.lake)

    @property
    def encoders(self) -> Encoders:
        return self.results["encoders"]

    @property
    def spark(self) -> Any:
        return self.results["session"]


def run_checks(conf: str, lake: str | None) -> Iterator[Finding]:
    """One finding per check, yielded as soon as it is known; starts and stops a Spark session."""
    context = _Context(conf, lake)
    not_ok: set[str] = set()
    try:
        for name, (check, needed) in _CHECKS.items():
            missing = [other for other in needed if other in not_ok]
            finding = Finding(name, "skipped", f"not checked, it needs: {', '.join(missing)}") if missing else _finding(name, check, context)
            if finding.state != "ok":
                not_ok.add(name)
            yield finding
    finally:
        if "session" in context.results:
            context.spark.stop()


def _finding(name: str, check: Callable[[_Context], str], context: _Context) -> Finding:
    try:
        return Finding(name, "ok", check(context))
    except XlclassError as error:
        return Finding(name, "wrong", redacted(str(error)))
    except Exception as error:  # a broken installation can raise anything; the other checks must still run
        return Finding(name, "wrong", redacted(f"{type(error).__name__}: {(str(error).splitlines() or ['no message'])[0]}"))


def _java(_: _Context) -> str:
    return require_java()


def _packages(_: _Context) -> str:
    """Compares the installed versions with xlclass's own requirements, and with constraints.txt in a checkout."""
    problems = []
    try:
        required = [Requirement(line) for line in importlib.metadata.requires("xlclass") or [] if "extra ==" not in line]
    except importlib.metadata.PackageNotFoundError:  # a checkout or a zip on PYTHONPATH
        required = []
    file = Path(package_file).parents[1] / "constraints.txt"
    pinned = [Requirement(line) for line in file.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"] if file.is_file() else []
    for requirement in [*required, *pinned]:
        version = _version(requirement.name)
        if version is None and requirement in required:
            problems.append(f"{requirement.name} is missing, {requirement.specifier} is needed")
        elif version is not None and not requirement.specifier.contains(version, prereleases=True):
            problems.append(f"{requirement.name} is {version}, {requirement.specifier} is needed")
    if problems:
        raise MachineError(f"{'; '.join(dict.fromkeys(problems))}: run `pip install -c constraints.txt xlclass`, or `make setup` in a checkout")
    return f"all versions match: {len(required)} packages that xlclass requires, {len(pinned)} in constraints.txt"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _jars(_: _Context) -> str:
    lacking = missing_jars()
    if lacking:
        raise MachineError(f"Spark's jars lack {' and '.join(lacking)} of Delta {DELTA}, or they are damaged: run `xlclass setup`")
    return f"Delta {DELTA} is among Spark's jars"


def _settings(context: _Context) -> str:
    settings = context.results["settings"] = load_settings(context.conf)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    load_preparation(settings)
    return f"{settings.file}, {len(taxonomy.categories)} categories, lake {context.root}"


def _encoder(context: _Context) -> str:
    encoders = context.results["encoders"] = resolve_encoders(context.settings)
    return "; ".join(f"{spec.path}, digest {spec.digest[:16]} as recorded, encoder_id {spec.encoder_id[:16]}" for spec in encoders.specs)


def _lake(context: _Context) -> str:
    """Creates and removes a file in the lake's folder, or in its nearest existing parent."""
    with _probe_file(context.root) as file:
        folder = file.parent
    return f"{folder} is writable" if folder == Path(context.root) else f"{context.root} does not exist yet, {folder} is writable"


def _clock(context: _Context) -> str:
    with _probe_file(context.root) as file:
        difference = file.stat().st_mtime - time.time()
    if abs(difference) > _MAX_CLOCK_SECONDS:
        raise MachineError(f"the clock of the lake's file system differs from this machine's by {difference:+.1f} s: set both by NTP")
    return f"the clock of the lake's file system differs from this machine's by {abs(difference):.1f} s"


def _disk(context: _Context) -> str:
    folders = {"lake": _nearest(context.root), "temporary files": Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])}
    free = {name: shutil.disk_usage(folder).free for name, folder in folders.items() if folder.is_dir()}
    for name, num_bytes in free.items():
        if num_bytes < _MIN_FREE:
            raise MachineError(f"{format_size(num_bytes)} free for {name} ({folders[name]}), less than {_MIN_FREE_TEXT}: free some space or use another folder")
    return ", ".join(f"{format_size(num_bytes)} free for {name}" for name, num_bytes in free.items())


def _session(context: _Context) -> str:
    from xlclass.lake.session import open_session, require_workers

    context.free_memory = available_memory()
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", "--conf spark.ui.showConsoleProgress=false pyspark-shell")  # no progress bar among the findings
    spark = context.results["session"] = open_session("doctor")
    require_workers(spark)
    parallelism = spark.sparkContext.defaultParallelism
    return f"Spark {spark.version} on {spark.sparkContext.master}, {parallelism} parallel tasks; the workers run the driver's Python and xlclass versions"


def _memory(context: _Context) -> str:
    """Compares the plan's memory with this machine's free memory, or on a cluster with the executors' overhead memory."""
    conf, worker = context.spark.conf, worker_bytes(context.settings.encoder)
    if context.spark.sparkContext.master.startswith("local"):
        cores = context.spark.sparkContext.defaultParallelism
        require_memory(cores, context.free_memory, parse_size("spark.driver.memory", conf.get("spark.driver.memory", "1g")), worker)
        return f"{cores} Python workers of {format_size(worker)} fit into the {format_size(context.free_memory or 0)} that were free"
    cores, overhead = int(conf.get("spark.executor.cores", "1")), conf.get("spark.executor.memoryOverhead", "")
    if not overhead or parse_size("spark.executor.memoryOverhead", overhead if overhead[-1].isalpha() else f"{overhead}m") < cores * worker:
        needed = f"{cores} Python workers of {format_size(worker)}"
        raise MachineError(f"spark.executor.memoryOverhead is {overhead or 'not set'}, but must hold {needed}: `xlclass plan` prints the value")
    return f"spark.executor.memoryOverhead {overhead} holds {cores} Python workers of {format_size(worker)}"


def _executors(context: _Context) -> str:
    """Runs a task per core that returns its host, its clock, and whether it sees the lake."""
    spark_context, folder = context.spark.sparkContext, str(_nearest(context.root))

    def inspect(_: int) -> tuple[str, float, bool]:
        return socket.gethostname(), time.time(), os.path.isdir(folder)

    num_tasks, before = spark_context.defaultParallelism, time.time()
    reports = spark_context.parallelize(range(num_tasks), num_tasks).map(inspect).collect()
    after = time.time()
    without_lake = sorted({host for host, _, sees_lake in reports if not sees_lake})
    if without_lake:
        raise LakeError(f"{', '.join(without_lake)} do not see {folder}: the lake must have the same path on every node, such as a mount")
    differences = {host: max(before - clock, clock - after) for host, clock, _ in reports}
    wrong_clocks = sorted(host for host, difference in differences.items() if difference > _MAX_CLOCK_SECONDS)
    if wrong_clocks:
        raise MachineError(f"the clocks of {', '.join(wrong_clocks)} differ from the driver's by more than {_MAX_CLOCK_SECONDS:.0f} s: set them by NTP")
    return f"{num_tasks} tasks on {len(differences)} host(s) see {folder}, their clocks agree with the driver's"


def _encoding(context: _Context) -> str:
    """Encodes one sentence with each encoder in every task, as the jobs do, and compares the vectors with the driver's."""
    cosines = [_lowest_cosine(context, spec) for spec in context.encoders.specs]
    if not min(cosines) >= _MIN_COSINE:
        raise EncoderError(
            f"an executor's vector has cosine {min(cosines):.4f} to the driver's, at least {_MIN_COSINE} is expected: give both the same TensorFlow and encoder"
        )
    num_tasks = context.spark.sparkContext.defaultParallelism
    return f"{num_tasks} executor tasks encoded a sentence with each of {len(cosines)} encoders, cosine to the driver's vector {min(cosines):.5f}"


def _lowest_cosine(context: _Context, spec: EncoderSpec) -> float:
    """The lowest cosine between the vectors that every task and the driver compute for one sentence."""
    from pyspark.sql import functions as F

    from xlclass.encoders.batches import embed_column
    from xlclass.encoders.saved_model import load_encoder
    from xlclass.encoders.udf import embed_udf
    from xlclass.pipeline.transforms import threads_of

    num_tasks = context.spark.sparkContext.defaultParallelism
    embed = embed_udf(spec, threads_of(context.spark))
    rows = context.spark.range(0, num_tasks, 1, num_tasks).select(embed(F.lit(SENTENCE)).alias("vector")).collect()
    expected = embed_column([SENTENCE], load_encoder(spec), 1, len(SENTENCE))
    return lowest_cosine([bytes(row["vector"]) for row in rows], expected[0] or b"", spec.dim)


def lowest_cosine(packed: list[bytes], expected: bytes, dim: int) -> float:
    """The lowest cosine between the packed vectors and the packed vector `expected`; 0 if one has another length.

    >>> one, other = np.array([1, 0], "<f2").tobytes(), np.array([1, 1], "<f2").tobytes()
    >>> round(lowest_cosine([one, other], one, 2), 2), lowest_cosine([b"F"], one, 2)
    (0.71, 0.0)
    """
    if any(len(vector) != 2 * dim for vector in (*packed, expected)):
        return 0.0
    reference, vectors = unpack_vectors([expected], dim)[0], unpack_vectors(packed, dim)
    return float((vectors @ reference / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference)).min())


@contextmanager
def _probe_file(root: str) -> Iterator[Path]:
    """An empty file in the lake's folder or its nearest existing parent, removed afterwards.

    Raises:
        LakeError: the folder is not writable.
    """
    file = _nearest(root) / f".doctor-{uuid.uuid4().hex}"
    try:
        file.write_bytes(b"")
    except OSError as error:
        raise LakeError(f"{file.parent} cannot be written ({error.strerror}): give this user the right to write there, or use another lake") from error
    try:
        yield file
    finally:
        file.unlink()


def _nearest(root: str) -> Path:
    """The lake's folder, or its nearest parent that exists."""
    return next(path for path in (Path(root), *Path(root).parents) if path.is_dir())


_CHECKS: dict[str, tuple[Callable[[_Context], str], tuple[str, ...]]] = {  # name: the check, and the checks that it needs
    "java": (_java, ()),
    "packages": (_packages, ()),
    "jars": (_jars, ()),
    "settings": (_settings, ()),
    "lake": (_lake, ("settings",)),
    "clock": (_clock, ("lake",)),
    "disk": (_disk, ("settings",)),
    "session": (_session, ("java",)),
    "encoder": (_encoder, ("settings",)),  # after the session, which unpacks shipped archives
    "memory": (_memory, ("settings", "session")),
    "executors": (_executors, ("settings", "session")),
    "encoding": (_encoding, ("encoder", "session")),
}
