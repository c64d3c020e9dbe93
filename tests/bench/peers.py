"""Does xlclass encode and write as fast as the other ways to do it with Spark and its neighbours?

Contenders, each in its own environment, all with two workers of one TensorFlow thread on the same two cores, the same
float32 SavedModel and the same distinct prepared texts of the real catalogue:

    bare_loop          two processes, plain batches, nothing read or written: the cost of the model itself
    xlclass            the backfill's step from texts to a committed Delta table, at its default settings, in float32
    predict_batch_udf  pyspark.ml.functions, written as Parquet with array<float>
    mlflow_spark_udf   MLflow's spark_udf of a pyfunc model, written likewise
    ray_map_batches    Ray Data with two actors, written as Parquet; the start of its actors is not counted
    load_per_batch     a series-to-series pandas UDF that loads the model for each Arrow batch, of 256 texts (2,000 texts in all)
    load_per_4096      the same at batches of 4,096, which hide most of the loading; for the record, not judged
    load_per_10000     the same at Spark's default of up to 10,000 rows a batch, here one for each worker; likewise
    xlclass_defaults   xlclass as a user gets it, on the catalogue's texts with the repeated ones; not judged
    xlclass_bfloat16   the same with encoder.precision = "bfloat16", where the processor has it; not judged

A round runs every contender once, and each round starts at another contender; each starts, warms up with 500 texts and
is measured. Each one's batch size is the best of BATCHES in a short pass before (xlclass keeps its default). Figures are
medians over the rounds of ratios within a round.

Bars: xlclass is not slower than the fastest of predict_batch_udf, MLflow and Ray; >= 1.1 times predict_batch_udf; >= 3 times
load_per_batch. A peer that cannot be installed or fails is reported with the reason, and its bars are MISSED. The environments of
MLflow and Ray (6.4 GB, some minutes) are made once, in ~/.cache/xlclass.
`--quick` runs bare_loop, xlclass, predict_batch_udf and load_per_batch once with 1,000 texts at batches of 256, needs no other environment,
and judges load_per_batch only: a Delta commit costs a second or more whatever the number of texts, and 1,000 do not outweigh it.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from _checkout import bench_parser, require_catalogue
from _verdict import shown, verdict

sys.path.insert(0, str(Path(__file__).with_suffix("")))

from contenders import CONF, WORK, Bench, Contender, Failed, contenders  # noqa: E402  they lie in peers/, whose scripts import each other
from environments import NotInstalled  # noqa: E402
from own import with_precision  # noqa: E402
from prepared_texts import write_texts  # noqa: E402

from xlclass.config import load_settings  # noqa: E402
from xlclass.encoders import resolve_encoders  # noqa: E402

BARS = {"vs_fastest_peer": 1.0, "vs_predict_batch_udf": 1.1, "vs_load_per_batch": 3.0}
PEERS = ("predict_batch_udf", "mlflow_spark_udf", "ray_map_batches")
QUICK = ("bare_loop", "xlclass", "predict_batch_udf", "load_per_batch")
AIMED, AIM = ("defaults", "bfloat16"), 1.5
BATCHES, QUICK_BATCH = (64, 256, 1_024, 4_096), 256


def main() -> int:
    """Tunes, runs the rounds, writes build/bench/peers.json and prints the verdict."""
    parser = bench_parser(__doc__, "1,000 texts, one round, only xlclass, the bare loop, predict_batch_udf and load_per_batch")
    parser.add_argument("--texts", type=int, help="20,000; with --quick 1,000")
    parser.add_argument("--rounds", type=int, help="3; with --quick 1")
    arguments = parser.parse_args()
    require_catalogue("peers", arguments.catalogue)
    num_texts, num_rounds = arguments.texts or (1_000 if arguments.quick else 20_000), arguments.rounds or (1 if arguments.quick else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C does, it also ends the running contender
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # the processes that are started here inherit the two cores
    WORK.mkdir(parents=True, exist_ok=True)
    settings = load_settings(CONF)
    files = write_texts(pq.read_table(arguments.catalogue).to_pandas(), settings, num_texts, WORK)
    bench = Bench(files, resolve_encoders(with_precision(settings, "float32")).main.path)
    all_contenders = [contender for contender in contenders() if not arguments.quick or contender.name in QUICK]
    start = time.monotonic()
    _tune(bench, all_contenders, arguments.quick)
    for i in range(num_rounds):
        _round(bench, [all_contenders[0], *_rotated(all_contenders[1:], i)])
        if all_contenders[0].reason:
            print(f"peers: the bare loop cannot be measured, MISSED: {all_contenders[0].reason}")
            return 1
    print(f"measured in {time.monotonic() - start:.0f} s")
    return _verdict(bench, all_contenders, arguments.quick)


def _rotated(others: list[Contender], round_number: int) -> list[Contender]:
    """The contenders in the order of a round."""
    start = 3 * round_number % len(others)
    return others[start:] + others[:start]


def _tune(bench: Bench, all_contenders: list[Contender], quick: bool) -> None:
    """Gives each contender its best batch size; those that are not tuned themselves take the bare loop's."""
    for contender in all_contenders:
        if contender.script == "own.py":
            contender.batch = 0  # xlclass cuts its own batches
            continue
        contender.batch = QUICK_BATCH if quick else all_contenders[0].batch
        if contender.tuned and not quick:
            rates = _tried(contender, lambda c=contender: bench.rates(c, "few", list(BATCHES)))
            contender.batch = BATCHES[rates.index(max(rates))] if rates else contender.batch
            line = [f"{batch}: {rate:,.0f}/s" for batch, rate in zip(BATCHES, rates, strict=True)] if rates else [contender.reason]
            print(f"{contender.name:<18} " + "  ".join(line), flush=True)


