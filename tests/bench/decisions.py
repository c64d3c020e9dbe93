"""Are confidences to be trusted, per language? Before and after calibration, on the real catalogue's test channels.

The champion of a lake of the real catalogue (`--lake`, or one that the main job makes now) decides on the labelled test videos,
those whose text occurs in training left out. "Before" is the sigmoid of its logits. The languages of the calibration bars are the
lake's own, with at least 300 test videos; those of the accuracy bars are ar de es it ja ko nl pl pt ru th tr zh by the
catalogue's `reference_language`, which no job sees. Intervals are of a paired bootstrap over channels. A plain logistic regression
and nearest neighbours, trained and calibrated on the same sample, stand beside the head. `ece_own_labels` is no rival but a yardstick:
the error on half of a language's test channels after a temperature and a bias fitted on the labels of the other half, which no job may see.

Bars: debiased top-1 ECE <= 0.05 in English and French; over the other languages the mean ECE falls by a quarter and the log-loss
is lower in 80 % of them; mean top-1 >= 0.65 at full and >= 0.82 at 50 % coverage, cut per language.
`--quick` bootstraps 100 times instead of 1,000 and leaves the other heads out; it needs `--lake`.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from _verdict import verdict
from scipy.special import expit, logit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from xlclass.catalog.language import base_language  # noqa: E402  the bench runs from a checkout
from xlclass.config import Settings, load_settings  # noqa: E402
from xlclass.lake.reading import embeddings_of  # noqa: E402
from xlclass.lake.registry import Registry  # noqa: E402
from xlclass.model.calibration import fit_temperature, log_losses  # noqa: E402
from xlclass.model.examples import Examples  # noqa: E402
from xlclass.model.fit import fit  # noqa: E402
from xlclass.model.leave_one_language_out import Sides  # noqa: E402
from xlclass.quality.calibration_error import debiased_ece, merged_bins  # noqa: E402
from xlclass.quality.splits import Split  # noqa: E402
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set  # noqa: E402
from xlclass.schemas import unpack_vectors  # noqa: E402

CONF = ROOT / "conf" / "youtube.toml"
CATALOGUE = ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet"
MUSE = ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"]
LEAST_VIDEOS = 300
BARS = {"ece_en": 0.05, "ece_fr": 0.05, "ece_fall": 0.25, "log_loss_lower": 0.8, "top1": 0.65, "top1_at_50": 0.82}
AT_MOST = ("ece_en", "ece_fr")


def main() -> int:
    """Measures, writes build/bench/decisions.json and prints the tables and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE)
    parser.add_argument("--lake", type=Path, help="a lake of that catalogue; made by the main job where there is none")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if not given.catalogue.is_file() or given.quick and not given.lake:
        print(f"decisions: there is no {given.catalogue}; give --catalogue, and --lake with --quick")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        lake = given.lake or _made(Path(folder) / "lake")
        champion = Registry(str(lake)).champion()
        if champion is None:
            print(f"decisions: the lake {lake} has no champion; run jobs/pipeline.py on it first")
            return 2
        bundle = champion.load()
        videos = _videos(lake, given.catalogue, bundle.manifest)
    vectors = unpack_vectors(videos.vector.tolist(), bundle.manifest["dim"])
    test = videos.is_scored
    scored, told = videos[test].reset_index(drop=True), bundle.decide(vectors[test], videos.language[test].tolist())
    before, after = (Said(scored, confidences, len(bundle.categories)) for confidences in (expit(told.logits.astype(np.float64)), told.confidences))
    table = _languages(before, after, 100 if given.quick else 1_000)
    print(table.to_string(index=False, float_format="%.3f"))
    means = table[~table.language.isin(["en", "fr"])][["ece_before", "ece_after", "ece_own_labels"]].mean()
    print("mean ECE of the other languages: {:.3f} before, {:.3f} after, {:.3f} with labels of their own".format(*means))
    figures = _figures(table, after)
    others = {} if given.quick else _other_heads(videos, vectors, test.to_numpy(), bundle, load_settings(CONF))
    print(pd.DataFrame({"keras, as trained": _accuracy(after), **others}).T.to_string(float_format="%.4f"))
    return _verdict(figures, table, others)


