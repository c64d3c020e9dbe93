"""How e5 is cut and aligned: fewer tokens, fewer layers, 8-bit products, and what the ridge learns from. Nothing is judged.

On texts of the training side of the real catalogue (`--lake` names a lake of it; without it the main job makes one), without labels: each of
MUSE's languages in turn is treated as unknown, and the other languages fit the alignment. Printed per choice: mean cosine between the aligned
vectors of the language left out and MUSE's own; the share in which the champion's head has the same top category for both; texts a second
and core where texts were encoded. `--quick` takes 20 texts a language.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from _checkout import ROOT, bench_parser, job_command, require_catalogue
from _verdict import verdict

from xlclass.encoders.e5 import build
from xlclass.encoders.e5.graph import MAX_TOKENS, e5_graph
from xlclass.encoders.e5.weights import Weights, normalizer_of, read_weights, sentencepiece_model
from xlclass.encoders.muse.build import LANGUAGES, muse_id
from xlclass.encoders.udf import limit_threads
from xlclass.lake.reading import dataset
from xlclass.lake.registry import Registry
from xlclass.model.alignment import ALPHA, Alignment, fit_alignment, fit_centring
from xlclass.quality.splits import TRAIN, Split
from xlclass.schemas import EMBEDDINGS, VIDEOS, unit, unpack_vectors

TEXTS, SOME_TEXTS, QUICK_TEXTS = 250, 100, 20  # of a language
CUTS = {f"{tokens} tokens": (tokens, 12) for tokens in (32, 64, 128, 256)}
CUTS |= {f"{MAX_TOKENS} tokens, {layers} layers": (MAX_TOKENS, layers) for layers in (9, 6)}
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, str], Callable[[np.ndarray], np.ndarray]]


def main() -> int:
    """Prints a table and writes build/bench/alignment.json."""
    limit_threads(1)
    parser = bench_parser(__doc__, f"{QUICK_TEXTS} texts a language")
    parser.add_argument("--lake", help="a lake of the real catalogue")
    arguments = parser.parse_args()
    with nullcontext(arguments.lake) if arguments.lake else tempfile.TemporaryDirectory() as lake:
        if not arguments.lake:
            require_catalogue("alignment", arguments.catalogue)
            subprocess.run(job_command("pipeline", "--conf", ROOT / "conf" / "youtube.toml", "--lake", lake), check=True)
        bench = Bench(lake, QUICK_TEXTS if arguments.quick else TEXTS)
    table = []
    for name, *figures in bench.rows(QUICK_TEXTS if arguments.quick else SOME_TEXTS):
        table.append(dict(zip(("choice", "cosine", "same category", "texts a second"), (name, *figures), strict=False)))
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in table[-1].items()}, flush=True)
    return verdict("alignment", {}, {}, table=table, eight_bits=_eight_bits())


class Bench:
    """Texts of the training side by language, MUSE's vectors of them, and the champion's head."""

    def __init__(self, lake: str, texts: int) -> None:
        version = Registry(lake).champion()
        self.head, split = version.load().chain.head, Split(**version.manifest()["split"])
        videos = dataset(lake, VIDEOS).to_table(columns=["video_id", "text", "language", "channel_id"]).to_pandas().dropna(subset=["text"])
        videos = videos[videos.language.isin(LANGUAGES)]
        videos = videos[[split.of(channel or video) == TRAIN for channel, video in zip(videos.channel_id, videos.video_id, strict=True)]]
        order = pd.util.hash_array(videos.video_id.to_numpy(object)).argsort(kind="stable")
        videos = videos.iloc[order].groupby("language").head(texts)
        vectors = dataset(lake, EMBEDDINGS).to_table(columns=["video_id", "encoder_id", "vector"]).to_pandas()
        rows = videos.merge(vectors[vectors.encoder_id == muse_id("float32")], on="video_id")
        self.texts, self.languages = rows.text.tolist(), rows.language.to_numpy(object)
        self.muse = unpack_vectors(rows.vector.tolist(), 512)
        self.tops = self.head.logits(self.muse).argmax(axis=1)
        self.weights: Weights = read_weights(build._files()["e5-small-q4.bin"])
        self.pieces = sentencepiece_model(self.weights, normalizer_of(build._files()["sp.model"].read_bytes()))

    def rows(self, some: int) -> Iterator[tuple[Any, ...]]:
        """Name, cosine, agreement, and texts a second where it was measured, of each choice."""
        chosen = np.flatnonzero(pd.Series(self.languages).groupby(self.languages).cumcount() < some)
        for name, (tokens, layers) in CUTS.items():
            source, speed = self.encoded(tokens, layers, chosen)
            yield (name, *self.left_out(source, chosen, _ridge()), speed)
        everything = np.arange(len(self.texts))
        source, _ = self.encoded(MAX_TOKENS, 12, everything)
        for alpha in (0.3, 1.0, 3.0, 10.0, 30.0):
            yield (f"alpha {alpha:g}", *self.left_out(source, everything, _ridge(alpha)))
        for share in (0.25, 0.5, 1.0):
            yield (f"{share:.0%} of a language's mean taken away", *self.left_out(source, everything, _ridge(share=share)))
        yield ("not scaled to length 1", *self.left_out(source, everything, _ridge(scaled=False)))
        yield ("a network with a hidden layer of 512", *self.left_out(source, everything, _network))
        for number in (400, 800, 1_600, 3_200):
            few = np.random.default_rng(0).permutation(everything)[:number]
            yield (f"{number} texts teach", *self.left_out(source, everything, _ridge(), few))
        for teachers in (("en", "fr"), ("de", "en", "es", "fr"), ("ar", "ja", "ko", "pl", "ru", "th", "tr", "zh")):
            few = np.flatnonzero(np.isin(self.languages, teachers))
            yield (f"{' '.join(teachers)} teach", *self.left_out(source, everything, _ridge(), few))
        yield ("control: MUSE through a ridge onto itself", *self.left_out(self.muse, everything, _ridge()))

    def encoded(self, tokens: int, layers: int, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """e5's vectors of these texts, and texts a second of processor time."""
        model = e5_graph(self.pieces, self.weights, tokens, layers)
        texts = [self.texts[row] for row in rows]
        model(texts[:16])
        start = time.process_time()
        vectors = np.concatenate([np.asarray(model(texts[i : i + 256])) for i in range(0, len(texts), 256)])
        return vectors, len(texts) / (time.process_time() - start)

    def left_out(self, source: np.ndarray, rows: np.ndarray, fit: Fit, teachers: np.ndarray | None = None) -> tuple[float, float]:
        """Mean cosine and agreement over the languages left out; `teachers` are the texts that may teach, all by default."""
        target, languages, tops = self.muse[rows], self.languages[rows], self.tops[rows]
        may_teach = np.ones(len(rows), bool) if teachers is None else np.isin(np.arange(len(rows)), teachers)
        figures = []
        for code in sorted(set(languages)):
            own = languages == code
            taught = may_teach & ~own
            aligned = fit(source[taught], target[taught], languages[taught], source[own], code)(source[own])
            figures.append(((unit(aligned) * unit(target[own])).sum(axis=1).mean(), (self.head.logits(aligned).argmax(axis=1) == tops[own]).mean()))
        cosine, same = np.mean(figures, axis=0)
        return float(cosine), float(same)


