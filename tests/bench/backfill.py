"""How fast a backfill is: beside a bare loop over the same texts, when little or nothing changed, and as the catalogue grows.

The bare loop is two one-thread processes that only encode the same prepared texts, at their best batch size, without
de-duplication: neither of texts nor of tokens (`_plain_muse.py`). Beside it, and not judged, `own_loop` is the same with the
embedded encoder as it is, which computes the equal tokens of a batch once: what is left to the rest of the backfill to lose.
Rounds are paired (loops, then backfill, on the same two cores, the session started); medians of the ratios count, and medians
over the rounds of the seconds and peaks at each size. Every run comes after a warm-up, a backfill of 2,000 other rows into a lake of
its own; of the runs again, edited and rescored the first is one more, printed and not counted, and the median of the others counts.
Rows are of the real catalogue, labels and all; the head is trained before on 4,000 other rows of it.

Bars: end to end >= 0.90 of the loop's rows per second at 50,000 rows or more (`end_to_end` is at 50,000, `end_to_end_large` at
100,000); encode and write alone >= 0.95; at 100,000 rows a second run <= 5 % of the first, one with 1 % edited <= 8 %, rescoring
>= 30 times faster per row than encoding; seconds per row from 50,000 to 100,000 rows within 5 % of those from 10,000 to 50,000;
peak memory of driver, JVM and workers grows by <= 10 %.
`--quick`: a twentieth of the rows, one round, nothing judged but that every part runs. `--again`: without the loops, the first run of the
largest size and those after it only, a third of the time; the other bars are not judged.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from _verdict import verdict

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from _bare_loop import Loop  # noqa: E402  the bench runs from a checkout
from _plain_muse import plain_muse  # noqa: E402

from xlclass.catalog import load_preparation  # noqa: E402
from xlclass.catalog.taxonomy import load_taxonomy  # noqa: E402
from xlclass.config import load_settings  # noqa: E402
from xlclass.encoders import resolve_encoder  # noqa: E402
from xlclass.lake.registry import Registry  # noqa: E402
from xlclass.lake.runs import Run  # noqa: E402
from xlclass.lake.session import open_session  # noqa: E402
from xlclass.lake.sources import read_catalogue  # noqa: E402
from xlclass.lake.tables import Lake  # noqa: E402
from xlclass.pipeline.backfill import backfill, classify  # noqa: E402
from xlclass.pipeline.chunks import encoding_tasks  # noqa: E402
from xlclass.pipeline.transforms import encode_videos  # noqa: E402
from xlclass.schemas import EMBEDDINGS, MODELS, VIDEOS  # noqa: E402
from xlclass.training.train import train  # noqa: E402

LEAST = {"end_to_end": 0.90, "end_to_end_large": 0.90, "encode_and_write": 0.95, "rescoring": 30.0}
MOST = {"again": 0.05, "edited": 0.08, "marginal": 0.05, "memory_growth": 0.10}
_AGAIN = ("again", "edited", "rescoring")
_RUNS = 4  # again, edited and rescored: the first is a warm-up
FIXED_HEAP = "--driver-java-options '-Xms3g -XX:+AlwaysPreTouch' pyspark-shell"  # of conf/spark-defaults.conf: else its growth is what is measured


class Bench:
    """A session, the catalogue, the encoder, a head, and a folder for lakes."""

    def __init__(self, catalogue: Path, folder: Path) -> None:
        self.folder = folder
        os.environ["PYSPARK_SUBMIT_ARGS"] = FIXED_HEAP
        self.spark = open_session("bench")
        self.rows = pq.read_table(catalogue).to_pandas().sample(frac=1, random_state=1).drop_duplicates("video_id")
        self.write(self.rows.tail(4_000))
        self.settings = self._settings()
        self.encoder = resolve_encoder(self.settings)
        run = self.run("train")
        backfill(run, read_catalogue(self.spark, self.settings), self.encoder, None)
        self.bundle = train(run, self.encoder).load()

    def write(self, rows: pd.DataFrame) -> None:
        """`rows` as the catalogue."""
        rows.to_parquet(self.folder / "catalogue.parquet", row_group_size=10_000)

    def _settings(self):  # noqa: ANN202
        text = (ROOT / "conf" / "youtube.toml").read_text().replace("../../shared/data/youtube/catalog.parquet", "catalogue.parquet")
        text = text.replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
        text += f'\n[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"\nmin_training_videos = 20\n'
        (self.folder / "settings.toml").write_text(text)
        return load_settings(self.folder / "settings.toml")

    def run(self, name: str) -> Run:
        """A run on the lake of that name."""
        settings = self.settings
        taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
        return Run("bench", Lake(self.spark, str(self.folder / name)), settings, load_preparation(settings), taxonomy)

    def version(self, run: Run):  # noqa: ANN202
        """The head as the champion of the run's lake."""
        run.lake.ensure(MODELS)
        return Registry(run.lake.root).register(self.bundle, run.run_id)

    def backfill(self, name: str, rows: pd.DataFrame) -> tuple[float, Run]:
        """Seconds that bringing the lake of that name up to `rows` takes, from reading to the last commit."""
        self.warm_up()
        self.write(rows)
        run = self.run(name)
        version = Registry(run.lake.root).champion() if (self.folder / name).is_dir() else self.version(run)
        start = time.monotonic()
        backfill(run, read_catalogue(self.spark, self.settings), self.encoder, version)
        return time.monotonic() - start, run

    def warm_up(self) -> None:
        """Runs each step once, and lets both workers load what they need: Spark ends those that had nothing to do for a minute."""
        self.write(self.rows.tail(2_000))
        run = self.run("warm")
        backfill(run, read_catalogue(self.spark, self.settings), self.encoder, self.version(run))
        shutil.rmtree(self.folder / "warm")

    def texts(self, name: str) -> list[str]:
        """The prepared texts of a lake."""
        return [row[0] for row in Lake(self.spark, str(self.folder / name)).read(VIDEOS).where("text IS NOT NULL").select("text").collect()]

    def encode_and_write(self, name: str) -> float:
        """Seconds to encode the videos of a lake and to write their embeddings to a new table."""
        videos = Lake(self.spark, str(self.folder / name)).read(VIDEOS).selectExpr("*", "true AS is_new")
        lake = Lake(self.spark, str(self.folder / "alone"))
        lake.ensure(EMBEDDINGS)
        self.warm_up()
        start = time.monotonic()
        lake.append(EMBEDDINGS, encode_videos(videos, self.encoder, encoding_tasks(videos.count(), 2), 1))
        seconds = time.monotonic() - start
        shutil.rmtree(self.folder / "alone")
        return seconds


