"""What encoding costs: time and memory, measured in a process of its own with one thread, and the size of the model on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
import timeit
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from xlclass.encoders.batches import embed_column
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.shipping import local_path

_ROUNDS = 2  # after one that warms up
_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
Part = tuple[EncoderSpec, Sequence[str]]  # an encoder, and the texts that it encodes


class Cost(NamedTuple):
    """Seconds that all texts took, and the peak resident memory of the process in MiB; null where the system does not report it."""

    seconds: float
    memory_mib: float | None


def measured_cost(parts: Sequence[Part]) -> Cost:
    """The cost of encoding the texts of all parts in one fresh process, with one thread and warm models, in the batches of the jobs."""
    request = json.dumps([(dataclasses.asdict(dataclasses.replace(spec, path=str(local_path(spec.path)))), list(texts)) for spec, texts in parts])
    environment = {**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-m", __name__], input=request, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def model_mib(spec: EncoderSpec) -> float:
    """The size of the encoder's files, in MiB."""
    return sum(file.stat().st_size for file in local_path(spec.path).rglob("*") if file.is_file()) / 2**20


def _encode(parts: Sequence[Part]) -> None:
    for spec, texts in parts:
        embed_column(texts, load_encoder(spec), spec.batch_texts, spec.batch_characters)


def _peak_memory_mib() -> float | None:
    """By /proc: what `resource` reports includes the memory of the process that started this one."""
    status = Path("/proc/self/status")
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="ascii"), re.MULTILINE) if status.is_file() else None
    return int(match[1]) / 1024 if match else None


def _main() -> None:
    request = json.load(sys.stdin)
    parts = [(EncoderSpec(**{**spec, "languages": tuple(spec["languages"])}), texts) for spec, texts in request]
    _encode(parts)
    seconds = min(timeit.repeat(lambda: _encode(parts), number=1, repeat=_ROUNDS))
    sys.stdout.write(json.dumps(Cost(seconds, _peak_memory_mib())._asdict()) + "\n")


if __name__ == "__main__":
    _main()
