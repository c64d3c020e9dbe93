"""How long `jobs/backfill.py` takes as a whole process when there is nothing to do, and where the time goes.

One run is one `spark-submit` on the demo's lake, which is up to date, from the command to its exit. The phases come from the job's
log: `start` is spark-submit, the JVM, Python's imports and the session, until the first line; then the job's own steps; `end` is from
its last line to the exit. Processor seconds are those of the process and all below it.

With `--against CHECKOUT` the job of another checkout of this repository runs in turn with this one, on a lake of its own and with the
packages of this Python. The lakes are made once, by each checkout's main job: two minutes each.

Bar: with `--against`, the median ratio of seconds within a pair of runs is <= 0.6. Without it nothing is judged. A run that fails,
or adds a version to any table but `runs`, ends the bench. `--quick` takes two runs instead of five.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import deltalake
from _checkout import ROOT, bench_parser, job_command
from _verdict import FOLDER, verdict

BARS = {"ratio": 0.6}
_STEP = re.compile(r"(\w+): ([\d.]+) s\b")


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: of its phases by name, of the whole, and of the processor."""

    phases: dict[str, float]
    seconds: float
    processor_seconds: float


class Side:
    """A checkout and its lake."""

    def __init__(self, name: str, checkout: Path) -> None:
        self.checkout, self._lake = checkout, FOLDER / "idle_backfill" / name
        conf = checkout / "conf"  # the jobs run in their checkout: Python workers look for packages in the current folder first
        self._environment = os.environ | {"PYTHONPATH": str(checkout), "SPARK_CONF_DIR": str(conf)}
        self._arguments = ("--conf", conf / "local.toml", "--lake", self._lake, "--log", "json")

    def set_up(self) -> None:
        """Makes the lake, unless there is one that this checkout can bring up to date."""
        if self._lake.is_dir() and self._submit("backfill").returncode == 0:
            return
        shutil.rmtree(self._lake, ignore_errors=True)
        for job in ("pipeline", "backfill"):  # the second one is the warm-up
            done = self._submit(job)
            if done.returncode:
                sys.exit(f"idle_backfill: {self.checkout / 'jobs' / job}.py failed: {done.stdout[-2000:]}")

    def run(self) -> Timing:
        """One run, which must not write any row but its own in `runs`."""
        versions = self._versions()
        start = time.monotonic()
        command = job_command("backfill", *self._arguments, checkout=self.checkout)
        process = subprocess.Popen(command, cwd=self.checkout, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout
        lines = [(time.monotonic() - start, line) for line in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        if status or self._versions() != versions:
            sys.exit(f"idle_backfill: a run failed or had something to do: {''.join(line for _, line in lines)[-2000:]}")
        return Timing(_phases(lines, seconds), seconds, usage.ru_utime + usage.ru_stime)

    def _versions(self) -> dict[str, int]:
        """The newest version of each table that a run with nothing to do must not write."""
        tables = [folder.parent for folder in self._lake.glob("*/_delta_log") if folder.parent.name != "runs"]
        return {table.name: deltalake.DeltaTable(str(table)).version() for table in tables}

    def _submit(self, job: str) -> subprocess.CompletedProcess[str]:
        command = job_command(job, *self._arguments, checkout=self.checkout)
        return subprocess.run(command, cwd=self.checkout, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def _phases(lines: list[tuple[float, str]], seconds: float) -> dict[str, float]:
    """Seconds of `start`, of each step and of what lies between them, and of `end`, from the lines of a log and when they came."""
    messages = [(when, json.loads(line)["message"]) for when, line in lines if line.startswith("{")]
    steps = {step[1]: float(step[2]) for step in (_STEP.match(message) for _, message in messages) if step}
    first, last = messages[0][0], messages[-1][0]
    return {"start": first, **steps, "between": last - first - sum(steps.values()), "end": seconds - last}


def main() -> int:
    """Runs, writes build/bench/idle_backfill.json and prints the table and the verdict."""
    parser = bench_parser(__doc__, "two runs", needs_catalogue=False)
    parser.add_argument("--runs", type=int, help="5; with --quick 2")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this repository, to compare with")
    arguments = parser.parse_args()
    sides = {"this": Side("this", ROOT)}
    if arguments.against:
        sides["other"] = Side("other", arguments.against.resolve())
    for side in sides.values():
        side.set_up()
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    for i in range(arguments.runs or (2 if arguments.quick else 5)):
        for name, side in sides.items():
            timings[name].append(side.run())
        latest = {name: runs[-1] for name, runs in timings.items()}
        print(f"run {i + 1}: " + ", ".join(f"{name} {run.seconds:.1f} s ({run.processor_seconds:.1f} s of processor)" for name, run in latest.items()))
    return _verdict(timings)


def _verdict(timings: dict[str, list[Timing]]) -> int:
    medians = {name: _medians(runs) for name, runs in timings.items()}
    print(f"{'median seconds':<18}" + "".join(f"{name:>10}" for name in medians))
    for phase in dict.fromkeys(phase for side in medians.values() for phase in side):
        print(f"{phase:<18}" + "".join(f"{side[phase]:10.1f}" if phase in side else " " * 10 for side in medians.values()))
    figures = {f"{phase}_seconds": seconds for phase, seconds in medians["this"].items()}
    if "other" in timings:
        pairs = list(zip(timings["this"], timings["other"], strict=True))
        figures["ratio"] = statistics.median(this.seconds / other.seconds for this, other in pairs)
        figures["processor_ratio"] = statistics.median(this.processor_seconds / other.processor_seconds for this, other in pairs)
        print(f"ratio of processor seconds {figures['processor_ratio']:.3f}")
    bars = BARS if "other" in timings else {}
    return verdict("idle_backfill", figures, bars, at_most=BARS, medians=medians)


def _medians(runs: list[Timing]) -> dict[str, float]:
    """Median seconds by phase, then of the whole and of the processor."""
    phases = {phase: statistics.median(run.phases.get(phase, 0.0) for run in runs) for phase in runs[0].phases}
    whole, processor = (statistics.median(getattr(run, name) for run in runs) for name in ("seconds", "processor_seconds"))
    return {**phases, "whole": whole, "processor": processor}


if __name__ == "__main__":
    sys.exit(main())
