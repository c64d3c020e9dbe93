"""Are the categories right and the confidences trustworthy, per language, on the real catalogue's test channels?

The champion of a lake of the real catalogue (`--lake`, or one that the main job makes now) decides on the labelled test videos, without
those whose text occurs in training. "Before" is the sigmoid of the head's logits, "after" the whole decision chain. The calibration bars
use the lake's own language, in languages with at least 300 test videos. The accuracy bars are means over ar de es it ja ko nl pl pt ru th
tr zh by the catalogue's `reference_language`, which no job sees; "half" is the half of each language's videos with the highest confidence.
Intervals are of a paired bootstrap over channels. `ece_own_labels` is a reference value: the error on half of a language's test channels
after a temperature and a bias that were fitted on the labels of the other half, which no job may see. scikit-learn's logistic regression and
nearest neighbours, as heads in the same chain and trained on the same sample, are compared with the Keras head.

Bars: mean top-1 >= 0.69, and >= 0.81 on the half; debiased top-1 ECE <= 0.07 in English and in French; the log-loss is lower after than
before in 80 % of the other languages. `--quick` needs `--lake`, resamples 100 times instead of 1,000 and leaves out the other heads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from _checkout import ROOT, bench_parser, job_command, require_catalogue
from _verdict import verdict
from scipy.special import expit, logit

from xlclass.catalog.language import base_language
from xlclass.config import TrainingSettings, load_settings
from xlclass.encoders.pair import Route
from xlclass.lake.reading import embeddings_on
from xlclass.lake.registry import Registry
from xlclass.model.alignment import Space
from xlclass.model.bundle import Bundle
from xlclass.model.calibration import fit_language_map, log_losses
from xlclass.model.examples import Examples, Splits
from xlclass.model.fit import TrainHead, fit
from xlclass.model.head import train_head
from xlclass.quality.calibration_error import bins_of, debiased_ece
from xlclass.quality.splits import CALIBRATION, TRAIN, VALIDATION, Split
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set

CONF = ROOT / "conf" / "youtube.toml"
MUSE = ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"]
MIN_VIDEOS = 300
BARS = {"top1": 0.69, "half": 0.81, "ece_en": 0.07, "ece_fr": 0.07, "log_loss_lower": 0.8}
AT_MOST = ("ece_en", "ece_fr")
NEIGHBOURS, TEMPERATURE = 50, 0.07  # of the votes exp(cosine / temperature): Wu and others 2018, CVPR, equation 2 and section 3.4


def main() -> int:
    """Measures, writes build/bench/decisions.json and prints the tables and the verdict."""
    parser = bench_parser(__doc__, "100 resamples, no other heads; needs --lake")
    parser.add_argument("--lake", type=Path, help="a lake of that catalogue; the main job makes one if it is left out")
    arguments = parser.parse_args()
    require_catalogue("decisions", arguments.catalogue)
    if arguments.quick and not arguments.lake:
        print("decisions: --quick needs --lake", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        lake = arguments.lake or make_lake(Path(folder) / "lake")
        bundle = Registry(str(lake)).champion().load()
        videos, vectors = load_videos(lake, arguments.catalogue, bundle.manifest, bundle.space)
    is_test = videos.is_scored.to_numpy()
    tested = videos[is_test].reset_index(drop=True)
    decisions = bundle.decide(vectors[is_test], tested.language.tolist())
    before, after = (Scored(tested, log_odds, len(bundle.categories)) for log_odds in (decisions.logits, logit(decisions.confidences.clip(1e-7, 1 - 1e-7))))
    table = _languages(before, after, 100 if arguments.quick else 1_000)
    print(table.to_string(index=False, float_format="%.3f"))
    means = table[~table.language.isin(bundle.manifest["languages"])][["ece_before", "ece_after", "ece_own_labels"]].mean()
    print("mean ECE of the other languages: {:.3f} before, {:.3f} after, {:.3f} with labels of their own".format(*means))
    heads = {} if arguments.quick else _heads(videos, vectors, is_test, bundle)
    print(pd.DataFrame({"keras, the champion": after.figures(), **heads}).T.to_string(float_format="%.4f"))
    return verdict("decisions", _figures(table, after), BARS, AT_MOST, languages=table.to_dict("records"), heads=heads)


def load_videos(lake: Path, catalogue: Path, manifest: dict, space: Space) -> tuple[pd.DataFrame, np.ndarray]:
    """Videos with a vector: language, reference, channel, side, label (an index, -1 for none), is_labelled, is_scored (in the test set); and their vectors."""
    videos = deltalake.DeltaTable(str(lake / "videos")).to_pandas(columns=list(VIDEO_COLUMNS))
    vectors = embeddings_on(str(lake), Route.of(manifest)).to_table(columns=["video_id", "encoder_id", "vector"]).to_pandas().dropna()
    reference = pq.read_table(catalogue, columns=["video_id", "reference_language"]).to_pandas().drop_duplicates("video_id")
    rows = videos.merge(vectors, on="video_id").merge(reference, on="video_id", how="left").sort_values("video_id", ignore_index=True)
    index = {name: i for i, name in enumerate(manifest["categories"])}
    rows["label"] = [next((index[name] for name in labels if name in index), -1) for labels in rows.labels]
    rows["channel"] = rows.channel_id.fillna(rows.video_id)
    rows["side"] = rows.channel.map(Split(**manifest["split"]).of)
    rows["reference"] = [base_language(code)[0] for code in rows.reference_language]
    rows["is_labelled"] = rows.language.isin(manifest["languages"]) & rows.labels.map(len).gt(0)
    rows["is_scored"] = rows.video_id.isin(shared_test_set([videos], [manifest]).video_id)
    return rows.drop(columns="vector"), space.unpacked(rows.vector.tolist(), rows.encoder_id.tolist(), rows.language.tolist())


class Scored:
    """Test videos with the log-odds of their confidences, and the figures that follow."""

    def __init__(self, rows: pd.DataFrame, log_odds: np.ndarray, num_categories: int) -> None:
        self.rows, self.log_odds, self.labels = rows, np.asarray(log_odds, np.float64), np.eye(num_categories)[rows.label]
        self.top = expit(self.log_odds.max(axis=1))
        self.right = self.labels[np.arange(len(rows)), self.log_odds.argmax(axis=1)]
        self.losses = log_losses(self.log_odds, self.labels).mean(axis=1)

    def ece(self, rows: np.ndarray) -> float:
        """Debiased top-1 calibration error over the rows."""
        return debiased_ece(bins_of(self.top[rows], self.right[rows])) or 0.0

    def top1(self, rows: np.ndarray, share: float = 1.0) -> float:
        """Top-1 over the most confident share of the rows."""
        order = np.argsort(-self.top[rows], kind="stable")[: int(np.ceil(share * len(rows)))]
        return float(self.right[rows][order].mean())

    def figures(self) -> dict[str, float]:
        """Top-1 of all and of half, the means over MUSE's languages without labels; top-1 of English and French together; mean log-loss."""
        languages = [np.flatnonzero(self.rows.reference == language) for language in MUSE]
        labelled = np.flatnonzero(self.rows.language.isin(["en", "fr"]))
        means = {name: float(np.mean([self.top1(rows, share) for rows in languages])) for name, share in (("top1", 1.0), ("half", 0.5))}
        log_loss = float(np.mean([self.losses[rows].mean() for rows in languages]))
        return means | {"top1_en_fr": self.top1(labelled), "log_loss": log_loss, "log_loss_en_fr": float(self.losses[labelled].mean())}


