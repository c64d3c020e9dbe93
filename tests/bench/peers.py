"""Is encoding and writing with xlclass as fast as with what else there is for Spark and its neighbours?

Contenders, each in its own environment, all with two workers of one TensorFlow thread on the same two cores, the same
float32 SavedModel and the same distinct prepared texts of the real catalogue:

    bare_loop          two processes, plain batches, nothing read or written: what the model itself costs
    xlclass            the backfill's step from texts to a committed Delta table, at its default settings, in float32
    predict_batch_udf  pyspark.ml.functions, written as Parquet with array<float>
    mlflow_spark_udf   MLflow's spark_udf of a pyfunc model, written likewise
    ray_map_batches    Ray Data with two actors, written as Parquet; the start of its actors is not counted
    load_per_batch     a series-to-series pandas UDF that loads the model for each Arrow batch, of 256 texts (2,000 texts in all)
    load_per_4096      the same at batches of 4,096, which hide most of the loading; for the record, not judged
    load_per_10000     the same at Spark's default of up to 10,000 rows a batch, here one for each worker; likewise
    xlclass_defaults   xlclass as a user gets it, on the catalogue's texts with those that are equal; not judged
    xlclass_bfloat16   the same with encoder.precision = "bfloat16", where the processor has it; not judged

A round runs every contender once, in an order that moves on from round to round; each starts, warms up with 500 texts and
is measured. Each one's batch size is the best of BATCHES in a short pass before (xlclass keeps its default). Figures are
medians over the rounds of ratios within a round.

Bars: xlclass is not slower than the fastest of predict_batch_udf, MLflow and Ray; >= 1.1 times predict_batch_udf; >= 3 times
load_per_batch. A peer that cannot be installed or fails is reported with the reason, and its bars are MISSED.
`--quick` takes 2,000 texts and one round, tunes the batch size on the bare loop only, and judges load_per_batch and that
every peer runs: a Delta commit costs a second or more whatever the number of texts, which 2,000 do not outweigh. It takes more
than a minute, as starting the contenders does. The environments (6.4 GB, some minutes) are made once, in ~/.cache/xlclass.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_suffix("")
sys.path[:0] = [str(ROOT), str(SCRIPTS)]

from contenders import CONF, WORK, Bench, Contender, Failed, contenders  # noqa: E402  the bench runs from a checkout
from environments import NotInstalled  # noqa: E402
from own import with_precision  # noqa: E402
from prepared_texts import write_texts  # noqa: E402

from xlclass.config import load_settings  # noqa: E402
from xlclass.encoders import resolve_encoder  # noqa: E402

BARS = {"vs_fastest_peer": 1.0, "vs_predict_batch_udf": 1.1, "vs_load_per_batch": 3.0}
PEERS = ("predict_batch_udf", "mlflow_spark_udf", "ray_map_batches")
AIMED, AIM = ("defaults", "bfloat16"), 1.5
BATCHES = (64, 256, 1_024, 4_096)


def main() -> int:
    """Tunes, runs the rounds, writes build/bench/peers.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet")
    parser.add_argument("--quick", action="store_true", help="2,000 texts, one round")
    parser.add_argument("--texts", type=int, help="20,000; with --quick 2,000")
    parser.add_argument("--rounds", type=int, help="3; with --quick 1")
    arguments = parser.parse_args()
    if not arguments.catalogue.is_file():
        print(f"peers: there is no {arguments.catalogue}; give --catalogue")
        return 2
    num_texts, num_rounds = arguments.texts or (2_000 if arguments.quick else 20_000), arguments.rounds or (1 if arguments.quick else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: the contender that runs is ended too
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # everybody's cores: processes started here inherit them
    WORK.mkdir(parents=True, exist_ok=True)
    settings = load_settings(CONF)
    files = write_texts(pq.read_table(arguments.catalogue).to_pandas(), settings, num_texts, WORK)
    bench, everybody = Bench(files, resolve_encoder(with_precision(settings, "float32")).path), contenders()
    _tune(bench, everybody, arguments.quick)
    for i in range(num_rounds):
        _round(bench, [everybody[0], *_turned(everybody[1:], i)])
        if everybody[0].reason:
            print(f"peers: the bare loop cannot be measured, MISSED: {everybody[0].reason}")
            return 1
    return _verdict(bench, everybody, arguments.quick)


def _turned(others: list[Contender], by: int) -> list[Contender]:
    by = 3 * by % len(others)
    return others[by:] + others[:by]


def _tune(bench: Bench, everybody: list[Contender], quick: bool) -> None:
    """Gives each contender its best batch size; those that are not tuned themselves take the bare loop's."""
    for contender in everybody:
        contender.batch = 0 if contender.script == "own.py" else everybody[0].batch  # xlclass cuts its own
        if contender.tuned and not (quick and contender.batch):
            rates = _tried(contender, lambda c=contender: bench.rates(c, "few", list(BATCHES)))
            contender.batch = BATCHES[rates.index(max(rates))] if rates else contender.batch
            shown = [f"{batch}: {rate:,.0f}/s" for batch, rate in zip(BATCHES, rates, strict=True)] if rates else [contender.reason]
            print(f"{contender.name:<18} " + "  ".join(shown), flush=True)


def _round(bench: Bench, order: list[Contender]) -> None:
    for contender in order:
        if order[0].reason:  # without the bare loop there is nothing to compare with
            return
        rate = None
        if not contender.reason:
            start = time.monotonic()
            rate = (_tried(contender, lambda c=contender: _measured(bench, c)) or [None])[0]
            shown = f"{rate:8,.0f} texts/s at {contender.batch or 'own':>3} ({time.monotonic() - start:.0f} s in all)" if rate else contender.reason
            print(f"{contender.name:<18} {shown}", flush=True)
        contender.rates.append(rate)


def _measured(bench: Bench, contender: Contender) -> list[float]:
    rates = bench.rates(contender, contender.texts, [contender.batch])
    bench.check(contender)
    return rates


def _tried(contender: Contender, measure: Callable[[], list[float]]) -> list[float] | None:
    """What `measure` gives, or nothing, and the contender keeps the reason."""
    try:
        return measure()
    except (NotInstalled, Failed) as error:
        contender.reason = " ".join(str(error).split())
        return None


def _ratios(ours: Contender, other: Contender) -> list[float]:
    """Ours over the other's rate, round by round; nothing where one of them failed in any round."""
    failed = ours.reason or other.reason
    return [] if failed else [rate / compared for rate, compared in zip(ours.rates, other.rates, strict=True)]


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _table(everybody: list[Contender]) -> dict[str, dict[str, object]]:
    """What each contender reached, printed too."""
    table = {
        contender.name: {
            "texts_per_second": None if contender.reason else _median(contender.rates),
            "to_bare_loop": _median(_ratios(contender, everybody[0])),
            **{"batch": contender.batch, "rates": contender.rates, "reason": contender.reason},
        }
        for contender in everybody
    }
    print(f"\n{'':<18} texts/s  to the bare loop  batch")
    for name, row in table.items():
        shown = (
            f"not measured: {row['reason']}"
            if row["reason"]
            else f"{row['texts_per_second']:7,.0f}  {_shown(row['to_bare_loop']):>16}  {row['batch'] or 'own':>5}"
        )
        print(f"{name:<18} {shown}")
    return table


def _verdict(bench: Bench, everybody: list[Contender], quick: bool) -> int:
    named = {contender.name: contender for contender in everybody}
    ratios = {
        ours: {contender.name: _median(_ratios(named[ours], contender)) for contender in everybody if contender.name != ours}
        for ours in ("xlclass", "xlclass_defaults", "xlclass_bfloat16")
    }
    table = _table(everybody)
    figures = {
        "vs_fastest_peer": _fastest(ratios["xlclass"]),
        "vs_predict_batch_udf": ratios["xlclass"]["predict_batch_udf"],
        "vs_load_per_batch": ratios["xlclass"]["load_per_batch"],
    }
    unjudged = {name for name in figures if quick and name != "vs_load_per_batch" and figures[name] is not None}
    judged = {name: figure is not None and figure >= BARS[name] for name, figure in figures.items() if name not in unjudged}
    figures |= {f"{name}_vs_fastest_peer": _fastest(ratios[f"xlclass_{name}"]) for name in AIMED}
    machine = {"platform": platform.platform(), "cores": sorted(os.sched_getaffinity(0))}
    machine |= {name: importlib.metadata.version(name) for name in ("pyspark", "delta-spark", "tensorflow")}
    report = {"figures": figures, "bars": BARS, "judged": judged, "contenders": table, "ratios": ratios, "num_texts": bench.num_texts, "machine": machine}
    WORK.with_suffix(".json").write_text(json.dumps(report, indent=1))
    parts = [f"{name} {_shown(figures[name])} (>= {BARS[name]}) {'not judged' if name in unjudged else 'ok' if judged[name] else 'MISSED'}" for name in BARS]
    parts += [f"{name}_vs_fastest_peer {_shown(figures[f'{name}_vs_fastest_peer'])} (aim {AIM}) not judged" for name in AIMED]
    print("peers: " + "; ".join(parts))
    return 0 if all(judged.values()) else 1


def _fastest(ratios: dict[str, float | None]) -> float | None:
    """The ratio to the peer that comes nearest; none unless every peer was measured."""
    found = [ratios[name] for name in PEERS]
    return None if None in found else min(found)


def _shown(figure: float | None) -> str:
    return "not measured" if figure is None else f"{figure:.3f}"


if __name__ == "__main__":
    sys.exit(main())
