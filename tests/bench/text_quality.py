"""What each step of the text preparation is worth: top-1 per language with all steps, with each step off in turn, and with none.

One fixed sample of 20,000 real videos: 8,000 labelled English and French ones of training channels, 12,000 of test channels in all
languages. Every variant trains the same heads on its own texts and is scored on the test videos twice: unchanged, and on
their titles alone with injected noise (a quarter each: typos, repeated letters, words joined to one hashtag, only three tags).
Languages are `reference_language`; averages are over those with at least 300 test videos. Intervals: paired bootstrap, 95 %.

The variance between seeds (a point or more) is as large as the effects: every variant trains a head for each of SEEDS, and the
bootstrap draws heads as well as videos.

Bars: on noisy text the whole preparation beats raw lower-cased text by >= 3 points on average; on clean text no language with 300
videos loses significantly against raw; no variant is significantly better than the default on clean and noisy text together.
`--quick` takes 3,000 videos and two seeds, and judges the noisy bar only: the intervals of so few videos are wider than the effects of
the other two bars.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from _checkout import ROOT, bench_parser, require_catalogue
from _verdict import verdict

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_languages
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.catalog.text import STEPS, Preparation
from xlclass.config import Settings, TrainingSettings, load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.batches import embed_column
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.udf import limit_threads
from xlclass.model.examples import Examples
from xlclass.model.head import train_head
from xlclass.quality.splits import TEST, TRAIN, VALIDATION, Split
from xlclass.schemas import unpack_vectors

BARS = {"noisy_gain": 0.03, "languages_lost": 0, "better_variants": 0}
AT_MOST = ("languages_lost", "better_variants")
KINDS = ("typos", "repeats", "hashtag", "three_tags")
MIN_TEST = 300
SEEDS, QUICK_SEEDS = tuple(range(7, 15)), (7, 8)
RESAMPLES = 1_000


def main() -> int:
    """Runs every variant, writes build/bench/text_quality.json and prints the verdict."""
    parser = bench_parser(__doc__, "3,000 videos, the noisy bar only")
    parser.add_argument("--variants", type=lambda names: names.split(","), metavar="NAMES", help='only these beside raw and all: "with case,emoji drop"')
    arguments = parser.parse_args()
    require_catalogue("text_quality", arguments.catalogue)
    settings, start = load_settings(ROOT / "conf" / "youtube.toml"), time.monotonic()
    rows = _sample(pq.read_table(arguments.catalogue).to_pandas(), settings, 3_000 if arguments.quick else 20_000)
    noisy = _with_noise(rows[rows.side == TEST])
    encode, seeds = Encoding(resolve_encoders(settings).main), QUICK_SEEDS if arguments.quick else SEEDS
    variants: dict[str, Preparation | None] = {"raw": None} | _variants(settings)
    if arguments.quick or arguments.variants:
        variants = {name: variants[name] for name in ("raw", "all", *(arguments.variants or ()))}
    correct = {}
    for name, preparation in variants.items():
        correct[name] = _correct(rows, noisy, preparation, encode, [dataclasses.replace(settings.training, seed=seed) for seed in seeds])
        print(f"{name:<28} clean {_mean(correct[name][0], rows):.4f}  noisy {_mean(correct[name][1], rows):.4f}", flush=True)
    print(f"measured in {time.monotonic() - start:.0f} s")
    return _verdict(correct, rows, noisy, arguments.quick)


def _variants(settings: Settings) -> dict[str, Preparation]:
    """The preparation of the settings, the same with each step off in turn, and with the other choices for emoji and description."""
    whole = load_preparation(settings)
    text = whole.settings
    others = {f"without {step}": dataclasses.replace(text, skip=(*text.skip, step)) for step in STEPS if step not in text.skip}
    others |= {f"with {step}": dataclasses.replace(text, skip=tuple(s for s in text.skip if s != step)) for step in text.skip}
    emoji = "drop" if text.emoji == "names" else "names"
    description = "always" if text.description == "when_short" else "when_short"
    others |= {f"emoji {emoji}": dataclasses.replace(text, emoji=emoji), f"description {description}": dataclasses.replace(text, description=description)}
    return {"all": whole} | {name: Preparation.from_settings(changed, whole.abbreviations) for name, changed in others.items()}


def _sample(catalogue: pd.DataFrame, settings: Settings, num: int) -> pd.DataFrame:
    """The fixed sample, with label, side, decided language and reference language."""
    shares, taxonomy = settings.split, load_taxonomy(ROOT / "conf" / "taxonomy.toml")
    split = Split(shares.salt, shares.train, shares.validation, shares.calibration)
    catalogue = catalogue.assign(label=catalogue.category.map(taxonomy.aliases), side=catalogue.channel_id.map(split.of))
    no_channel = [None] * len(catalogue)
    decided = decide_languages(catalogue.title, catalogue.tags, catalogue.description, catalogue.declared_language, no_channel)
    catalogue = catalogue.assign(language=[decision.language for decision in decided], reference=catalogue.reference_language.str.split("-").str[0])
    training = catalogue[catalogue.language.isin(settings.training.languages) & catalogue.side.isin([TRAIN, VALIDATION])]
    common = training.label.value_counts()
    labelled = catalogue.label.isin(common[common >= settings.taxonomy.min_training_videos].index)
    training = training[labelled.loc[training.index]].sample(num * 2 // 5, random_state=1)
    tested = catalogue[(catalogue.side == TEST) & labelled & catalogue.reference.notna()].sample(num * 3 // 5, random_state=1)
    return pd.concat([training, tested]).reset_index(drop=True)


def _with_noise(rows: pd.DataFrame) -> pd.DataFrame:
    """The videos as title alone, each with one kind of noise, or as three tags alone."""
    rng = np.random.default_rng(2)
    kinds = rng.choice(KINDS, len(rows))
    noisy = [_add_noise(row.title, row.tags, kind, rng) for row, kind in zip(rows.itertuples(), kinds, strict=True)]
    return rows.assign(kind=kinds, title=[title for title, _ in noisy], tags=[tags for _, tags in noisy], description=None)


def _add_noise(title: str, tags: np.ndarray | None, kind: str, rng: np.random.Generator) -> tuple[str | None, list[str]]:
    if kind == "three_tags" and tags is not None and len(tags):
        return None, list(tags[:3])
    letters = list(title)
    if kind == "typos":
        for i in range(1, len(letters) - 1):
            if letters[i].isalpha() and rng.random() < 0.1:
                letters[i], letters[i + 1] = [(letters[i + 1], letters[i]), ("", letters[i + 1]), (letters[i] * 2, letters[i + 1])][rng.integers(3)]
    elif kind == "repeats":
        letters = [c * int(rng.integers(3, 7)) if c.isalpha() and rng.random() < 0.15 else c for c in letters]
    elif kind == "hashtag":
        words = ["".join(filter(str.isalnum, word)) for word in title.split()]
        joined = "".join(word[:1].upper() + word[1:] for word in words)
        return "#" + (joined if rng.random() < 0.5 else joined.lower()), []
    return "".join(letters), []


class Encoding:
    """Texts to vectors in two one-thread processes; a text is encoded once, however many variants have it."""

    def __init__(self, spec: EncoderSpec) -> None:
        self._encoded: dict[str, bytes] = {}
        self._dim = spec.dim
        self.pool = multiprocessing.get_context("spawn").Pool(2, _start, [spec])

    def __call__(self, texts: list[str | None]) -> np.ndarray:
        """Vectors, `(len(texts), dim) float32`; zeros for no text."""
        new = list({text for text in texts if text} - set(self._encoded))
        chunks = [new[i : i + 500] for i in range(0, len(new), 500)]
        for chunk, packed in zip(chunks, self.pool.map(_encode, chunks, chunksize=1), strict=True):
            self._encoded.update(zip(chunk, packed, strict=True))
        no_text = bytes(2 * self._dim)
        return unpack_vectors([self._encoded[text] if text else no_text for text in texts], self._dim)


def _start(spec: EncoderSpec) -> None:
    from xlclass.encoders.saved_model import load_encoder

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    limit_threads(1)
    globals()["ENCODER"] = load_encoder(spec)


def _encode(texts: list[str]) -> list[bytes]:
    return embed_column(texts, globals()["ENCODER"], 256, 24_000)  # type: ignore[return-value]


def _texts(rows: pd.DataFrame, preparation: Preparation | None) -> list[str | None]:
    """The texts that are encoded: raw is title, tags and description, lower-cased."""
    columns = zip(rows.title, rows.tags, rows.description, rows.language, strict=True)
    if preparation is None:
        fields = ([title, *(() if tags is None else tags), description] for title, tags, description, _ in columns)
        return [" ".join(filter(None, parts)).lower()[:1_000] or None for parts in fields]
    return [preparation.prepare(title, tags, description, None, language).text for title, tags, description, language in columns]


def _correct(
    rows: pd.DataFrame, noisy: pd.DataFrame, preparation: Preparation | None, encode: Encoding, trainings: list[TrainingSettings]
) -> tuple[np.ndarray, np.ndarray]:
    """Which test videos get their label from each training's head, `(num_trainings, num_test) bool`: unchanged, and with noise."""
    vectors, categories = encode(_texts(rows, preparation)), sorted(rows.label.unique())
    labels = (rows.label.to_numpy()[:, None] == np.array(categories)[None, :]).astype(np.float32)
    sides = {side: (rows.side == side).to_numpy() for side in (TRAIN, VALIDATION, TEST)}
    examples = [Examples(vectors[sides[side]], labels[sides[side]]) for side in (TRAIN, VALIDATION)]
    tested = [vectors[sides[TEST]], encode(_texts(noisy, preparation))]
    truth = labels[sides[TEST]].argmax(axis=1)
    tops = np.array(encode.pool.starmap(_tops, [(examples, tested, training) for training in trainings], chunksize=1))
    return tops[:, 0] == truth, tops[:, 1] == truth


