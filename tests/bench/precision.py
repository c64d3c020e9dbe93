"""How close encoder.precision = "bfloat16" stays to float32 and how much faster it is, one thread, on texts of the embedded catalogue.

Bar: the lowest cosine between the float32 and the bfloat16 vector of a text is >= 0.998 over 2,000 texts. The speed ratio (median of
paired rounds) is printed with the processor's abilities and not judged, as it is the processor's. `--quick` takes 500 texts and one
round; same bar.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _checkout import ROOT, bench_parser
from _verdict import verdict

from xlclass.encoders.batches import batches_by_length
from xlclass.encoders.contract import Encoder
from xlclass.encoders.muse.build import muse_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import limit_threads

BARS = {"cosine_min": 0.998}
BATCH_TEXTS, BATCH_CHARACTERS = 256, 24_000  # the defaults of the settings


def main() -> int:
    """Encodes the texts in both precisions in turn, writes build/bench/precision.json and prints the verdict."""
    quick = bench_parser(__doc__, "500 texts, one round", needs_catalogue=False).parse_args().quick
    limit_threads(1)
    texts, num_rounds = _texts(500 if quick else 2_000), 1 if quick else 5
    with tempfile.TemporaryDirectory() as cache:
        full, half = (load_encoder(muse_encoder(Path(cache), precision)) for precision in ("float32", "bfloat16"))
        (exact, _), (rounded, _) = _encode(full, texts), _encode(half, texts)  # the warm-up, and the vectors
        pairs = [(_encode(full, texts)[1], _encode(half, texts)[1]) for _ in range(num_rounds)]
    cosines = (exact * rounded).sum(axis=1)
    figures = {
        "cosine_min": float(cosines.min()),
        "cosine_mean": float(cosines.mean()),
        "speed_ratio": statistics.median(slow / fast for slow, fast in pairs),
        "float32_texts_per_second": len(texts) / min(slow for slow, _ in pairs),
        "bfloat16_texts_per_second": len(texts) / min(fast for _, fast in pairs),
    }
    processor = _processor()
    print("\n".join(f"{name:<26} {figure:.6g}" for name, figure in figures.items()))
    print("not judged: speed_ratio, on " + ", ".join(f"{name} {value}" for name, value in processor.items()))
    characters = sum(map(len, texts)) / len(texts)
    return verdict("precision", figures, BARS, num_texts=len(texts), characters=characters, processor=processor, seconds=pairs)


def _texts(num_texts: int) -> list[str]:
    """Texts of the embedded catalogue, languages in turn: whole ones, then titles alone until there are enough."""
    files = sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl"))
    languages = [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    rows = [language[i] for i in range(max(map(len, languages))) for language in languages if i < len(language)]
    whole = [" ".join(filter(None, [row["title"], *row["tags"], row["description"]])) for row in rows]
    return list(filter(None, whole + [row["title"] for row in rows]))[:num_texts]


def _encode(encoder: Encoder, texts: list[str]) -> tuple[np.ndarray, float]:
    """The vectors of the texts in their order, and the processor seconds that they took."""
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
    info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = info.get("flags", "").split()
    return {"processor": info.get("model name", ""), **{flag: flag in flags for flag in ("amx_bf16", "avx512_bf16")}}


if __name__ == "__main__":
    sys.exit(main())
