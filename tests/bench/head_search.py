"""Which head is best for languages without labels, judged without their labels: by leaving French out, and English.

The videos of the training and validation channels, cut into three folds by channel. A head trained on English, on channels outside
a fold, is scored on the fold's French videos; one trained on French, on its English ones. A setting's figure is the mean of both
over folds and seeds, its error that of the paired differences to the default. All settings run on one fold with one seed; the best
KEPT, the default and the baselines (one seed: chance has no part in them) on all folds with SEEDS. Weights of languages cannot be
judged with one training language: `both` is trained on both and scored on the fold in each, with and without. What is scored is what
the job ships: the head with the neighbours' say, whose width and weight are those that training chose on this catalogue (NEIGHBOURS).

At the end, once, heads of the default, of the best setting and of the two baselines are trained as the job trains them and scored on
test channels of ar de es it ja ko nl pl pt ru th tr zh (the catalogue's `reference_language`, which no step before has seen): the mean
over languages of top-1, and of top-1 on the half of each language's videos with the highest confidence.

Bars: the default of [training] has a mean top-1 >= 0.65, and >= 0.82 on the half; no setting beats the default in the search by more
than two standard errors. `--quick` searches two settings on one fold, trains one seed at the end, and judges top-1 alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from _verdict import verdict
from real_catalogue import OTHERS, ROOT
from real_catalogue import _run as run_main_job

sys.path.insert(0, str(ROOT))

from xlclass.catalog.language import base_language  # noqa: E402  the bench runs from a checkout
from xlclass.catalog.taxonomy import load_taxonomy  # noqa: E402
from xlclass.config import SplitSettings, TaxonomySettings, TrainingSettings, load_settings  # noqa: E402
from xlclass.lake.reading import embeddings_of  # noqa: E402
from xlclass.lake.registry import Registry  # noqa: E402
from xlclass.model.calibration import fit_calibration  # noqa: E402
from xlclass.model.examples import Examples  # noqa: E402
from xlclass.model.fit import Fitted  # noqa: E402
from xlclass.model.head import logits, train_head  # noqa: E402
from xlclass.model.leave_one_language_out import Say, prototypes_of  # noqa: E402
from xlclass.model.thresholds import Thresholds  # noqa: E402
from xlclass.quality.splits import TRAIN, VALIDATION, Split  # noqa: E402
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set  # noqa: E402
from xlclass.schemas import unpack_vectors  # noqa: E402

BARS = {"top1_others": 0.65, "half_others": 0.82, "settings_better": 0}
SEARCHED: dict[str, dict] = {
    "default": {},
    "hidden 512": {"hidden": (512,)},
    "hidden 512, 256": {"hidden": (512, 256)},
    "hidden 1024, 256": {"hidden": (1024, 256)},
    "hidden 128": {"hidden": (128,)},
    "dropout 0.3": {"dropout": 0.3},
    "dropout 0.7": {"dropout": 0.7},
    "learning rate 0.003": {"learning_rate": 3e-3},
    "learning rate 0.0003": {"learning_rate": 3e-4},
    "learning rate 0.0001": {"learning_rate": 1e-4},
    "batch 256": {"batch_size": 256},
    "patience 12": {"patience": 12},
    "balanced": {"class_weights": "balanced"},
    "mixup 0.2": {"mixup": 0.2},
    "mixup 1": {"mixup": 1.0},
    "smoothing 0.05": {"label_smoothing": 0.05},
    "smoothing 0.1": {"label_smoothing": 0.1},
    "decay 0.01": {"weight_decay": 0.01},
    "decay 0.1": {"weight_decay": 0.1},
    "averaging 0.99": {"averaging": 0.99},
    "averaging 0.998": {"averaging": 0.998},
}
WEIGHTED = {"default": {}, "equal languages": {"language_weights": "equal"}}
BASELINES: dict[str, dict] = {"logistic": {"head": "logistic"}, "neighbours": {"head": "neighbours"}}
QUICK = ("default", "learning rate 0.0003")
SEEDS = (7, 8, 9)
FOLDS = (0, 1, 2)
KEPT = 3
LEFT_OUT = {"fr": (["en"], ["fr"]), "en": (["fr"], ["en"])}  # what is taught, what is scored
BOTH = {"both": (["en", "fr"], ["en", "fr"])}
DIM = 512
NEIGHBOURS = Say(width=0.04, weight=0.6)


def load_rows(lake: Path, catalogue: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Videos with a label and a vector (language, reference, side, fold, label as an index or -1), their vectors, and the categories learnt."""
    shares, taxonomy = SplitSettings(), load_taxonomy(ROOT / "conf" / "taxonomy.toml")
    split = Split(shares.salt, shares.train, shares.validation, shares.calibration)
    videos = deltalake.DeltaTable(str(lake / "videos")).to_pandas(columns=list(VIDEO_COLUMNS))
    encoder_id = Registry(str(lake)).champion().manifest()["encoder_id"]
    embeddings = embeddings_of(str(lake), encoder_id).to_table(columns=["video_id", "vector"]).to_pandas()
    references = pq.read_table(catalogue, columns=["video_id", "reference_language"]).to_pandas()
    rows = videos.merge(embeddings.dropna(subset="vector"), on="video_id").merge(references, on="video_id").sort_values("video_id", ignore_index=True)
    rows = rows[rows.labels.map(len) > 0].reset_index(drop=True)
    group = rows.channel_id.fillna(rows.video_id)
    rows = rows.assign(side=group.map(split.of), fold=group.map(_fold), name=rows.labels.str[0])
    counts = rows[(rows.side == TRAIN) & rows.language.isin(TrainingSettings().languages)].name.value_counts()
    categories = [name for name in taxonomy.categories if counts.get(name, 0) >= TaxonomySettings().min_training_videos]
    label = rows.name.map({name: i for i, name in enumerate(categories)}).fillna(-1).astype(int)
    rule = {"split": dataclasses.asdict(split), "languages": TrainingSettings().languages, "categories": categories}
    is_scored = rows.video_id.isin(shared_test_set([videos], [rule]).video_id)
    rows = rows.assign(label=label, reference=[base_language(code)[0] for code in rows.reference_language], is_scored=is_scored)
    return rows.drop(columns="vector"), unpack_vectors(rows.vector.tolist(), DIM), categories


