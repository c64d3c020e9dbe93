"""The contenders; each runs as a process in its own environment, which reports its rates and whose vectors are checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from agreement import disagreement
from environments import environment

from xlclass.pipeline.chunks import encoding_tasks

SCRIPTS = Path(__file__).parent
ROOT = SCRIPTS.parents[2]
WORK = ROOT / "build" / "bench" / "peers"
CONF = ROOT / "conf" / "youtube.toml"
TIME_LIMIT = 1_800
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass
class Contender:
    """One way to encode: its script, the environment that it runs in ("" for the present one), and its options."""

    name: str
    script: str
    environment: str = ""
    texts: str = "distinct"
    tuned: bool = True
    options: dict[str, Any] = field(default_factory=dict)
    batch: int = 0
    rates: list[float | None] = field(default_factory=list)
    reason: str = ""  # why it cannot be measured; empty if it can


def contenders() -> list[Contender]:
    """All contenders; the bare loop comes first, because the others are compared with it."""
    return [
        Contender("bare_loop", "bare_loop.py"),
        Contender("xlclass", "own.py", tuned=False, options={"precision": "float32"}),
        Contender("predict_batch_udf", "predict_batch.py"),
        Contender("mlflow_spark_udf", "mlflow_udf.py", "mlflow"),
        Contender("ray_map_batches", "ray_data.py", "ray"),
        Contender("load_per_batch", "load_per_batch.py", texts="few", tuned=False, options={"arrow_records": 256}),
        Contender("load_per_4096", "load_per_batch.py", tuned=False, options={"arrow_records": 4_096}),
        Contender("load_per_10000", "load_per_batch.py", tuned=False, options={"arrow_records": 10_000, "partitions": 2}),
        Contender("xlclass_defaults", "own.py", texts="catalogue", tuned=False, options={"precision": ""}),
        Contender("xlclass_bfloat16", "own.py", texts="catalogue", tuned=False, options={"precision": "bfloat16"}, reason=_no_bfloat16()),
    ]


def _no_bfloat16() -> str:
    """The reason not to measure bfloat16; empty if the processor has it."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "" if {"amx_bf16", "avx512_bf16"} & set(flags) else "the processor has neither amx_bf16 nor avx512_bf16"


class Failed(Exception):
    """A contender failed; the message is the reason, such as the last line that its process printed."""


class Bench:
    """Runs contenders on the texts with one encoder, and checks their vectors."""

    def __init__(self, files: dict[str, Path], encoder: str) -> None:
        self.files, self.encoder = files, encoder
        self.num_texts = {name: pq.read_metadata(file).num_rows for name, file in files.items()}

    def rates(self, contender: Contender, texts: str, batches: list[int]) -> list[float]:
        """Texts per second at each batch size, each after a warm-up, all in one new process.

        Raises:
            NotInstalled, Failed: the contender cannot be measured.
        """
        python = environment(contender.environment) if contender.environment else Path(sys.executable)
        out, result, scratch = (WORK / contender.name / name for name in ("out", "seconds.json", "scratch"))
        shutil.rmtree(scratch.parent, ignore_errors=True)
        scratch.mkdir(parents=True)
        job = {
            "passes": [(str(self.files[texts]), batch) for batch in batches],
            "warm_up": str(self.files["warm_up"]),
            "encoder": self.encoder,
            "partitions": encoding_tasks(self.num_texts[texts], 2, 2_000),
            "conf": str(CONF),
            "arrow_records": batches[0],
            **{"out": str(out), "result": str(result), "scratch": str(scratch)},
            **contender.options,
        }
        (scratch / "job.json").write_text(json.dumps(job))
        _finish([str(python), str(SCRIPTS / contender.script), str(scratch / "job.json")], python, scratch)
        return [self.num_texts[texts] / seconds for seconds in json.loads(result.read_text())]

    def check(self, contender: Contender) -> None:
        """Compares the last rows of the contender with the last vectors of the bare loop.

        Raises:
            Failed: rows are missing or repeated, or vectors differ.
        """
        if contender.name == "bare_loop":
            return
        difference = disagreement(WORK / "bare_loop" / "out", WORK / contender.name / "out", self.files[contender.texts])
        if difference:
            raise Failed(difference)


def _finish(command: list[str], python: Path, scratch: Path) -> None:
    """Runs a contender's process to its end; its output goes to log.txt in the parent of `scratch`.

    Raises:
        Failed: the process ended with an error, or was killed at the time limit.
    """
    path = [str(SCRIPTS)] + ([str(ROOT)] if python == Path(sys.executable) else [])
    paths = {"PYTHONPATH": os.pathsep.join(path), "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "PYSPARK_PYTHON": str(python)}
    spark = {"PYSPARK_SUBMIT_ARGS": "--master local[2] --driver-memory 3g pyspark-shell", "SPARK_CONF_DIR": str(ROOT / "conf")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "RAY_USAGE_STATS_ENABLED": "0"}
    kept = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
    log = scratch.with_name("log.txt")
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, env=kept | paths | spark | quiet | THREADS, stdout=stream, stderr=subprocess.STDOUT, cwd=scratch, start_new_session=True
        )
        try:
            code = process.wait(TIME_LIMIT)
        except BaseException as error:  # the time limit or Ctrl-C: end its workers, too
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise Failed(f"killed after {TIME_LIMIT} s (see {log})") from error
    if code:
        raise Failed(f"exit {code}: {_reason(log.read_text(errors='replace'))} (see {log})")


def _reason(printed: str) -> str:
    """The last line that names an exception; else the last line."""
    lines = [line for line in printed.splitlines() if line.strip()] or ["no output"]
    exceptions = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (exceptions or lines)[-1][:200]
