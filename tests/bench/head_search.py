"""Which settings of the head are best for languages without labels, judged without their labels: by leaving French out, and English.

The videos of the training and validation channels are cut into three folds by channel. A head trained on English, on channels outside a
fold, is scored on the fold's French videos; one trained on French, on its English videos. The figure of a setting is the mean of both over
folds and seeds; its error is that of the paired differences to the default. All settings run on one fold with one seed; then the best
KEPT and the default run on all folds with SEEDS. The scored chain has the head, its calibration and the neighbour correction.

At the end, once, chains of the default and of the best setting are trained on both languages and scored on test channels of ar de es it ja
ko nl pl pt ru th tr zh (the catalogue's `reference_language`, which no earlier step uses): the mean over languages of top-1, and of top-1 on
the half of each language's videos with the highest confidence. Unlabelled videos have no part in this bench.

Bars: the default of [training] has a mean top-1 >= 0.65, and >= 0.82 on the half; no setting beats the default in the search by more
than two standard errors. `--quick` searches two settings on one fold, trains one seed at the end, and judges top-1 alone.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from _checkout import bench_parser, require_catalogue
from _verdict import verdict
from decisions import CONF, MUSE, load_videos, make_lake

from xlclass.config import TrainingSettings, load_settings
from xlclass.lake.registry import Registry
from xlclass.model.chain import DecisionChain
from xlclass.model.examples import Examples, Splits
from xlclass.model.fit import Draft
from xlclass.model.head import train_head
from xlclass.model.neighbours import NEIGHBOURS
from xlclass.quality.splits import TRAIN, VALIDATION

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
}
QUICK = ("default", "learning rate 0.0003")
SEEDS, FOLDS, KEPT = (7, 8, 9), (0, 1, 2), 3
LEFT_OUT = {"fr": "en", "en": "fr"}  # the language that is scored: the one that is trained on


class Search:
    """Labelled videos with their vectors; chains trained on some of them, and their scores on others."""

    def __init__(self, rows: pd.DataFrame, vectors: np.ndarray, num_categories: int) -> None:
        is_labelled = rows.labels.map(len).gt(0).to_numpy()
        self.rows, self.vectors, self.settings = rows[is_labelled].reset_index(drop=True), vectors[is_labelled], load_settings(CONF)
        self.labels = (self.rows.label.to_numpy()[:, None] == np.arange(num_categories)).astype(np.float32)
        self.fold = self.rows.channel.map(lambda channel: int(hashlib.sha256(f"head_search|{channel}".encode()).hexdigest()[:8], 16) % len(FOLDS))
        self.is_known = self.rows.side.isin([TRAIN, VALIDATION])

    def chain(self, changes: dict, seed: int, trained: pd.Series) -> DecisionChain:
        """A chain trained on the trained-on rows of the training side, and stopped and calibrated by those of the validation side."""
        settings = replace(self.settings, training=replace(TrainingSettings(), seed=seed, **changes))
        train, validation = (self._examples(trained & (self.rows.side == side)) for side in (TRAIN, VALIDATION))
        head, _ = train_head(train, validation, settings.training)
        return Draft.of(head, Splits(train, validation, validation), {}, settings).with_neighbours(NEIGHBOURS).chain

    def scores(self, chain: DecisionChain, scored: pd.Series) -> tuple[float, float]:
        """Top-1 on the scored rows that have a category, and on the half of them with the highest confidence."""
        rows = np.flatnonzero(scored & (self.rows.label >= 0))
        log_odds = chain.log_odds(self.vectors[rows], self.rows.language.to_numpy(object)[rows])
        right = self.labels[rows, log_odds.argmax(axis=1)]
        surest = np.argsort(-log_odds.max(axis=1), kind="stable")[: -(-len(rows) // 2)]
        return float(right.mean()), float(right[surest].mean())

    def left_out(self, changes: dict, fold: int, seed: int) -> dict[str, float]:
        """One fold and seed: top-1 in each language left out, and on its surer half."""
        figures = {}
        for scored, trained in LEFT_OUT.items():
            chain = self.chain(changes, seed, self.is_known & (self.rows.language == trained) & (self.fold != fold))
            top1, half = self.scores(chain, self.is_known & (self.rows.language == scored) & (self.fold == fold))
            figures |= {scored: top1, f"{scored}_half": half}
        return figures

    def _examples(self, chosen: pd.Series) -> Examples:
        rows = chosen.to_numpy()
        return Examples(self.vectors[rows], self.labels[rows], self.rows.language.to_numpy(object)[rows], self.rows.channel.to_numpy(object)[rows])


def search(rows: Search, settings: dict[str, dict], folds: Iterable[int], seeds: Iterable[int]) -> pd.DataFrame:
    """Per setting: mean top-1 of the languages left out, that of the surer half, the gain over the default and its standard error, best first.

    The gains of one fold's seeds are averaged first, because they share the fold's videos; the error is that over folds, per language.
    """
    lines = []
    for name, changes in settings.items():
        own = [{"setting": name, "fold": fold, "seed": seed, **rows.left_out(changes, fold, seed)} for fold in folds for seed in seeds]
        print(f"{name:<24} " + pd.DataFrame(own).drop(columns=["setting", "fold", "seed"]).mean().round(4).to_json(), flush=True)
        lines += own
    every, gains = pd.DataFrame(lines), []
    for language in LEFT_OUT:
        wide = every.pivot_table(index="fold", columns="setting", values=language)  # the mean over seeds
        gains.append(wide.sub(wide["default"], axis=0))
    means = every.groupby("setting")[[*LEFT_OUT, *(f"{language}_half" for language in LEFT_OUT)]].mean()
    table = pd.DataFrame(
        {
            "top1": means[list(LEFT_OUT)].mean(axis=1),
            "half": means[[f"{language}_half" for language in LEFT_OUT]].mean(axis=1),
            "gain": sum(gain.mean() for gain in gains) / len(gains),
            "error": np.sqrt(sum(gain.sem() ** 2 for gain in gains)) / len(gains),
        }
    )
    return table.sort_values("top1", ascending=False)


def on_test_channels(rows: Search, settings: dict[str, dict], seeds: Iterable[int]) -> pd.DataFrame:
    """Per setting and seed: means over MUSE's languages without labels of top-1 on test channels and on the surer half."""
    lines = []
    for name, changes in settings.items():
        for seed in seeds:
            chain = rows.chain(changes, seed, rows.rows.is_labelled)
            is_tested = rows.rows.is_scored
            top1, half = np.mean([rows.scores(chain, is_tested & (rows.rows.reference == language)) for language in MUSE], axis=0)
            lines.append({"setting": name, "seed": seed, "top1_others": top1, "half_others": half})
    return pd.DataFrame(lines)


