"""How fast a backfill is: next to a bare loop over the same texts, when little or nothing changed, and as the catalogue grows.

The bare loop is two one-thread processes that only encode the same prepared texts, at their best batch size, without any
de-duplication, neither of texts nor of tokens (`_plain_muse.py`). `own_loop`, which is not judged, does the same with the embedded
encoder as it is, which computes the equal tokens of a batch once: it shows what the rest of the backfill costs.
Rounds are paired (loops, then backfill, on the same two cores, with the session started). The figures are medians of the ratios, and
medians over the rounds of the seconds and peaks at each size. Every run follows a warm-up: a backfill of 2,000 other rows into a lake
of its own. Of the runs called again, edited and rescored, the first is one more warm-up, printed and not counted; the median of the
others counts. The rows are of the real catalogue, with its labels; the head is trained beforehand on 4,000 other rows of it.

Bars: end to end >= 0.90 of the loop's rows per second at 50,000 rows or more (`end_to_end` is at 50,000, `end_to_end_large` at
100,000); encode and write alone >= 0.95; at 100,000 rows a second run <= 5 % of the first, one with 1 % edited <= 8 %, rescoring
>= 30 times faster per row than encoding; seconds per row from 50,000 to 100,000 rows within 5 % of those from 10,000 to 50,000;
peak memory of driver, JVM and workers grows by <= 10 %.
`--again` runs no loops, only the first run of the largest size and those after it, in a third of the time; the other bars are not judged.
`--quick` takes 200, 1,000 and 2,000 rows, one round, one warm-up and one batch size, and judges nothing: on so few rows the fixed seconds
of a commit hide what the bars are about. It shows that every part runs.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
from _bare_loop import Loop
from _checkout import ROOT, bench_parser, require_catalogue
from _memory import Memory
from _plain_muse import plain_muse
from _verdict import verdict
from pyspark.sql import functions as F

from xlclass.catalog import load_preparation
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import Settings, load_settings
from xlclass.encoders import resolve_encoders
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.lake.session import open_session
from xlclass.lake.sources import read_catalogue
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.backfill import backfill, classify
from xlclass.pipeline.chunks import encoding_tasks
from xlclass.pipeline.transforms import encode_videos
from xlclass.schemas import EMBEDDINGS, MODELS, VIDEOS
from xlclass.training.train import train

AT_LEAST = {"end_to_end": 0.90, "end_to_end_large": 0.90, "encode_and_write": 0.95, "rescoring": 30.0}
AT_MOST = {"again": 0.05, "edited": 0.08, "marginal": 0.05, "memory_growth": 0.10}
_AGAIN = ("again", "edited", "rescoring")
SIZES, QUICK_SIZES = (10_000, 50_000, 100_000), (200, 1_000, 2_000)
FIXED_HEAP = "--driver-java-options '-Xms3g -XX:+AlwaysPreTouch' pyspark-shell"  # as in conf/spark-defaults.conf: else the peaks show the heap's growth


class Bench:
    """A session, the catalogue, the encoder, a trained head, and a folder for lakes."""

    def __init__(self, catalogue: Path, folder: Path, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        os.environ["PYSPARK_SUBMIT_ARGS"] = FIXED_HEAP
        self.spark = open_session("bench")
        self.rows = pq.read_table(catalogue).to_pandas().sample(frac=1, random_state=1).drop_duplicates("video_id")
        self.write(self.rows.tail(2_000 if quick else 4_000))
        self.settings = self._settings()
        self.encoders = resolve_encoders(self.settings)
        run = self.run("train")
        backfill(run, read_catalogue(self.spark, self.settings), [self.encoders], None)
        self.bundle = train(run, self.encoders).load()
        if quick:
            self._warm_up()

    def write(self, rows: pd.DataFrame) -> None:
        """Makes `rows` the catalogue."""
        rows.to_parquet(self.folder / "catalogue.parquet", row_group_size=10_000)

    def run(self, name: str) -> Run:
        """A run on the lake of that name."""
        settings = self.settings
        taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
        return Run("bench", Lake(self.spark, str(self.folder / name)), settings, load_preparation(settings), taxonomy)

    def version(self, run: Run) -> ModelVersion:
        """The head as the champion of the run's lake."""
        run.lake.ensure(MODELS)
        return Registry(run.lake.root).register(self.bundle, run.run_id)

    def backfill(self, name: str, rows: pd.DataFrame) -> tuple[float, Run]:
        """Seconds to bring the lake of that name up to `rows`, from reading them to the last commit."""
        if not self.quick:
            self._warm_up()
        self.write(rows)
        run = self.run(name)
        version = Registry(run.lake.root).champion() if (self.folder / name).is_dir() else self.version(run)
        start = time.monotonic()
        backfill(run, read_catalogue(self.spark, self.settings), [self.encoders], version)
        return time.monotonic() - start, run

    def texts(self, name: str) -> list[str]:
        """The prepared texts of a lake."""
        return [row[0] for row in Lake(self.spark, str(self.folder / name)).read(VIDEOS).where("text IS NOT NULL").select("text").collect()]

    def encode_and_write(self, name: str) -> float:
        """Seconds to encode the videos of a lake and to write their embeddings to a new table."""
        videos = (
            Lake(self.spark, str(self.folder / name))
            .read(VIDEOS)
            .selectExpr("*", "true AS is_new")
            .withColumn("encoder_id", F.lit(self.encoders.main.encoder_id))
        )
        lake = Lake(self.spark, str(self.folder / "alone"))
        lake.ensure(EMBEDDINGS)
        if not self.quick:
            self._warm_up()
        start = time.monotonic()
        lake.append(EMBEDDINGS, encode_videos(videos, self.encoders.main, encoding_tasks(videos.count(), 2, self.encoders.main.task_texts), 1))
        seconds = time.monotonic() - start
        shutil.rmtree(self.folder / "alone")
        return seconds

    def _settings(self) -> Settings:
        text = (ROOT / "conf" / "youtube.toml").read_text().replace("../../shared/data/youtube/catalog.parquet", "catalogue.parquet")
        text = text.replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
        text += f'\n[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"\nmin_training_videos = {10 if self.quick else 20}\n'
        text += '\n[encoder]\nextension = "none"\n'  # the baseline encodes with MUSE alone; tests/bench/every_language.py measures the pair
        (self.folder / "settings.toml").write_text(text)
        return load_settings(self.folder / "settings.toml")

    def _warm_up(self) -> None:
        """Runs each step once, and lets both workers load what they need: Spark ends workers that were idle for a minute."""
        self.write(self.rows.tail(2_000))
        run = self.run("warm")
        backfill(run, read_catalogue(self.spark, self.settings), [self.encoders], self.version(run))
        shutil.rmtree(self.folder / "warm")