def _ridge(alpha: float = ALPHA, share: float = 0.0, scaled: bool = True) -> Fit:
    def fit(source: np.ndarray, target: np.ndarray, languages: np.ndarray, own: np.ndarray, code: str) -> Callable[[np.ndarray], np.ndarray]:
        whole = fit_centring(np.vstack([source, own]), np.append(languages, [code] * len(own)), mean_of=set(languages))
        centring = Alignment(whole.mean, {name: whole.mean + share * (mean - whole.mean) for name, mean in whole.means.items()})
        alignment, codes = fit_alignment(centring, source, target, languages, alpha=alpha), np.full(len(own), code, object)
        if scaled:
            return lambda vectors: alignment.apply(vectors, codes)
        return lambda vectors: alignment.centred(vectors, codes) @ alignment.matrix + alignment.offset

    return fit


def _network(source: np.ndarray, target: np.ndarray, languages: np.ndarray, own: np.ndarray, code: str) -> Callable[[np.ndarray], np.ndarray]:
    """Dense 512 with ReLU and dropout beside a linear way, trained on the cosine."""
    import keras

    centring = Alignment(fit_centring(source, languages).mean, {})
    x = centring.centred(source, languages)
    keras.utils.set_random_seed(7)
    entry = keras.Input((x.shape[1],))
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(512, activation="relu")(entry))
    model = keras.Model(entry, keras.layers.UnitNormalization()(keras.layers.Add()([keras.layers.Dense(512)(hidden), keras.layers.Dense(512)(entry)])))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.CosineSimilarity())
    model.fit(x, unit(target), epochs=20, batch_size=64, verbose=0)
    return lambda vectors: np.asarray(model(centring.centred(vectors, np.full(len(vectors), code, object))))


def _eight_bits() -> dict[str, float]:
    """Milliseconds of the largest product of a slice, 512 tokens times 384 x 1,536, in float32 and by TensorFlow's product of 8-bit numbers."""
    import tensorflow as tf

    x, kernel = tf.random.normal([512, 384]), tf.random.normal([384, 1_536])
    a, b = (tf.quantization.quantize(value, -4.0, 4.0, tf.quint8) for value in (x, kernel))

    def quantised() -> Any:
        return tf.raw_ops.QuantizedMatMul(a=a.output, b=b.output, min_a=-4.0, max_a=4.0, min_b=-4.0, max_b=4.0)

    times = {}
    for name, product in (("float32", lambda: tf.matmul(x, kernel)), ("8 bits", quantised)):
        product()
        start = time.process_time()
        for _ in range(50):
            product()
        times[name] = 20 * (time.process_time() - start)
    print(f"milliseconds of a product: {times}")
    return times


if __name__ == "__main__":
    sys.exit(main())