def main() -> int:
    """Searches, scores, writes build/bench/head_search.json and prints the verdict."""
    parser = bench_parser(__doc__, "two settings, one fold, one seed; only the bar of top-1")
    parser.add_argument("--lake", type=Path, help="a lake that the main job has filled from the catalogue; the job makes one if it is left out")
    arguments = parser.parse_args()
    require_catalogue("head_search", arguments.catalogue)
    with tempfile.TemporaryDirectory() as folder:
        lake = arguments.lake or make_lake(Path(folder) / "lake")
        manifest = Registry(str(lake)).champion().manifest()
        rows = Search(*load_videos(lake, arguments.catalogue, manifest), len(manifest["categories"]))
    return _verdict(_searched(rows, arguments.quick), arguments.quick)


def _searched(rows: Search, quick: bool) -> dict[str, pd.DataFrame]:
    """The coarse search, the fine one, and the scores on test channels."""
    coarse = search(rows, {name: SEARCHED[name] for name in QUICK} if quick else SEARCHED, FOLDS[:1], SEEDS[:1])
    kept = {name: SEARCHED[name] for name in dict.fromkeys(["default", *coarse.index[: KEPT + 1]])}
    fine = coarse if quick else search(rows, kept, FOLDS, SEEDS)
    final = {name: SEARCHED[name] for name in dict.fromkeys(["default", fine.index[0]])}
    return {"coarse": coarse, "fine": fine, "tested": on_test_channels(rows, final, SEEDS[:1] if quick else SEEDS)}


def _verdict(tables: dict[str, pd.DataFrame], quick: bool) -> int:
    fine, tested = tables["fine"], tables["tested"]
    for name in ("coarse", "fine"):
        print(f"\n{name}\n{tables[name].to_string(float_format='%.4f')}")
    scores = tested.groupby("setting", sort=False)[["top1_others", "half_others"]].agg(["mean", "sem"])
    print(f"\ntest channels of {' '.join(MUSE)}\n{scores.to_string(float_format='%.4f')}\n")
    better = [name for name in fine.index if fine.gain[name] > 2 * fine.error[name]]
    default = tested[tested.setting == "default"]
    figures = {"top1_others": float(default.top1_others.mean()), "half_others": float(default.half_others.mean()), "settings_better": len(better)}
    records = {name: json.loads(table.reset_index().to_json(orient="records")) for name, table in tables.items()}
    unjudged = set(BARS) - {"top1_others"} if quick else ()
    return verdict("head_search", figures, BARS, ("settings_better",), unjudged, better=better, settings=SEARCHED, **records)


if __name__ == "__main__":
    sys.exit(main())
