"""What each step of the text preparation is worth: top-1 per language with all of it, each step off in turn, and none of it.

One fixed sample of 20,000 real videos: 8,000 labelled English and French ones of training channels, 12,000 of test channels in all
languages. Every variant trains the same heads on its own texts and is scored on the test videos twice: as they are, and on
their titles alone with injected noise (a quarter each: typos, repeated letters, words joined to one hashtag, only three tags).
Languages are `reference_language`; averages are over those with at least 300 test videos. Intervals: paired bootstrap, 95 %.

A head's own luck (a point more or less from one seed to the next) is as large as the effects: every variant trains SEEDS heads,
and the bootstrap draws heads as well as videos.

Bars: on noisy text the whole preparation beats raw lower-cased text by >= 3 points on average; on clean text no language with 300
videos loses significantly against raw; no variant is significantly better than the default on clean and noisy text together.
`--quick` takes 3,000 videos and judges the noisy bar only.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from xlclass.catalog import load_preparation  # noqa: E402  the bench runs from a checkout
from xlclass.catalog.language import decide_all  # noqa: E402
from xlclass.catalog.taxonomy import load_taxonomy  # noqa: E402
from xlclass.catalog.text import STEPS, Preparation  # noqa: E402
from xlclass.config import Settings, TrainingSettings, load_settings  # noqa: E402
from xlclass.encoders import resolve_encoder  # noqa: E402
from xlclass.encoders.batches import embed_column  # noqa: E402
from xlclass.encoders.contract import EncoderSpec  # noqa: E402
from xlclass.encoders.udf import cap_threads  # noqa: E402
from xlclass.model.examples import Examples  # noqa: E402
from xlclass.model.head import train_head  # noqa: E402
from xlclass.quality.splits import TEST, TRAIN, VALIDATION, Split  # noqa: E402
from xlclass.schemas import unpack_vectors  # noqa: E402

BARS = {"noisy_gain": 0.03, "languages_lost": 0, "better_variants": 0}
KINDS = ("typos", "repeats", "hashtag", "three_tags")
MIN_TEST = 300
SEEDS = tuple(range(7, 15))
RESAMPLES = 1_000


def main() -> int:
    """Runs every variant, writes build/bench/text_quality.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet")
    parser.add_argument("--quick", action="store_true", help="3,000 videos, the noisy bar only")
    parser.add_argument("--variants", type=lambda names: names.split(","), metavar="NAMES", help='only these beside raw and all: "with case,emoji drop"')
    arguments = parser.parse_args()
    if not arguments.catalogue.is_file():
        print(f"text_quality: there is no {arguments.catalogue}; give --catalogue")
        return 2
    settings = load_settings(ROOT / "conf" / "youtube.toml")
    rows = _sample(pq.read_table(arguments.catalogue).to_pandas(), settings, 3_000 if arguments.quick else 20_000)
    noisy = _with_noise(rows[rows.side == TEST])
    encode = Encoding(resolve_encoder(settings))
    variants: dict[str, Preparation | None] = {"raw": None} | _variants(settings)
    if arguments.quick or arguments.variants:
        variants = {name: variants[name] for name in ("raw", "all", *(arguments.variants or ()))}
    right = {}
    for name, preparation in variants.items():
        right[name] = _right(rows, noisy, preparation, encode, settings)
        print(f"{name:<28} clean {_mean(right[name][0], rows):.4f}  noisy {_mean(right[name][1], rows):.4f}", flush=True)
    return _verdict(right, rows, noisy, arguments.quick)