def main() -> int:
    """Runs all parts, writes build/bench/backfill.json and prints the verdict."""
    parser = bench_parser(__doc__, "at most 2,000 rows, one round, nothing judged")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--again", action="store_true", help="only the largest size once, and the runs after it")
    arguments = parser.parse_args()
    require_catalogue("backfill", arguments.catalogue)
    sizes, rounds = (QUICK_SIZES, 1) if arguments.quick else (SIZES, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        bench = Bench(arguments.catalogue, Path(folder), arguments.quick)
        print(f"set up in {time.monotonic() - start:.0f} s", flush=True)
        figures = _first(bench, sizes[-1]) if arguments.again else _rounds(bench, sizes, rounds)
        figures |= _again(bench, sizes[-1], num_runs=2 if arguments.quick else 4)
        print(f"all in {time.monotonic() - start:.0f} s", flush=True)
    bars = {name: bar for name, bar in (AT_LEAST | AT_MOST).items() if name in _AGAIN or not arguments.again}
    return _verdict(figures, bars, arguments.quick)


def _first(bench: Bench, size: int) -> dict[str, float]:
    """The first run, which the runs after it are compared with."""
    seconds, run = bench.backfill(f"size{size}-0", bench.rows.head(size))
    return {"first_seconds": seconds, "encode_seconds": next(step.seconds for step in run.steps if step.name == "encode")}


def _rounds(bench: Bench, sizes: tuple[int, int, int], rounds: int) -> dict[str, object]:
    """Per round: the loops, then each size into a lake of its own; `_again` uses the first lake of the largest size."""
    middle, large = sizes[1:]
    bench.write(bench.rows.head(large))  # so that the memory the bench itself takes for it is in all peaks
    bench.backfill("texts", bench.rows.head(middle))
    texts, lines = bench.texts("texts"), []
    plain, own = ((256,), (1_024,)) if bench.quick else ((32, 64, 128, 256), (256, 1_024, 4_096))
    loops = {"loop": Loop(plain_muse(bench.folder / "plain"), texts, plain), "own_loop": Loop(bench.encoder, texts, own)}
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
    batches = {name: loop.batch for name, loop in loops.items()}
    return {"rounds": lines, "batches": batches, "num_texts": len(texts), "num_rows": large} | _of_rounds(lines, *sizes)


def _of_rounds(lines: list[dict], small: int, middle: int, large: int) -> dict[str, float]:
    """The figures: medians of ratios within a round next to the loops, medians over rounds for the growth."""
    figures = {}
    for loop, suffix in (("loop", ""), ("own_loop", "_to_own_loop")):
        figures |= {f"{name}{suffix}": statistics.median(line[loop] / line[name] for line in lines) for name in ("end_to_end", "encode_and_write")}
        figures[f"end_to_end_large{suffix}"] = statistics.median(line[loop] / middle * large / line["seconds"][large] for line in lines)
    seconds = {size: statistics.median(line["seconds"][size] for line in lines) for size in (small, middle, large)}
    peaks = {size: statistics.median(sum(line["memory"][size]) for line in lines) for size in (small, middle, large)}
    per_row_before, per_row_after = (seconds[middle] - seconds[small]) / (middle - small), (seconds[large] - seconds[middle]) / (large - middle)
    figures |= {"marginal": abs(per_row_after / per_row_before - 1), "memory_growth": peaks[large] / peaks[small] - 1}
    encode_seconds = statistics.median(line["steps"]["encode"] for line in lines)
    return figures | {"median_seconds": seconds, "median_peaks": peaks, "first_seconds": seconds[large], "encode_seconds": encode_seconds}


def _again(bench: Bench, size: int, num_runs: int) -> dict[str, float]:
    """Median seconds of runs after the first: nothing changed, 1 % edited, a new head; the first of each is left out."""
    name, rows = f"size{size}-0", bench.rows.head(size).copy()
    seconds: dict[str, list[float]] = {"again": [bench.backfill(name, rows)[0] for _ in range(num_runs)], "edited": [], "rescored": []}
    for i in range(num_runs):
        rows.loc[rows.index[i::100], "title"] += " again"
        taken, run = bench.backfill(name, rows)
        seconds["edited"].append(taken)
        print(f"edited: {taken:.1f} s; { {step.name: round(step.seconds, 1) for step in run.steps} }", flush=True)
    for i in range(num_runs):
        bench.bundle.manifest["model_version"] = f"another{i}"
        version = bench.version(run)
        start = time.monotonic()
        classify(bench.run(name), version)
        seconds["rescored"].append(time.monotonic() - start)
    print("; ".join(f"{kind} {', '.join(f'{second:.1f}' for second in runs)} s" for kind, runs in seconds.items()), flush=True)
    return {f"{kind}_seconds": statistics.median(runs[1:]) for kind, runs in seconds.items()}


def _verdict(figures: dict, bars: dict[str, float], quick: bool) -> int:
    first = figures["first_seconds"]
    figures |= {"again": figures["again_seconds"] / first, "edited": figures["edited_seconds"] / first}
    figures["rescoring"] = figures["encode_seconds"] / figures["rescored_seconds"]
    print(", ".join([f"first run {first:.1f} s", *(f"not judged: {name} {figures[name]:.3f}" for name in figures if name.endswith("_to_own_loop"))]))
    return verdict("backfill", figures, bars, AT_MOST, bars if quick else ())


if __name__ == "__main__":
    sys.exit(main())