class Said:
    """What was said of the test videos: rows, confidences, and what follows from them."""

    def __init__(self, rows: pd.DataFrame, confidences: np.ndarray, num_categories: int) -> None:
        self.rows, self.confidences = rows, np.asarray(confidences, np.float64)
        self.labels = np.eye(num_categories)[rows.label]
        self.top = self.confidences.max(axis=1)
        self.right = self.labels[np.arange(len(rows)), self.confidences.argmax(axis=1)]
        self.log_odds = logit(self.confidences.clip(1e-7, 1 - 1e-7))
        self.losses = log_losses(self.log_odds, self.labels).mean(axis=1)

    def ece(self, rows: np.ndarray) -> float:
        """Debiased top-1 calibration error over the rows."""
        fine = np.floor(self.top[rows] * 1000).astype(int)
        sums = [np.bincount(fine, weights) for weights in (None, self.top[rows], self.right[rows])]
        there = sums[0] > 0
        return debiased_ece(merged_bins(*(each[there].tolist() for each in sums))) or 0.0

    def at_coverage(self, rows: np.ndarray, share: float) -> float:
        """Top-1 over the most confident share of the rows."""
        order = np.argsort(-self.top[rows], kind="stable")[: int(np.ceil(share * len(rows)))]
        return float(self.right[rows][order].mean())


def _made(lake: Path) -> Path:
    subprocess.run(["spark-submit", str(ROOT / "jobs" / "pipeline.py"), "--conf", str(CONF), "--lake", str(lake)], check=True)
    return lake


def _videos(lake: Path, catalogue: Path, manifest: dict) -> pd.DataFrame:
    """Videos with a vector: language, reference, group, side, label (an index, -1 for none), vector, and whether they are in the test set."""
    videos = deltalake.DeltaTable(str(lake / "videos")).to_pandas(columns=list(VIDEO_COLUMNS))
    vectors = embeddings_of(str(lake), manifest["encoder_id"]).to_table(columns=["video_id", "vector"]).to_pandas().dropna()
    reference = pq.read_table(catalogue, columns=["video_id", "reference_language"]).to_pandas().drop_duplicates("video_id")
    rows = videos.merge(vectors, on="video_id").merge(reference, on="video_id", how="left").sort_values("video_id", ignore_index=True)
    index = {name: i for i, name in enumerate(manifest["categories"])}
    rows["label"] = [next((index[name] for name in labels if name in index), -1) for labels in rows.labels]
    rows["group"] = rows.channel_id.fillna(rows.video_id)
    rows["side"] = rows.group.map(Split(**manifest["split"]).of)
    rows["reference"] = [base_language(code)[0] for code in rows.reference_language]
    rows["is_scored"] = rows.video_id.isin(shared_test_set([videos], [manifest]).video_id)
    return rows