class Memory:
    """The resident memory of this process and all below it, in bytes, each its own, when it was largest while the block ran."""

    peak: list[int]

    def __enter__(self) -> Memory:
        self.peak, self._stopped = [], threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.5):
            self.peak = max(self.peak, _resident(), key=sum)

    @property
    def shown(self) -> str:
        """The processes at the peak by size, in MiB, small ones left out."""
        return " + ".join(f"{size >> 20}" for size in sorted(self.peak, reverse=True) if size > 100 << 20)


def _resident() -> list[int]:
    """Resident bytes of this process's family; neither the bare loop's two processes nor a fork of the JVM that is about to run a shell's command."""
    parents, sizes, commands = {}, {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            parents[int(entry.name)], sizes[int(entry.name)], commands[int(entry.name)] = int(fields[1]), 4096 * int(fields[21]), command
    family, own = [], multiprocessing.current_process().pid
    for pid, command in commands.items():
        above = pid
        while above and above != own:
            above = parents.get(above, 0)
        is_fork = b"java" in command.partition(b"\0")[0] and commands.get(parents[pid]) == command
        family += [sizes[pid]] if above == own and b"spawn_main" not in command and not is_fork else []
    return family


def main() -> int:
    """Runs all parts, writes build/bench/backfill.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows, one round, nothing judged")
    parser.add_argument("--again", action="store_true", help="only the largest size once, and the runs after it")
    given = parser.parse_args()
    if not given.catalogue.is_file():
        print(f"backfill: there is no {given.catalogue}; give --catalogue")
        return 2
    scale, rounds = (20, 1) if given.quick else (1, given.rounds)
    sizes = tuple(size // scale for size in (10_000, 50_000, 100_000))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.catalogue, Path(folder))
        figures = _first(bench, sizes[-1]) if given.again else _rounds(bench, sizes, rounds)
        figures |= _again(bench, sizes[-1])
    bars = {name: bar for name, bar in (LEAST | MOST).items() if name in _AGAIN or not given.again}
    return _verdict(figures, bars, given.quick)


def _first(bench: Bench, size: int) -> dict[str, float]:
    """The first run, that those after it are set beside."""
    seconds, run = bench.backfill(f"size{size}-0", bench.rows.head(size))
    return {"first_seconds": seconds, "encode_seconds": next(step.seconds for step in run.steps if step.name == "encode")}


def _rounds(bench: Bench, sizes: tuple[int, int, int], rounds: int) -> dict[str, object]:
    """Per round: the loops, then each size into a lake of its own; the first lake of the largest is kept for `_again`."""
    small, middle, large = sizes
    bench.write(bench.rows.head(large))  # what the bench itself takes for that is in all peaks
    bench.backfill("texts", bench.rows.head(middle))
    texts, lines = bench.texts("texts"), []
    loops = {"loop": Loop(plain_muse(bench.folder / "plain"), texts, (32, 64, 128, 256)), "own_loop": Loop(bench.encoder, texts, (256, 1_024, 4_096))}
    for i in range(rounds):
        line: dict[str, object] = {name: loop.seconds(texts) for name, loop in loops.items()} | {"seconds": {}, "memory": {}}
        for size in sizes:
            with Memory() as memory:
                line["seconds"][size], run = bench.backfill(f"size{size}-{i}", bench.rows.head(size))
            line["memory"][size] = memory.peak
            steps = {step.name: round(step.seconds, 1) for step in run.steps}
            print(f"{size:,} rows: {line['seconds'][size]:.1f} s, {sum(memory.peak) / 2**30:.2f} GiB of {memory.shown}; {steps}", flush=True)
        line |= {"steps": steps, "end_to_end": line["seconds"][middle], "encode_and_write": bench.encode_and_write(f"size{middle}-{i}")}
        print(f"round {i + 1}: " + ", ".join(f"{name} {line[name]:.1f} s" for name in (*loops, "end_to_end", "encode_and_write")), flush=True)
        lines.append(line)
    return {"rounds": lines, "batches": {name: loop.batch for name, loop in loops.items()}, "num_texts": len(texts), "num_rows": large} | _of_rounds(
        lines, *sizes
    )


def _of_rounds(lines: list[dict], small: int, middle: int, large: int) -> dict[str, float]:
    """The figures: medians of ratios within a round for what is beside the loop, medians over rounds for what grows."""
    figures = {}
    for loop, told in (("loop", ""), ("own_loop", "_to_own_loop")):
        figures |= {f"{name}{told}": statistics.median(line[loop] / line[name] for line in lines) for name in ("end_to_end", "encode_and_write")}
        figures[f"end_to_end_large{told}"] = statistics.median(line[loop] / middle * large / line["seconds"][large] for line in lines)
    seconds = {size: statistics.median(line["seconds"][size] for line in lines) for size in (small, middle, large)}
    peaks = {size: statistics.median(sum(line["memory"][size]) for line in lines) for size in (small, middle, large)}
    before, after = (seconds[middle] - seconds[small]) / (middle - small), (seconds[large] - seconds[middle]) / (large - middle)
    figures |= {"marginal": abs(after / before - 1), "memory_growth": peaks[large] / peaks[small] - 1}
    encoding = statistics.median(line["steps"]["encode"] for line in lines)
    return figures | {"median_seconds": seconds, "median_peaks": peaks, "first_seconds": seconds[large], "encode_seconds": encoding}


def _again(bench: Bench, size: int) -> dict[str, float]:
    """Seconds of runs after the first: nothing changed, 1 % edited, a new head; medians, the first of each left out."""
    name, rows = f"size{size}-0", bench.rows.head(size).copy()
    seconds: dict[str, list[float]] = {"again": [bench.backfill(name, rows)[0] for _ in range(_RUNS)], "edited": [], "rescored": []}
    for i in range(_RUNS):
        rows.loc[rows.index[i::100], "title"] += " again"
        taken, run = bench.backfill(name, rows)
        seconds["edited"].append(taken)
        print(f"edited: {taken:.1f} s; { {step.name: round(step.seconds, 1) for step in run.steps} }", flush=True)
    for i in range(_RUNS):
        bench.bundle.manifest["model_version"] = f"another{i}"
        version = bench.version(run)
        start = time.monotonic()
        classify(bench.run(name), version)
        seconds["rescored"].append(time.monotonic() - start)
    print("; ".join(f"{what} {', '.join(f'{second:.1f}' for second in those)} s" for what, those in seconds.items()), flush=True)
    return {f"{what}_seconds": statistics.median(those[1:]) for what, those in seconds.items()}


def _verdict(figures: dict, bars: dict[str, float], quick: bool) -> int:
    first = figures["first_seconds"]
    figures |= {"again": figures["again_seconds"] / first, "edited": figures["edited_seconds"] / first}
    figures["rescoring"] = figures["encode_seconds"] / figures["rescored_seconds"]
    print(", ".join([f"first run {first:.1f} s", *(f"not judged: {name} {figures[name]:.3f}" for name in figures if name.endswith("_to_own_loop"))]))
    return verdict("backfill", figures, bars, MOST, bars if quick else ())


if __name__ == "__main__":
    sys.exit(main())
