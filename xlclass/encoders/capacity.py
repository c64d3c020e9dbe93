"""Plans the capacity of a backfill: workers, memory, time and cost, from the size of the machines and of the catalogue.

A Python worker encodes on one core and loads its own copy of the model, so memory limits the number of cores that can work. The
memory of a worker is its resident memory, TensorFlow's libraries included, as YARN and `docker stats` count it per process.

Why spark.executor.pyspark.memory stays unset: Spark makes it a limit on *address space* (RLIMIT_AS), and a worker maps 3.5 GiB of
it for 1.7 GiB of resident memory. The workers' memory goes into spark.executor.memoryOverhead, which cluster managers count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xlclass.config import EncoderSettings
from xlclass.errors import MachineError, SettingsError
from xlclass.runtime.terminal import format_seconds

MIB, GIB = 2**20, 2**30

# Measured in November 2026 on 2 cores of an AMD EPYC, TensorFlow 2.21, one thread: the peak resident memory of one process after loading
# was 1,002 MiB with the embedded MUSE alone, and 1,128 with the preparation and the detector. In Spark, Arrow's batches and the head add
# to this.
WORKER_LOADED = 1_330 * MIB
# The increase while encoding, per character of a batch (texts times the longest), for a graph that computes each token separately:
# 24 x 1,000 characters added 147 MiB in mixed languages, 288 in Chinese, 436 if each character is a token; 256 x 1,000 added 1,640 MiB.
WORKER_PER_CHARACTER = 18 * 1024
# The embedded MUSE takes 20 KiB per distinct token of a batch: 4,096 texts of the real catalogue have 26,500 and added 515 MiB. As many
# texts of 150 words, drawn at random from all its languages, have 49,000 and added 1,050 MiB. The peak of a worker in
# tests/bench/backfill.py was 1,723 MiB.
WORKER_PER_BATCH = 600 * MIB

# The second encoder in the same worker: its SavedModel, and the numbers of a slice (tests/bench/every_language.py)
WORKER_E5 = 400 * MIB

HEAP, HEAP_PER_CORE = 2 * GIB, GIB // 2  # 3 GiB for two cores, as in conf/spark-defaults.conf
MIN_OVERHEAD, OVERHEAD = 384 * MIB, 0.1  # Spark's own rule for a JVM's memory outside its heap
MAX_CORES = 16  # of an executor: its heap stays at 10 GiB, far below the 32 GiB from which the JVM's pointers double

# End to end in float32, from 10,000 to 100,000 rows of the real catalogue (268 characters per text): tests/bench/backfill.py took
# 0.0023 s per row and core on 2026-11-26. Processors with bfloat16 encode faster in it (tests/bench/precision.py).
SECONDS_PER_ROW = 0.0023
# The same for a row that e5 encodes: tests/bench/every_language.py
SECONDS_PER_ROW_E5 = 0.029
SECOND_SHARE = 0.1  # of the videos, in languages that MUSE does not know, where nothing is said of them
COST_PER_CORE_HOUR = 0.05
TASKS_PER_WORKER = 4  # small tasks, so that no core waits long for the last one
CHUNK_VIDEOS_PER_WORKER = 25_000  # one or two minutes of work; a commit takes only some seconds


def worker_bytes(encoder: EncoderSettings) -> int:
    """Peak resident memory of one Python worker with the encoders of the settings.

    >>> worker_bytes(EncoderSettings()) // MIB, worker_bytes(EncoderSettings(extension="none")) // MIB
    (2330, 1930)
    """
    from xlclass.encoders.contract import EncoderSpec  # imports numpy, too slow for `xlclass --help`

    batch = WORKER_PER_CHARACTER * (encoder.batch_characters or EncoderSpec.batch_characters)
    if encoder.model == "embedded":
        batch = min(WORKER_PER_BATCH, batch) if encoder.batch_characters else WORKER_PER_BATCH
        return WORKER_LOADED + batch + (0 if encoder.extension == "none" else WORKER_E5)
    return WORKER_LOADED + batch


def seconds_per_row(encoder: EncoderSettings, second_share: float = SECOND_SHARE) -> float:
    """Seconds that one core takes for a video, if `second_share` of the videos, 0 to 1, are in languages that MUSE does not know.

    >>> round(seconds_per_row(EncoderSettings(), 0.5), 4), seconds_per_row(EncoderSettings(extension="none"), 0.5)
    (0.0157, 0.0023)
    """
    if encoder.model != "embedded" or encoder.extension == "none":
        return SECONDS_PER_ROW
    return SECONDS_PER_ROW + SECONDS_PER_ROW_E5 if encoder.extension == "both" else (1 - second_share) * SECONDS_PER_ROW + second_share * SECONDS_PER_ROW_E5


def second_share(languages: str) -> float:
    """The share of the videos in languages that MUSE does not know, from "en=60,cs=30": a weight for each language.

    >>> second_share("en=60,cs=30,hi=10")
    0.4

    Raises:
        SettingsError: `languages` is no such list.
    """
    from xlclass.encoders.muse.build import LANGUAGES

    weights: dict[str, float] = {}
    for part in languages.split(","):
        code, sign, weight = part.strip().partition("=")
        if not (code and sign):
            raise SettingsError(f"--languages must give a weight for each language, such as en=60,cs=30, found {part!r}")
        weights[code] = parse_positive(f"--languages {code}", weight, whole=False)
    return sum(weight for code, weight in weights.items() if code not in LANGUAGES) / sum(weights.values())


@dataclass(frozen=True)
class CapacityPlan:
    """The resources of a backfill: one Python worker per core; the bytes are those of one executor."""

    rows: int
    executors: int
    workers_per_executor: int
    heap_bytes: int
    python_bytes: int
    overhead_bytes: int
    seconds: float
    cost: float  # of all cores, idle ones included

    @property
    def workers(self) -> int:
        """Number of Python workers in all executors."""
        return self.executors * self.workers_per_executor

    @property
    def partitions(self) -> int:
        """Number of tasks per chunk."""
        return TASKS_PER_WORKER * self.workers

    @property
    def chunk_videos(self) -> int:
        """Number of videos per commit."""
        return CHUNK_VIDEOS_PER_WORKER * self.workers

    @property
    def cost_per_million(self) -> float:
        """Cost of a million videos."""
        return 1e6 * self.cost / self.rows

    def spark_settings(self) -> dict[str, str]:
        """The plan as settings of Spark."""
        return {
            "spark.executor.instances": str(self.executors),
            "spark.executor.cores": str(self.workers_per_executor),
            "spark.executor.memory": f"{self.heap_bytes // MIB}m",
            "spark.executor.memoryOverhead": f"{math.ceil((self.python_bytes + self.overhead_bytes) / MIB)}m",
        }


def plan_capacity(
    cores: int,
    memory_bytes: int,
    rows: int,
    seconds_per_row: float = SECONDS_PER_ROW,
    cost_per_core_hour: float = COST_PER_CORE_HOUR,
    bytes_per_worker: int | None = None,
) -> CapacityPlan:
    """The plan for `rows` videos; `cores` and `memory_bytes` are those of all machines together.

    >>> plan = plan_capacity(cores=32, memory_bytes=64 * GIB, rows=500_000_000)
    >>> plan.executors, plan.workers_per_executor, round(plan.seconds / 3600)
    (2, 10, 16)
    >>> plan.spark_settings()["spark.executor.memory"]
    '7168m'

    Raises:
        MachineError: the memory is too small for one worker.
    """
    bytes_per_worker = bytes_per_worker or worker_bytes(EncoderSettings())
    executors, workers = max(_layouts(cores, memory_bytes, bytes_per_worker), key=lambda layout: (layout[0] * layout[1], -layout[0]))
    if not workers:
        needed = format_size(_executor_bytes(1, _heap(1), bytes_per_worker))
        raise MachineError(f"a Python worker with the encoder and its JVM need {needed}, but there are {format_size(memory_bytes)}: give more memory")
    heap = _heap(workers)
    seconds = rows * seconds_per_row / (executors * workers)
    return CapacityPlan(rows, executors, workers, heap, workers * bytes_per_worker, _overhead(heap), seconds, cores * seconds / 3600 * cost_per_core_hour)


def _layouts(cores: int, memory_bytes: int, bytes_per_worker: int) -> Iterator[tuple[int, int]]:
    """Possible numbers of executors, each with the number of workers that fit into one executor, perhaps 0."""
    for executors in range(1, math.ceil(cores / MAX_CORES) + 1):
        max_bytes, max_workers = memory_bytes // executors, min(MAX_CORES, cores // executors)
        yield executors, max((n for n in range(1, max_workers + 1) if _executor_bytes(n, _heap(n), bytes_per_worker) <= max_bytes), default=0)


def require_memory(cores: int, memory_bytes: int | None, heap_bytes: int, bytes_per_worker: int | None = None) -> None:
    """Checks that `cores` Python workers and a JVM with `heap_bytes` fit into the memory, unless it is unknown.

    Raises:
        MachineError: they do not fit.
    """
    bytes_per_worker = bytes_per_worker or worker_bytes(EncoderSettings())
    needed = _executor_bytes(cores, heap_bytes, bytes_per_worker)
    if memory_bytes is None or needed <= memory_bytes:
        return
    num_fitting = (memory_bytes - _executor_bytes(0, heap_bytes, bytes_per_worker)) // bytes_per_worker
    advice = f"run with spark.master local[{num_fitting},4]" if num_fitting > 0 else "lower spark.driver.memory"
    raise MachineError(
        f"{cores} Python workers with the encoder need {format_size(needed)} (a JVM heap of {format_size(heap_bytes)} included), "
        f"but {format_size(memory_bytes)} are free: {advice} or free some memory"
    )


def available_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Free bytes of this machine, or of this container if it has fewer; None if the system reports neither."""
    free = [num_bytes for num_bytes in (_free_of_machine(meminfo), _free_of_group(group)) if num_bytes is not None]
    return min(free, default=None)