def _fold(channel: str) -> int:
    return int(hashlib.sha256(f"head_search|{channel}".encode()).hexdigest()[:8], 16) % len(FOLDS)


class Search:
    """Heads with their neighbours, of parts of the rows, and how right they are on others."""

    def __init__(self, rows: pd.DataFrame, vectors: np.ndarray, categories: list[str]) -> None:
        self.rows, self.vectors, self.one_hot = rows, vectors, np.eye(len(categories), dtype=np.float32)
        self.categories, self.settings = categories, load_settings(ROOT / "conf" / "youtube.toml")

    def examples(self, chosen: pd.Series) -> Examples:
        """The rows with their labels; a label that is none of the categories' teaches that it is none of them."""
        label = self.rows.label[chosen].to_numpy()
        labels = np.where(label[:, None] >= 0, self.one_hot[label], 0)
        return Examples(self.vectors[chosen.to_numpy()], labels.astype(np.float32), self.rows.language[chosen].to_numpy())

    def fitted(self, changes: dict, seed: int, teaching: pd.Series) -> Fitted:
        """A head trained on the teaching rows of the training side, stopped by those of the validation side and calibrated on them, with its neighbours."""
        settings = dataclasses.replace(self.settings, training=dataclasses.replace(TrainingSettings(), seed=seed, **changes))
        taught, held = (self.examples(teaching & (self.rows.side == side)) for side in (TRAIN, VALIDATION))
        head, prototypes = train_head(taught, held, settings.training)[0], prototypes_of(taught, settings, NEIGHBOURS)
        said = logits(head, held.vectors), held.labels, held.languages
        calibration = fit_calibration(*said, settings.calibration, prototypes.shares(held.vectors), NEIGHBOURS.weight)
        return Fitted(head, calibration, Thresholds(()), {}, prototypes)

    def scores(self, fitted: Fitted, scored: pd.Series) -> tuple[float, float]:
        """Top-1 on the scored rows that have a category, and on the half of them with the highest confidence."""
        scored = scored & (self.rows.label >= 0)
        said = fitted.log_odds(self.vectors[scored.to_numpy()], self.rows.language[scored].to_numpy(object))
        right = said.argmax(axis=1) == self.rows.label[scored]
        surest = np.argsort(-said.max(axis=1), kind="stable")[: -(-len(said) // 2)]
        return float(right.mean()), float(right.to_numpy()[surest].mean())

    def cell(self, changes: dict, fold: int, seed: int, ways: dict) -> dict[str, float]:
        """One fold, one seed: for each way of teaching and scoring top-1, and that of the surest half."""
        rows, found = self.rows, {}
        known = rows.side.isin([TRAIN, VALIDATION])
        for name, (taught, scored) in ways.items():
            fitted = self.fitted(changes, seed, known & rows.language.isin(taught) & (rows.fold != fold))
            each = [self.scores(fitted, known & (rows.language == language) & (rows.fold == fold)) for language in scored]
            found |= {name: float(np.mean([top1 for top1, _ in each])), f"{name}_half": float(np.mean([half for _, half in each]))}
        return found


def search(rows: Search, settings: dict[str, dict], folds: Iterable[int], seeds: Iterable[int], ways: dict = LEFT_OUT) -> pd.DataFrame:
    """One line per setting, fold and seed, with what `Search.cell` found."""
    lines = []
    for name, changes in settings.items():
        own = [{"setting": name, "fold": fold, "seed": seed, **rows.cell(changes, fold, seed, ways)} for fold in folds for seed in seeds]
        print(f"{name:<24} " + pd.DataFrame(own).drop(columns=["setting", "fold", "seed"]).mean().round(4).to_json(), flush=True)
        lines += own
    return pd.DataFrame(lines)


def compared(lines: pd.DataFrame, ways: Iterable[str] = tuple(LEFT_OUT)) -> pd.DataFrame:
    """Per setting: mean top-1 over the ways, that of the surest half, the gain over the default and its standard error, best first.

    The gains of one fold's seeds are averaged first, as they share the fold's videos; the error is that over folds, of each way apart.
    """
    gains = []
    for way in ways:
        wide = lines.pivot_table(index="fold", columns="setting", values=way)  # the mean over seeds
        gains.append(wide.sub(wide["default"], axis=0))
    by_setting = lines.groupby("setting")
    table = pd.DataFrame(
        {
            "top1": by_setting[list(ways)].mean().mean(axis=1),
            "half": by_setting[[f"{way}_half" for way in ways]].mean().mean(axis=1),
            "gain": sum(gain.mean() for gain in gains) / len(gains),
            "error": np.sqrt(sum(gain.sem() ** 2 for gain in gains)) / len(gains),
        }
    )
    return table.sort_values("top1", ascending=False)


def on_test_channels(rows: Search, settings: dict[str, dict], seeds: Iterable[int]) -> pd.DataFrame:
    """Per setting: mean over OTHERS of top-1 on test channels and on the surest half, its error over seeds, and the figures per language."""
    taught, lines = rows.rows.language.isin(TrainingSettings().languages), []
    for name, changes in settings.items():
        for seed in seeds:
            fitted = rows.fitted(changes, seed, taught)
            each = {language: rows.scores(fitted, rows.rows.is_scored & (rows.rows.reference == language)) for language in [*OTHERS, "en", "fr"]}
            top1, half = (float(np.mean([each[language][i] for language in OTHERS])) for i in (0, 1))
            lines.append({"setting": name, "seed": seed, "top1_others": top1, "half_others": half, "languages": each})
    return pd.DataFrame(lines)


def main() -> int:
    """Searches, scores, writes build/bench/head_search.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet")
    parser.add_argument("--lake", type=Path, help="a lake that the main job has filled from the catalogue; without it one is made")
    parser.add_argument("--quick", action="store_true", help="two settings, one fold, one seed; the bar of top-1 only")
    arguments = parser.parse_args()
    if not arguments.catalogue.is_file():
        print(f"head_search: there is no {arguments.catalogue}; give --catalogue")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.lake:
            run_main_job(arguments.catalogue.absolute(), Path(folder))
        rows = Search(*load_rows(arguments.lake or Path(folder) / "lake", arguments.catalogue))
    return _verdict(_searched(rows, arguments.quick), arguments.quick)


def _searched(rows: Search, quick: bool) -> dict[str, pd.DataFrame]:
    """The coarse search, the fine one, the weights of languages, and the scores on test channels."""
    coarse = compared(search(rows, {name: SEARCHED[name] for name in QUICK} if quick else SEARCHED, FOLDS[:1], SEEDS[:1]))
    tables = {"coarse": coarse, "fine": coarse}
    if not quick:
        kept = {name: SEARCHED[name] for name in dict.fromkeys(["default", *coarse.index[: KEPT + 1]])}
        tables["fine"] = compared(pd.concat([search(rows, kept, FOLDS, SEEDS), search(rows, BASELINES, FOLDS, SEEDS[:1])]))
        tables["weighted"] = compared(search(rows, WEIGHTED, FOLDS, SEEDS[:1], BOTH), BOTH)
    best = next(name for name in tables["fine"].index if name not in BASELINES)
    final, seeds = {name: SEARCHED[name] for name in dict.fromkeys(["default", best])}, SEEDS[:1] if quick else SEEDS
    tested = [on_test_channels(rows, final, seeds), on_test_channels(rows, BASELINES, SEEDS[:1])]
    return tables | {"tested": pd.concat(tested, ignore_index=True)}


def _verdict(tables: dict[str, pd.DataFrame], quick: bool) -> int:
    fine, tested = tables["fine"], tables["tested"]
    for name in ("coarse", "fine", "weighted"):
        if name in tables:
            print(f"\n{name}\n{tables[name].to_string(float_format='%.4f')}")
    scores = tested.groupby("setting", sort=False)[["top1_others", "half_others"]].agg(["mean", "sem"])
    print(f"\ntest channels of {' '.join(OTHERS)}\n{scores.to_string(float_format='%.4f')}\n")
    better = [name for name in fine.index if name not in BASELINES and fine.gain[name] > 2 * fine.error[name]]
    default = tested[tested.setting == "default"]
    figures = {"top1_others": float(default.top1_others.mean()), "half_others": float(default.half_others.mean()), "settings_better": len(better)}
    records = {name: json.loads(table.reset_index().to_json(orient="records")) for name, table in tables.items()}
    unjudged = set(BARS) - {"top1_others"} if quick else ()
    return verdict("head_search", figures, BARS, ("settings_better",), unjudged, better=better, settings=SEARCHED, **records)


if __name__ == "__main__":
    sys.exit(main())
