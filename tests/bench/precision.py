"""What encoder.precision = "bfloat16" costs in closeness and gains in speed, one thread, on texts of the embedded catalogue.

Bars: the lowest cosine between the float32 and the bfloat16 vector of a text is >= 0.998 over 2,000 texts. The speed ratio (median
of paired rounds) is printed with what the processor has, not judged: it is the processor's. `--quick` takes 500 texts, one round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from xlclass.encoders.batches import batches_by_length  # noqa: E402  the bench runs from a checkout
from xlclass.encoders.contract import Encoder  # noqa: E402
from xlclass.encoders.muse.build import embedded_encoder  # noqa: E402
from xlclass.encoders.saved_model import load_encoder  # noqa: E402
from xlclass.encoders.udf import limit_threads  # noqa: E402

MIN_COSINE = 0.998
BATCH_TEXTS, BATCH_CHARACTERS = 256, 24_000  # the defaults of the settings


def main() -> int:
    """Encodes the texts in both precisions by turns, writes build/bench/precision.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="500 texts, one round")
    quick = parser.parse_args().quick
    limit_threads(1)
    texts, rounds = _texts(500 if quick else 2_000), 1 if quick else 5
    with tempfile.TemporaryDirectory() as cache:
        full, half = (load_encoder(embedded_encoder(Path(cache), precision)) for precision in ("float32", "bfloat16"))
        (exact, _), (rounded, _) = _encode(full, texts), _encode(half, texts)  # the warm-up, and the vectors
        pairs = [(_encode(full, texts)[1], _encode(half, texts)[1]) for _ in range(rounds)]
    cosines = (exact * rounded).sum(axis=1)
    ratio = statistics.median(slow / fast for slow, fast in pairs)
    report = {
        "texts": len(texts),
        "characters": sum(map(len, texts)) / len(texts),
        "cosine_min": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "processor": _processor(),
        "speed_ratio": ratio,
        "texts_per_second": {"float32": len(texts) / min(slow for slow, _ in pairs), "bfloat16": len(texts) / min(fast for _, fast in pairs)},
        "seconds": pairs,
    }
    return _verdict(report)


def _texts(num_texts: int) -> list[str]:
    """Texts of the embedded catalogue, languages in turn: whole ones, and then titles alone until there are enough."""
    files = sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl"))
    languages = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    rows = [language[i] for i in range(max(map(len, languages))) for language in languages if i < len(language)]
    whole = [" ".join(filter(None, [row["title"], *row["tags"], row["description"]])) for row in rows]
    return list(filter(None, whole + [row["title"] for row in rows]))[:num_texts]


def _encode(encoder: Encoder, texts: list[str]) -> tuple[np.ndarray, float]:
    """The vectors of the texts in their order, and the seconds of processor that they took."""
    vectors = np.empty((len(texts), encoder.dim), np.float32)
    start = time.process_time()
    for positions in batches_by_length([len(text) for text in texts], BATCH_TEXTS, BATCH_CHARACTERS):
        vectors[positions] = encoder.encode([texts[i] for i in positions])
    return vectors, time.process_time() - start


def _processor() -> dict[str, object]:
    """The processor's name and whether it multiplies bfloat16 itself; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    said = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = said.get("flags", "").split()
    return {"name": said.get("model name", ""), **{flag: flag in flags for flag in ("amx_bf16", "avx512_bf16")}}


def _verdict(report: dict[str, object]) -> int:
    file = ROOT / "build" / "bench" / "precision.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**report, "bars": {"cosine_min": MIN_COSINE}}, indent=1))
    print(json.dumps({name: value for name, value in report.items() if name != "seconds"}, indent=1))
    passed = report["cosine_min"] >= MIN_COSINE
    has = ", ".join(f"{flag} {there}" for flag, there in report["processor"].items() if flag != "name")
    print(
        f"precision: cosine_min {report['cosine_min']:.5f} (>= {MIN_COSINE}) {'ok' if passed else 'MISSED'}; "
        f"cosine_mean {report['cosine_mean']:.6f}; speed_ratio {report['speed_ratio']:.2f} (not judged; {has})"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