def _free_of_machine(meminfo: Path) -> int | None:
    try:
        match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(match[1]) if match else None


def _free_of_group(group: Path) -> int | None:
    """Free bytes below the limit of a control group (version 2), cached files included; a container finds its own group there."""
    try:
        limit, used, detail = ((group / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current", "memory.stat"))
    except OSError:
        return None
    cached = re.search(r"^inactive_file (\d+)$", detail, re.MULTILINE)
    return int(limit) - int(used) + (int(cached[1]) if cached else 0) if limit.strip() != "max" else None


def _heap(cores: int) -> int:
    return HEAP + HEAP_PER_CORE * cores


def _overhead(heap: int) -> int:
    return max(MIN_OVERHEAD, int(OVERHEAD * heap))


def _executor_bytes(workers: int, heap: int, bytes_per_worker: int) -> int:
    return heap + _overhead(heap) + workers * bytes_per_worker


def parse_size(option: str, text: str) -> int:
    """Bytes of a size in Spark's notation (64g, 512m, 1t), the value of `option`; fractions are allowed, the unit is required.

    >>> parse_size("--memory", "64g") // MIB, parse_size("--memory", "1.5G") // MIB
    (65536, 1536)

    Raises:
        SettingsError: `text` is not a size above 0.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([kmgt])(?:i?b)?", text.strip().lower())
    value = int(float(match[1]) * 1024 ** (1 + "kmgt".index(match[2]))) if match else 0
    if value <= 0:
        raise SettingsError(f"{option} must be a number and its unit, such as 64g or 512m, found {text!r}")
    return value


def parse_positive(option: str, text: str, whole: bool) -> float:
    """The value of `option`, a number above 0; an int if it must be `whole`.

    >>> parse_positive("--rows", "500_000", whole=True)
    500000

    Raises:
        SettingsError: `text` is not such a number.
    """
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e15:  # false for nan
        raise SettingsError(f"{option} must be a {'whole ' if whole else ''}number above 0, found {text!r}")
    return value


def format_size(num_bytes: float) -> str:
    """A size in GiB with one decimal.

    >>> format_size(3 * GIB)
    '3.0 GiB'
    """
    return f"{num_bytes / GIB:.1f} GiB"


def format_plan(plan: CapacityPlan) -> str:
    """The plan as lines to print."""
    total = plan.heap_bytes + plan.python_bytes + plan.overhead_bytes
    lines = {
        "workers": f"{plan.workers} Python workers, one per core; executors: {plan.executors} with {plan.workers_per_executor} workers each",
        "memory": f"{format_size(total)} per executor: heap {format_size(plan.heap_bytes)}, Python workers {format_size(plan.python_bytes)}, "
        f"overhead {format_size(plan.overhead_bytes)}",
        "partitions": f"{plan.partitions} per chunk of {plan.chunk_videos:,} videos (backfill.chunk_videos)",
        "time": f"{format_seconds(plan.seconds)} for {plan.rows:,} videos",
        "cost": f"{plan.cost_per_million:.2f} per million videos, {plan.cost:,.2f} in total",
    }
    settings = [f"{key:<32}{value}" for key, value in plan.spark_settings().items()]
    return "\n".join([*(f"{name:<12}{text}" for name, text in lines.items()), "", *settings])
