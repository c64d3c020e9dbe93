"""Seconds that a row of the real catalogue takes to be read and prepared, as Parquet, CSV and JSON lines, beside another checkout.

A lake is filled with two numbers of rows by an encoder that only counts words; what is counted is the job's steps `channels`, `plan` and
`prepare`. The marginal seconds of a row are the difference of the two divided by the difference of the rows, so what a run takes anyway
does not count. Each checkout runs in a process of its own, in turn with the other, and each format's figure is the median of its rounds.

Bar, with `--against CHECKOUT`: the ratio for Parquet is <= 1.1. `--quick` takes few rows and one round, and judges nothing.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _checkout import ROOT, bench_parser, require_catalogue
from _verdict import verdict

BARS = {"parquet_ratio": 1.1}
SIZES, QUICK_SIZES = (10_000, 50_000), (500, 2_000)
FORMATS = ("parquet", "csv", "jsonl")
_TEXT = (
    '[source]\npath = "videos.{}"\n[source.columns]\ntags = "tags"\ndescription = "description"\nchannel_id = "channel_id"\nlanguage = "declared_language"\n'
)
_MORE = 'labels = "category"\nupdated_at = "first_seen"\n[lake]\npath = "lake"\n[encoder]\nmodel = "encoder"\n[taxonomy]\nfile = "{0}/taxonomy.toml"\n'


def measure(folder: Path, num_rows: int) -> dict[str, float]:
    """Seconds of reading and preparing by format, with the xlclass on the path; the folder has the files and the encoder."""
    import shutil

    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.config import load_settings
    from xlclass.encoders import resolve_encoders
    from xlclass.lake.runs import Run
    from xlclass.lake.session import open_session
    from xlclass.lake.sources import read_catalogue
    from xlclass.lake.tables import Lake
    from xlclass.pipeline.backfill import backfill

    spark = open_session("bench")
    seconds = {}
    for name in ("parquet", *FORMATS):  # the first one warms up
        file = folder / "settings.toml"
        file.write_text(_TEXT.format(f"{num_rows}.{name}") + _MORE.format(ROOT / "conf"))
        settings = load_settings(file)
        run = Run("bench", Lake(spark, str(folder / "lake")), settings, load_preparation(settings), load_taxonomy(settings.resolve(settings.taxonomy.file)))
        backfill(run, read_catalogue(spark, settings), [resolve_encoders(settings)], None)
        seconds[name] = sum(step.seconds for step in run.steps if step.name in ("channels", "plan", "prepare"))
        shutil.rmtree(folder / "lake")
    return seconds


def _prepare(folder: Path, catalogue: Path, sizes: tuple[int, int]) -> None:
    """Writes the catalogue's rows in each format and size, and the encoder."""
    import pyarrow.parquet as pq
    import tensorflow as tf

    rows = pq.read_table(catalogue).to_pandas().sample(frac=1, random_state=1).drop_duplicates("video_id")
    for size in sizes:
        some = rows.head(size)
        some.to_parquet(folder / f"videos.{size}.parquet", row_group_size=10_000)
        joined = some.assign(**{name: some[name].map(lambda values: None if values is None else "|".join(values)) for name in ("tags", "countries")})
        joined.to_csv(folder / f"videos.{size}.csv", index=False)
        some.to_json(folder / f"videos.{size}.jsonl", orient="records", lines=True, force_ascii=False, date_format="iso")

    class Words(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):  # type: ignore[no-untyped-def]
            return tf.one_hot(tf.strings.length(texts) % 8, 8)

    tf.saved_model.save(Words(), str(folder / "encoder"))


def _run(checkout: Path, folder: Path, num_rows: int) -> dict[str, float]:
    """`measure` in a process that uses the checkout's xlclass."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "SPARK_CONF_DIR": str(checkout / "conf"), "XLCLASS_BENCH": f"{folder}:{num_rows}"}
    done = subprocess.run([sys.executable, __file__], cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"reading: {checkout} failed: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Runs, writes build/bench/reading.json and prints the verdict."""
    parser = bench_parser(__doc__, "few rows, one round, nothing judged")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this repository, to compare with")
    arguments = parser.parse_args()
    require_catalogue("reading", arguments.catalogue)
    sizes, rounds = (QUICK_SIZES, 1) if arguments.quick else (SIZES, arguments.rounds)
    checkouts = {"this": ROOT} | ({"other": arguments.against.resolve()} if arguments.against else {})
    marginal: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), arguments.catalogue, sizes)
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                few, many = (_run(checkout, Path(folder), size) for size in sizes)
                marginal[name].append({kind: 1e6 * (many[kind] - few[kind]) / (sizes[1] - sizes[0]) for kind in FORMATS})
                print(name, {kind: round(value, 1) for kind, value in marginal[name][-1].items()}, flush=True)
    figures = {f"{kind}_microseconds": statistics.median(row[kind] for row in marginal["this"]) for kind in FORMATS}
    if "other" in marginal:
        pairs = list(zip(marginal["this"], marginal["other"], strict=True))
        figures |= {f"{kind}_ratio": statistics.median(this[kind] / other[kind] for this, other in pairs) for kind in FORMATS}
    return verdict("reading", figures, BARS if "other" in marginal and not arguments.quick else {}, at_most=BARS)


if __name__ == "__main__":
    if "XLCLASS_BENCH" in os.environ:
        bench_folder, size = os.environ["XLCLASS_BENCH"].split(":")
        sys.path[0] = os.environ["PYTHONPATH"].split(os.pathsep)[0]
        print(json.dumps(measure(Path(bench_folder), int(size))))
        sys.exit(0)
    sys.exit(main())