def _variants(settings: Settings) -> dict[str, Preparation]:
    """All of it as the settings have it, each step off in turn, and the other choices for emoji and description."""
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
    nothing = [None] * len(catalogue)
    decided = decide_all(catalogue.title, catalogue.tags, catalogue.description, catalogue.declared_language, nothing)
    catalogue = catalogue.assign(language=[decision.language for decision in decided], reference=catalogue.reference_language.str.split("-").str[0])
    teaching = catalogue[catalogue.language.isin(settings.training.languages) & catalogue.side.isin([TRAIN, VALIDATION])]
    common = teaching.label.value_counts()
    labelled = catalogue.label.isin(common[common >= settings.taxonomy.min_training_videos].index)
    teaching = teaching[labelled.loc[teaching.index]].sample(num * 2 // 5, random_state=1)
    tested = catalogue[(catalogue.side == TEST) & labelled & catalogue.reference.notna()].sample(num * 3 // 5, random_state=1)
    return pd.concat([teaching, tested]).reset_index(drop=True)


def _with_noise(rows: pd.DataFrame) -> pd.DataFrame:
    """The videos as title alone, each spoilt in one way, or as three tags alone."""
    rng = np.random.default_rng(2)
    kinds = rng.choice(KINDS, len(rows))
    spoilt = [_spoilt(row.title, row.tags, kind, rng) for row, kind in zip(rows.itertuples(), kinds, strict=True)]
    return rows.assign(kind=kinds, title=[title for title, _ in spoilt], tags=[tags for _, tags in spoilt], description=None)


def _spoilt(title: str, tags: np.ndarray | None, kind: str, rng: np.random.Generator) -> tuple[str | None, list[str]]:
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
    """Texts to vectors in two one-thread processes; a text is encoded once, whatever variants it occurs in."""

    def __init__(self, spec: EncoderSpec) -> None:
        self._known: dict[str, bytes] = {}
        self._dim = spec.dim
        self.pool = multiprocessing.get_context("spawn").Pool(2, _start, [spec])

    def __call__(self, texts: list[str | None]) -> np.ndarray:
        """Vectors, `(len(texts), dim) float32`; zeros for no text."""
        new = list({text for text in texts if text} - set(self._known))
        chunks = [new[i : i + 500] for i in range(0, len(new), 500)]
        for chunk, packed in zip(chunks, self.pool.map(_encode, chunks, chunksize=1), strict=True):
            self._known.update(zip(chunk, packed, strict=True))
        nothing = bytes(2 * self._dim)
        return unpack_vectors([self._known[text] if text else nothing for text in texts], self._dim)


def _start(spec: EncoderSpec) -> None:
    from xlclass.encoders.saved_model import load_encoder

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    cap_threads(1)
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


def _right(rows: pd.DataFrame, noisy: pd.DataFrame, preparation: Preparation | None, encode: Encoding, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Which test videos get their label from the head of each seed, `(num_seeds, num_test) bool` each: as they are, and with noise."""
    vectors, categories = encode(_texts(rows, preparation)), sorted(rows.label.unique())
    labels = (rows.label.to_numpy()[:, None] == np.array(categories)[None, :]).astype(np.float32)
    sides = {side: (rows.side == side).to_numpy() for side in (TRAIN, VALIDATION, TEST)}
    examples = [Examples(vectors[sides[side]], labels[sides[side]]) for side in (TRAIN, VALIDATION)]
    tested = [vectors[sides[TEST]], encode(_texts(noisy, preparation))]
    truth = labels[sides[TEST]].argmax(axis=1)
    tasks = [(examples, tested, dataclasses.replace(settings.training, seed=seed)) for seed in SEEDS]
    tops = np.array(encode.pool.starmap(_tops, tasks, chunksize=1))
    return tops[:, 0] == truth, tops[:, 1] == truth


def _tops(examples: list[Examples], tested: list[np.ndarray], training: TrainingSettings) -> list[np.ndarray]:
    """The top category of each tested vector, from a head trained on the examples."""
    head, _ = train_head(*examples, training)
    return [head.logits(vectors).argmax(axis=1) for vectors in tested]


def _groups(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Positions of the test videos of each language that has enough of them."""
    languages = rows[rows.side == TEST].reference.to_numpy()
    names, counts = np.unique(languages.astype(str), return_counts=True)
    enough = [name for name, count in zip(names, counts, strict=True) if count >= min(MIN_TEST, len(languages) // 10)]
    return {name: np.flatnonzero(languages == name) for name in enough}


def _mean(right: np.ndarray, rows: pd.DataFrame) -> float:
    return float(np.mean([right[:, group].mean() for group in _groups(rows).values()]))


def _bootstrap(ours: np.ndarray, others: np.ndarray, groups: list[np.ndarray]) -> tuple[float, float, float]:
    """Mean over the groups of the mean difference of `(num_seeds, num_test)` scores, and its 95 % interval.

    Videos are drawn anew within each group, the same for both sides; heads are drawn anew for each side.
    """
    rng = np.random.default_rng(3)
    draws = []
    for _ in range(RESAMPLES):
        drawn = [side[rng.integers(len(side), size=len(side))].mean(axis=0) for side in (ours, others)]
        videos = [rng.choice(group, len(group)) for group in groups]
        draws.append(np.mean([(drawn[0][group] - drawn[1][group]).mean() for group in videos]))
    return float(np.mean([(ours[:, group].mean() - others[:, group].mean()) for group in groups])), *map(float, np.quantile(draws, [0.025, 0.975]))


def _verdict(right: dict[str, tuple[np.ndarray, np.ndarray]], rows: pd.DataFrame, noisy: pd.DataFrame, quick: bool) -> int:
    groups, (clean, noise), both = _groups(rows), right["all"], np.mean(right["all"], axis=0)
    table, better = {}, []
    for name, (other_clean, other_noise) in right.items():
        pairs = {"clean": (clean, other_clean), "noisy": (noise, other_noise), "both": (both, (other_clean.astype(float) + other_noise) / 2)}
        table[name] = {part: _bootstrap(*pair, list(groups.values())) for part, pair in pairs.items()}
        better += [name] if table[name]["both"][2] < 0 else []
        print(f"all - {name:<28} " + "  ".join(f"{part} {_shown(interval)}" for part, interval in table[name].items()))
    by_language = {name: _bootstrap(clean, right["raw"][0], [group]) for name, group in groups.items()}
    lost = [name for name, (_, _, high) in by_language.items() if high < 0]
    for name, interval in by_language.items():
        print(f"all - raw on clean {name:<8} {len(groups[name]):6,} videos  {_shown(interval)}")
    for kind in KINDS:
        spoilt = [np.intersect1d(group, np.flatnonzero((noisy.kind == kind).to_numpy())) for group in groups.values()]
        print(f"all - raw on {kind:<11} {_shown(_bootstrap(noise, right['raw'][1], spoilt))}")
    figures = {"noisy_gain": table["raw"]["noisy"][0], "languages_lost": len(lost), "better_variants": len(better)}
    judged = {"noisy_gain": figures["noisy_gain"] >= BARS["noisy_gain"], "languages_lost": not lost, "better_variants": not better}
    judged = {"noisy_gain": judged["noisy_gain"]} if quick else judged
    report = ROOT / "build" / "bench" / "text_quality.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(
        json.dumps({"figures": figures, "bars": BARS, "gain_of_all": table, "clean_by_language": by_language, "lost": lost, "better": better}, indent=1)
    )
    signs = {"noisy_gain": ">=", "languages_lost": "<=", "better_variants": "<="}
    parts = [
        f"{name} {value:.4g} ({signs[name]} {BARS[name]}) {'not judged' if name not in judged else 'ok' if judged[name] else 'MISSED'}"
        for name, value in figures.items()
    ]
    print("text_quality: " + "; ".join(parts))
    return 0 if all(judged.values()) else 1


def _shown(interval: tuple[float, float, float]) -> str:
    return "{:+.4f} [{:+.4f}, {:+.4f}]".format(*interval)


if __name__ == "__main__":
    sys.exit(main())