def _tops(examples: list[Examples], tested: list[np.ndarray], training: TrainingSettings) -> list[np.ndarray]:
    """The top category of each tested vector, from a head trained on the examples."""
    head, _ = train_head(*examples, training)
    return [head.logits(vectors).argmax(axis=1) for vectors in tested]


def _groups(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Positions of the test videos of each language that has enough of them."""
    languages = rows[rows.side == TEST].reference.to_numpy()
    names, counts = np.unique(languages.astype(str), return_counts=True)
    large = [name for name, count in zip(names, counts, strict=True) if count >= min(MIN_TEST, len(languages) // 10)]
    return {name: np.flatnonzero(languages == name) for name in large}


def _mean(correct: np.ndarray, rows: pd.DataFrame) -> float:
    """Top-1, as the mean over the languages."""
    return float(np.mean([correct[:, group].mean() for group in _groups(rows).values()]))


def _bootstrap(first: np.ndarray, second: np.ndarray, groups: list[np.ndarray]) -> tuple[float, float, float]:
    """Mean over the groups of the mean difference of `(num_seeds, num_test)` scores, and its 95 % interval.

    Each resample draws videos within each group, the same for both, and heads for each of the two.
    """
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(RESAMPLES):
        drawn = [scores[rng.integers(len(scores), size=len(scores))].mean(axis=0) for scores in (first, second)]
        videos = [rng.choice(group, len(group)) for group in groups]
        draws.append(np.mean([(drawn[0][group] - drawn[1][group]).mean() for group in videos]))
    return float(np.mean([(first[:, group].mean() - second[:, group].mean()) for group in groups])), *map(float, np.quantile(draws, [0.025, 0.975]))


def _verdict(correct: dict[str, tuple[np.ndarray, np.ndarray]], rows: pd.DataFrame, noisy: pd.DataFrame, quick: bool) -> int:
    groups = _groups(rows)
    gains = {name: _gains(correct["all"], scores, list(groups.values())) for name, scores in correct.items()}
    for name, intervals in gains.items():
        print(f"all - {name:<28} " + "  ".join(f"{part} {_shown(interval)}" for part, interval in intervals.items()))
    (clean, noise), (raw_clean, raw_noise) = correct["all"], correct["raw"]
    by_language = {name: _bootstrap(clean, raw_clean, [group]) for name, group in groups.items()}
    for name, interval in by_language.items():
        print(f"all - raw on clean {name:<8} {len(groups[name]):6,} videos  {_shown(interval)}")
    for kind in KINDS:
        of_kind = [np.intersect1d(group, np.flatnonzero((noisy.kind == kind).to_numpy())) for group in groups.values()]
        print(f"all - raw on {kind:<11} {_shown(_bootstrap(noise, raw_noise, of_kind))}")
    lost = [name for name, (_, _, high) in by_language.items() if high < 0]
    better = [name for name, intervals in gains.items() if intervals["both"][2] < 0]
    figures = {"noisy_gain": gains["raw"]["noisy"][0], "languages_lost": len(lost), "better_variants": len(better)}
    details = {"gain_of_all": gains, "clean_by_language": by_language, "lost": lost, "better": better}
    return verdict("text_quality", figures, BARS, AT_MOST, AT_MOST if quick else (), **details)


def _gains(default: tuple[np.ndarray, np.ndarray], variant: tuple[np.ndarray, np.ndarray], groups: list[np.ndarray]) -> dict[str, tuple[float, float, float]]:
    """The default's gain over a variant, with its interval, on clean text, on noisy text and on both together."""
    pairs = {"clean": (default[0], variant[0]), "noisy": (default[1], variant[1]), "both": (np.mean(default, axis=0), np.mean(variant, axis=0))}
    return {part: _bootstrap(*pair, groups) for part, pair in pairs.items()}


def _shown(interval: tuple[float, float, float]) -> str:
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*interval)


if __name__ == "__main__":
    sys.exit(main())