def _languages(before: Said, after: Said, rounds: int) -> pd.DataFrame:
    """Per language with enough test videos: calibration before and after, and the interval of what log-loss and ECE fell by."""
    table = []
    for language, group in before.rows.groupby("language"):
        if len(group) < LEAST_VIDEOS:
            continue
        rows = group.index.to_numpy()
        resampled = list(_resampled(before.rows.group.to_numpy()[rows], rounds))
        eces = np.array([[said.ece(rows[draw]) for said in (before, after)] for draw in resampled[: rounds // 5]])
        losses = (before.losses - after.losses)[rows]
        table.append(
            {
                "language": language,
                "videos": len(rows),
                "channels": group.group.nunique(),
                "top1": after.right[rows].mean(),
                "top1_at_50": after.at_coverage(rows, 0.5),
                "ece_before": before.ece(rows),
                "ece_after": after.ece(rows),
                "ece_own_labels": _with_own_labels(after, rows),
                "ece_fall_interval": _interval(eces[:, 0] - eces[:, 1]),
                "log_loss_before": before.losses[rows].mean(),
                "log_loss_after": after.losses[rows].mean(),
                "log_loss_fall_interval": _interval(np.array([losses[draw].mean() for draw in resampled]), 4),
            }
        )
    return pd.DataFrame(table).sort_values("videos", ascending=False)


def _with_own_labels(said: Said, rows: np.ndarray, rounds: int = 10) -> float:
    """Mean calibration error on halves of the rows' channels, each after a temperature and a bias of the other half."""
    groups, errors, rng = said.rows.group.to_numpy()[rows], [], np.random.default_rng(7)
    for _ in range(rounds):
        channels = rng.permutation(np.unique(groups))
        is_half = np.isin(groups, channels[: len(channels) // 2])
        for taught, asked in ((rows[is_half], rows[~is_half]), (rows[~is_half], rows[is_half])):
            temperature, bias = fit_temperature(said.log_odds[taught], said.labels[taught])
            own = Said(said.rows.iloc[asked].reset_index(drop=True), expit(said.log_odds[asked] / temperature + bias), said.labels.shape[1])
            errors.append(own.ece(np.arange(len(asked))))
    return float(np.mean(errors))


def _resampled(groups: np.ndarray, rounds: int):  # noqa: ANN202
    """Draws of whole channels with replacement, as positions."""
    _, codes = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(7)
    for _ in range(rounds):
        yield np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])


def _interval(values: np.ndarray, digits: int = 3) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _accuracy(said: Said) -> dict[str, float]:
    """Top-1 at full and at half coverage, the mean over MUSE's languages; and over English and French."""
    rows = [np.flatnonzero(said.rows.reference == language) for language in MUSE]
    own = np.flatnonzero(said.rows.language.isin(["en", "fr"]))
    means = {name: float(np.mean([said.at_coverage(each, share) for each in rows])) for name, share in (("top1", 1.0), ("top1_at_50", 0.5))}
    return means | {"top1_en_fr": float(said.right[own].mean())}


def _figures(table: pd.DataFrame, after: Said) -> dict[str, float]:
    indexed = table.set_index("language")
    others = indexed.drop(index=["en", "fr"])
    accuracy = _accuracy(after)
    return {
        "ece_en": indexed.ece_after["en"],
        "ece_fr": indexed.ece_after["fr"],
        "ece_fall": 1 - others.ece_after.mean() / others.ece_before.mean(),
        "log_loss_lower": float((others.log_loss_after < others.log_loss_before).mean()),
        "top1": accuracy["top1"],
        "top1_at_50": accuracy["top1_at_50"],
    }


def _other_heads(videos: pd.DataFrame, vectors: np.ndarray, test: np.ndarray, bundle, settings: Settings) -> dict[str, dict[str, float]]:  # noqa: ANN001
    """The accuracy of the other heads, on the same vectors and split, calibrated alike."""
    labels = np.where(videos.label.to_numpy()[:, None] == np.arange(len(bundle.categories)), 1, 0).astype(np.float32)
    own = videos.language.isin(bundle.manifest["languages"]) & videos.labels.map(len).gt(0)
    parts = {}
    for side in ("train", "validation", "calibration"):
        rows = (own & (videos.side == side)).to_numpy()
        parts[side] = Examples(vectors[rows], labels[rows], videos.language.to_numpy(object)[rows])
    sides = Sides(parts["train"], parts["validation"], Examples.of(parts["validation"], parts["calibration"]))
    rules, rest = settings.calibration, videos[~videos.language.isin(bundle.manifest["languages"])].sample(frac=1, random_state=1)
    others = {code: rows.index[: rules.max_unlabelled] for code, rows in rest.groupby("language") if len(rows) >= rules.min_unlabelled}
    unlabelled = {code: vectors[rows] for code, rows in others.items()}
    scored, found = videos[test].reset_index(drop=True), {}
    for name in ("keras", "logistic", "neighbours"):
        changed = dataclasses.replace(settings, training=dataclasses.replace(settings.training, head=name))
        fitted = fit(sides, unlabelled, changed)
        said = expit(fitted.log_odds(vectors[test], scored.language.to_numpy()))
        found[f"{name}, trained here"] = _accuracy(Said(scored, said, len(bundle.categories)))
    return found


def _verdict(figures: dict[str, float], table: pd.DataFrame, others: dict[str, dict[str, float]]) -> int:
    return verdict("decisions", figures, BARS, AT_MOST, languages=table.to_dict("records"), heads=others)


if __name__ == "__main__":
    sys.exit(main())