def _round(bench: Bench, order: list[Contender]) -> None:
    for contender in order:
        if order[0].reason:  # without the bare loop nothing can be compared
            return
        rate = None
        if not contender.reason:
            start = time.monotonic()
            rate = (_tried(contender, lambda c=contender: _measured(bench, c)) or [None])[0]
            line = f"{rate:8,.0f} texts/s at {contender.batch or 'own':>3} ({time.monotonic() - start:.0f} s in all)" if rate else contender.reason
            print(f"{contender.name:<18} {line}", flush=True)
        contender.rates.append(rate)


def _measured(bench: Bench, contender: Contender) -> list[float]:
    rates = bench.rates(contender, contender.texts, [contender.batch])
    bench.check(contender)
    return rates


def _tried(contender: Contender, measure: Callable[[], list[float]]) -> list[float] | None:
    """The result of `measure`; null if it fails, and then the contender keeps the reason."""
    try:
        return measure()
    except (NotInstalled, Failed) as error:
        contender.reason = " ".join(str(error).split())
        return None


def _ratios(first: Contender, second: Contender) -> list[float]:
    """The first one's rate over the second one's, round by round; none if one of them failed in any round."""
    failed = first.reason or second.reason
    return [] if failed else [rate / other_rate for rate, other_rate in zip(first.rates, second.rates, strict=True)]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _table(all_contenders: list[Contender]) -> dict[str, dict[str, object]]:
    """The result of each contender, printed too."""
    table = {
        contender.name: {
            "texts_per_second": None if contender.reason else _median(contender.rates),
            "to_bare_loop": _median(_ratios(contender, all_contenders[0])),
            **{"batch": contender.batch, "rates": contender.rates, "reason": contender.reason},
        }
        for contender in all_contenders
    }
    print(f"\n{'':<18} texts/s  to the bare loop  batch")
    for name, row in table.items():
        line = f"not measured: {row['reason']}"
        if not row["reason"]:
            line = f"{row['texts_per_second']:7,.0f}  {shown(row['to_bare_loop']):>16}  {row['batch'] or 'own':>5}"
        print(f"{name:<18} {line}")
    return table


def _verdict(bench: Bench, all_contenders: list[Contender], quick: bool) -> int:
    named = {contender.name: contender for contender in all_contenders}
    ratios = {
        name: {other: _median(_ratios(named[name], named[other])) for other in named if other != name}
        for name in ("xlclass", *(f"xlclass_{aimed}" for aimed in AIMED))
        if name in named
    }
    table = _table(all_contenders)
    figures = {
        "vs_fastest_peer": _to_fastest(ratios["xlclass"]),
        "vs_predict_batch_udf": ratios["xlclass"]["predict_batch_udf"],
        "vs_load_per_batch": ratios["xlclass"]["load_per_batch"],
        **{f"{name}_vs_fastest_peer": _to_fastest(ratios.get(f"xlclass_{name}", {})) for name in AIMED},
    }
    print(f"not judged, aim {AIM}: " + ", ".join(f"{name}_vs_fastest_peer {shown(figures[f'{name}_vs_fastest_peer'])}" for name in AIMED))
    machine = {"platform": platform.platform(), "cores": sorted(os.sched_getaffinity(0))}
    machine |= {name: importlib.metadata.version(name) for name in ("pyspark", "delta-spark", "tensorflow")}
    unjudged = set(BARS) - {"vs_load_per_batch"} if quick else ()
    return verdict("peers", figures, BARS, unjudged=unjudged, contenders=table, ratios=ratios, num_texts=bench.num_texts, machine=machine)


def _to_fastest(ratios: dict[str, float | None]) -> float | None:
    """The ratio to the fastest peer; null unless every peer was measured."""
    to_peers = [ratios.get(name) for name in PEERS]
    return None if None in to_peers else min(to_peers)


if __name__ == "__main__":
    sys.exit(main())