def make_lake(lake: Path) -> Path:
    """`lake`, filled from the real catalogue by the main job."""
    subprocess.run(job_command("pipeline", "--conf", CONF, "--lake", lake), check=True)
    return lake


def _languages(before: Scored, after: Scored, num_resamples: int) -> pd.DataFrame:
    """Per language with enough test videos: accuracy, calibration before and after, and intervals of how much log-loss and ECE fell."""
    table = []
    for language, group in before.rows.groupby("language"):
        if len(group) < MIN_VIDEOS:
            continue
        rows = group.index.to_numpy()
        resampled = list(_resampled(group.channel.to_numpy(), num_resamples))
        eces = np.array([before.ece(rows[draw]) - after.ece(rows[draw]) for draw in resampled[: num_resamples // 5]])
        falls = (before.losses - after.losses)[rows]
        table.append(
            {
                "language": language,
                "videos": len(rows),
                "channels": group.channel.nunique(),
                "top1": after.top1(rows),
                "half": after.top1(rows, 0.5),
                "ece_before": before.ece(rows),
                "ece_after": after.ece(rows),
                "ece_own_labels": _with_own_labels(after, rows),
                "ece_fall_interval": _interval(eces),
                "log_loss_before": before.losses[rows].mean(),
                "log_loss_after": after.losses[rows].mean(),
                "log_loss_fall_interval": _interval(np.array([falls[draw].mean() for draw in resampled]), 4),
            }
        )
    return pd.DataFrame(table).sort_values("videos", ascending=False)


def _with_own_labels(scored: Scored, rows: np.ndarray, rounds: int = 10) -> float:
    """Mean calibration error on halves of the rows' channels, each after a temperature and a bias fitted on the other half."""
    channels, errors, rng = scored.rows.channel.to_numpy()[rows], [], np.random.default_rng(7)
    names = np.unique(channels)
    for _ in range(rounds):
        is_half = np.isin(channels, rng.permutation(names)[: len(names) // 2])
        for fitted, judged in ((rows[is_half], rows[~is_half]), (rows[~is_half], rows[is_half])):
            own = fit_language_map(scored.log_odds[fitted], scored.labels[fitted])
            half = Scored(scored.rows.iloc[judged].reset_index(drop=True), own.apply(scored.log_odds[judged]), scored.labels.shape[1])
            errors.append(half.ece(np.arange(len(judged))))
    return float(np.mean(errors))


def _resampled(channels: np.ndarray, num_resamples: int) -> Iterator[np.ndarray]:
    """Draws of whole channels with replacement, as positions of their videos."""
    _, codes = np.unique(channels, return_inverse=True)
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(7)
    for _ in range(num_resamples):
        yield np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])


def _interval(values: np.ndarray, digits: int = 3) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _figures(table: pd.DataFrame, after: Scored) -> dict[str, float]:
    by_language = table.set_index("language")
    others = by_language.drop(index=["en", "fr"])
    lower = {"log_loss_lower": float((others.log_loss_after < others.log_loss_before).mean())}
    return after.figures() | {f"ece_{language}": by_language.ece_after[language] for language in ("en", "fr")} | lower


def _heads(videos: pd.DataFrame, vectors: np.ndarray, is_test: np.ndarray, bundle: Bundle) -> dict[str, dict[str, float]]:
    """The figures of each head in the same chain, trained on the same sample."""
    settings = load_settings(CONF)
    labels = (videos.label.to_numpy()[:, None] == np.arange(len(bundle.categories))).astype(np.float32)
    parts = {}
    for side in (TRAIN, VALIDATION, CALIBRATION):
        rows = (videos.is_labelled & (videos.side == side)).to_numpy()
        parts[side] = Examples(vectors[rows], labels[rows], videos.language.to_numpy(object)[rows], videos.channel.to_numpy(object)[rows])
    splits = Splits(parts[TRAIN], parts[VALIDATION], Examples.of(parts[VALIDATION], parts[CALIBRATION]))
    rules, others = settings.calibration, videos[~videos.language.isin(bundle.manifest["languages"])].sample(frac=1, random_state=1)
    unlabelled = {code: vectors[rows.index[: rules.max_unlabelled]] for code, rows in others.groupby("language") if len(rows) >= rules.min_unlabelled}
    tested, figures = videos[is_test].reset_index(drop=True), {}
    trainers: dict[str, TrainHead] = {"keras": train_head, "logistic regression": logistic_head, "nearest neighbours": neighbours_head}
    for name, train in trainers.items():
        chain, _ = fit(splits, unlabelled, settings, train)
        figures[name] = Scored(tested, chain.log_odds(vectors[is_test], tested.language.to_numpy()), len(bundle.categories)).figures() | chain.corrections
    return figures


class SklearnHead:
    """A head whose logits come from a function of vectors."""

    def __init__(self, logits) -> None:  # noqa: ANN001
        self.logits = logits


def logistic_head(train: Examples, _: Examples, __: TrainingSettings) -> tuple[SklearnHead, dict]:
    """scikit-learn's logistic regression, one per category."""
    from sklearn.linear_model import LogisticRegression

    models = [LogisticRegression(max_iter=1_000).fit(train.vectors, column) for column in train.labels.T]
    return SklearnHead(lambda vectors: np.column_stack([model.decision_function(vectors) for model in models])), {}


def neighbours_head(train: Examples, _: Examples, __: TrainingSettings) -> tuple[SklearnHead, dict]:
    """The share of each category among scikit-learn's nearest training vectors by cosine, nearer ones weighing more."""
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(NEIGHBOURS, metric="cosine", algorithm="brute", weights=lambda distances: np.exp(-distances / TEMPERATURE))
    model.fit(train.vectors, train.labels)
    return SklearnHead(lambda vectors: logit(model.predict(vectors).clip(1e-3, 1 - 1e-3))), {}


if __name__ == "__main__":
    sys.exit(main())
