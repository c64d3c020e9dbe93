"""How big a backfill is: workers, memory, time and cost, from the size of the machines and of the catalogue.

A Python worker encodes on one core and holds a model of its own, so memory decides how many cores can work. What a worker takes
is counted as resident memory, TensorFlow's libraries included: it is what YARN and `docker stats` count, worker by worker.

Why no spark.executor.pyspark.memory: Spark makes it a limit on *address space* (RLIMIT_AS), of which a worker maps 3.5 GiB where
it holds 1.7; what the workers hold goes into spark.executor.memoryOverhead, where a cluster manager looks for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xlclass.config import EncoderSettings
from xlclass.errors import MachineError, SettingsError

MIB, GIB = 2**20, 2**30

# Measured in November 2026 on 2 cores of an AMD EPYC, TensorFlow 2.21, one thread: peak resident memory of one process that has
# loaded what the chain's workers load: 1,002 MiB with the embedded MUSE alone, 1,128 with the preparation and the detector. In
# Spark, Arrow's batches and the head come on top.
WORKER_LOADED = 1_330 * MIB
# The same while it encodes, a character of a batch (texts times the longest), of a graph that computes each token by itself: 24 x 1,000
# characters added 147 MiB in mixed languages, 288 in Chinese, 436 where each character is a token; 256 x 1,000 added 1,640 MiB.
WORKER_PER_CHARACTER = 18 * 1024
# The embedded MUSE takes 20 KiB for each distinct token of a batch: 4,096 texts of the real catalogue have 26,500 of them and added 515 MiB,
# as many of 150 words drawn at random from all its languages have 49,000 and added 1,050. At its peak a worker of tests/bench/backfill.py
# held 1,723 MiB.
WORKER_PER_BATCH = 600 * MIB

HEAP, HEAP_PER_CORE = 2 * GIB, GIB // 2  # 3 GiB for two cores, as in conf/spark-defaults.conf
MIN_OVERHEAD, OVERHEAD = 384 * MIB, 0.1  # Spark's own rule for what a JVM takes beside its heap
MOST_CORES = 16  # an executor: its heap stays at 10 GiB, far under the 32 where the JVM's pointers double

# One core, float32, end to end: from 10,000 to 100,000 rows of the real catalogue (268 characters a text) tests/bench/backfill.py took
# 0.0023 s a row and core on 2026-11-26; bfloat16 encodes faster where the processor has it (tests/bench/precision.py).
SECONDS_PER_ROW = 0.0023
COST_PER_CORE_HOUR = 0.05
TASKS_PER_WORKER = 4  # so that no core waits long for the last one
CHUNK_VIDEOS_PER_WORKER = 25_000  # a minute or two of work, against which a commit of some seconds is little


def worker_bytes(encoder: EncoderSettings) -> int:
    """Resident memory of one Python worker at its peak, with the encoder of the settings.

    >>> worker_bytes(EncoderSettings()) // MIB
    1930
    """
    from xlclass.encoders.contract import EncoderSpec  # numpy with it, which `xlclass --help` has no time for

    batch = WORKER_PER_CHARACTER * (encoder.batch_characters or EncoderSpec.batch_characters)
    if encoder.model == "embedded":
        batch = min(WORKER_PER_BATCH, batch) if encoder.batch_characters else WORKER_PER_BATCH
    return WORKER_LOADED + batch


@dataclass(frozen=True)
class CapacityPlan:
    """What a backfill needs; workers are Python workers, one a core; memory is an executor's, in bytes."""

    rows: int
    executors: int
    workers_per_executor: int
    heap_bytes: int
    python_bytes: int
    overhead_bytes: int
    seconds: float
    cost: float  # of all cores given, the idle ones too

    @property
    def workers(self) -> int:
        """Python workers of all executors."""
        return self.executors * self.workers_per_executor

    @property
    def partitions(self) -> int:
        """Tasks to cut a chunk into."""
        return TASKS_PER_WORKER * self.workers

    @property
    def chunk_videos(self) -> int:
        """Videos to commit at once."""
        return CHUNK_VIDEOS_PER_WORKER * self.workers

    @property
    def cost_per_million(self) -> float:
        """Cost of a million videos."""
        return 1e6 * self.cost / self.rows

    def settings(self) -> dict[str, str]:
        """What to tell Spark, by its own keys."""
        return {
            "spark.executor.instances": str(self.executors),
            "spark.executor.cores": str(self.workers_per_executor),
            "spark.executor.memory": f"{self.heap_bytes // MIB}m",
            "spark.executor.memoryOverhead": f"{math.ceil((self.python_bytes + self.overhead_bytes) / MIB)}m",
        }


def capacity(
    cores: int,
    memory_bytes: int,
    rows: int,
    seconds_per_row: float = SECONDS_PER_ROW,
    cost_per_core_hour: float = COST_PER_CORE_HOUR,
    worker: int | None = None,
) -> CapacityPlan:
    """The plan for `rows` videos on `cores` and `memory_bytes` of all machines together; `worker` is what one Python worker takes.

    >>> plan = capacity(cores=32, memory_bytes=64 * GIB, rows=500_000_000)
    >>> plan.executors, plan.workers_per_executor, round(plan.seconds / 3600)
    (2, 12, 13)
    >>> plan.settings()["spark.executor.memory"]
    '8192m'

    Raises:
        MachineError: not one worker fits.
    """
    worker = worker or worker_bytes(EncoderSettings())
    executors, workers = max(_shapes(cores, memory_bytes, worker), key=lambda shape: (shape[0] * shape[1], -shape[0]))
    if not workers:
        first = size_text(_needed(1, _heap(1), worker))
        raise MachineError(f"{size_text(memory_bytes)} of memory hold no Python worker with the encoder: the first takes {first} with its JVM")
    heap = _heap(workers)
    seconds = rows * seconds_per_row / (executors * workers)
    return CapacityPlan(rows, executors, workers, heap, workers * worker, _overhead(heap), seconds, cores * seconds / 3600 * cost_per_core_hour)


def _shapes(cores: int, memory_bytes: int, worker: int) -> Iterator[tuple[int, int]]:
    """How the cores can be shared out: numbers of executors with the workers that each has room for, perhaps none."""
    for executors in range(1, math.ceil(cores / MOST_CORES) + 1):
        share, most = memory_bytes // executors, min(MOST_CORES, cores // executors)
        yield executors, max((n for n in range(1, most + 1) if _needed(n, _heap(n), worker) <= share), default=0)


def require_room(cores: int, memory_bytes: int | None, heap_bytes: int, worker: int | None = None) -> None:
    """Nothing, if `cores` Python workers fit beside a JVM of `heap_bytes`, or if the memory is not known.

    Raises:
        MachineError: they do not.
    """
    worker = worker or worker_bytes(EncoderSettings())
    needed = _needed(cores, heap_bytes, worker)
    if memory_bytes is None or needed <= memory_bytes:
        return
    fitting = (memory_bytes - _needed(0, heap_bytes, worker)) // worker
    advice = f"run with spark.master local[{fitting},4]" if fitting > 0 else "lower spark.driver.memory"
    raise MachineError(
        f"{cores} Python workers with the encoder need {size_text(needed)} (a JVM heap of {size_text(heap_bytes)} included), "
        f"but {size_text(memory_bytes)} are free: {advice} or free some memory"
    )


def available_memory(meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that programs can still take on this machine, or in this container if that is less; None where the system does not say."""
    known = [room for room in (_free(meminfo), _left(group)) if room is not None]
    return min(known, default=None)


def _free(meminfo: Path) -> int | None:
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return 1024 * int(found.group(1)) if found else None


def _left(group: Path) -> int | None:
    """What a control group (version 2) leaves of its limit, cached files not counted; a container sees its own there."""
    try:
        limit, used, detail = ((group / name).read_text(encoding="ascii") for name in ("memory.max", "memory.current", "memory.stat"))
    except OSError:
        return None
    cached = re.search(r"^inactive_file (\d+)$", detail, re.MULTILINE)
    return int(limit) - int(used) + (int(cached.group(1)) if cached else 0) if limit.strip() != "max" else None


def _heap(cores: int) -> int:
    return HEAP + HEAP_PER_CORE * cores


def _overhead(heap: int) -> int:
    return max(MIN_OVERHEAD, int(OVERHEAD * heap))


def _needed(workers: int, heap: int, worker: int) -> int:
    return heap + _overhead(heap) + workers * worker


def size(option: str, text: str) -> int:
    """Bytes of the size given for `option`, as Spark writes it: 64g, 512m, 1t; a fraction is fine, a number without a unit is not.

    >>> size("--memory", "64g") // MIB, size("--memory", "1.5G") // MIB
    (65536, 1536)

    Raises:
        SettingsError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([kmgt])(?:i?b)?", text.strip().lower())
    value = int(float(found.group(1)) * 1024 ** (1 + "kmgt".index(found.group(2)))) if found else 0
    if value <= 0:
        raise SettingsError(f"{option} must be a number and its unit, such as 64g or 512m, found {text!r}")
    return value


def positive(option: str, text: str, whole: bool) -> float:
    """The number above 0 that was given for `option`; an int where it must be `whole`.

    >>> positive("--rows", "500_000", whole=True)
    500000

    Raises:
        SettingsError: it is none.
    """
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e15:  # and not nan
        raise SettingsError(f"{option} must be a {'whole ' if whole else ''}number above 0, found {text!r}")
    return value


def size_text(num_bytes: float) -> str:
    """A size to read: GiB with one decimal.

    >>> size_text(3 * GIB)
    '3.0 GiB'
    """
    return f"{num_bytes / GIB:.1f} GiB"


def described(plan: CapacityPlan) -> str:
    """The plan as lines to print."""
    total = plan.heap_bytes + plan.python_bytes + plan.overhead_bytes
    lines = {
        "workers": f"{plan.workers} Python workers, one a core, in executors: {plan.executors} of {plan.workers_per_executor}",
        "memory": f"{size_text(total)} an executor: heap {size_text(plan.heap_bytes)}, Python workers {size_text(plan.python_bytes)}, "
        f"overhead {size_text(plan.overhead_bytes)}",
        "partitions": f"{plan.partitions} a chunk of {plan.chunk_videos:,} videos (backfill.chunk_videos)",
        "time": f"{duration(plan.seconds)} for {plan.rows:,} videos",
        "cost": f"{plan.cost_per_million:.2f} per million videos, {plan.cost:,.2f} in all",
    }
    settings = [f"{key:<32}{value}" for key, value in plan.settings().items()]
    return "\n".join([*(f"{name:<12}{text}" for name, text in lines.items()), "", *settings])


def duration(seconds: float) -> str:
    """A time to read.

    >>> duration(59), duration(5_400), duration(200_000)
    ('1 minute', '1 hour 30 minutes', '2 days 7 hours')
    """
    minutes = max(1, round(seconds / 60))
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (rest, "minute")]
    said = [f"{number} {unit}{'s' if number > 1 else ''}" for number, unit in parts if number]
    return " ".join(said[:2])
