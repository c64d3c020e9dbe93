"""How well wrong labels are found: in the real catalogue one label in twenty is replaced by a random other category.

The bench takes the lake of the real catalogue (build/youtube; if it is missing, the main job makes it, in 25 minutes on two cores),
flips labels in a copy of its table `videos` and runs the job's own step over it. The out-of-fold models of the training videos learn
from the flipped labels too. The champion was fitted to true labels, but only to those of its training side, whose videos it does not
judge. The catalogue's own mistakes count as false alarms here, so the figures are lower bounds. Per language: AUROC of the rank of the
label's confidence, precision of the list cut at the number of flips (chance: 0.05), precision of its first 20. Groups are means over
languages with at least 300 labelled videos: the training languages, MUSE's other languages, all others.

Bars: AUROC >= 0.90 and precision at the number of flips >= 0.50 in each of the three groups. `--quick` keeps seven languages
(en fr de ja th hu el), same bars.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from _checkout import ROOT, bench_parser, job_command, require_catalogue
from _verdict import verdict
from sklearn.metrics import roc_auc_score

BARS = {"auroc": 0.90, "precision": 0.50}
QUICK = ("en", "fr", "de", "ja", "th", "hu", "el")
MUSE = {"ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"}
MIN_VIDEOS = 300
PER_MILLE = 50  # labels flipped


def main() -> int:
    """Flips, runs, writes build/bench/label_issues.json and prints the verdict."""
    parser = bench_parser(__doc__, "seven languages")
    parser.add_argument("--lake", type=Path, default=ROOT / "build" / "youtube", help="of the main job on the real catalogue; build/youtube unless given")
    arguments = parser.parse_args()
    if not (arguments.lake / "language_confidence").is_dir():
        require_catalogue("label_issues", arguments.catalogue)
        subprocess.run(job_command("pipeline", "--conf", ROOT / "conf" / "youtube.toml", "--lake", arguments.lake), check=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        judged, listed, training = _judged(arguments.lake.resolve(), Path(folder), QUICK if arguments.quick else ())
    print(f"measured in {time.monotonic() - start:.0f} s")
    return _verdict(_table(judged, listed), training, arguments.quick)


def _judged(lake: Path, folder: Path, languages: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Every judged video with its label's confidence, the rows of label_issues, both with `flipped`, and the training languages."""
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.config import load_settings
    from xlclass.evaluation.label_issues import judged_videos
    from xlclass.lake.registry import Registry
    from xlclass.lake.runs import Run
    from xlclass.lake.session import open_session
    from xlclass.lake.tables import Lake
    from xlclass.quality.label_quality import checked_labels, mislabelled

    spark = open_session("label_issues")
    version = Registry(str(lake)).champion()
    manifest = version.manifest()
    for name in ("embeddings", "predictions"):
        (folder / name).symlink_to(lake / name)
    flips = _flip(spark, lake, folder, manifest["categories"], languages)
    settings = load_settings(ROOT / "conf" / "youtube.toml")
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    run = Run("bench", Lake(spark, str(folder)), settings, load_preparation(settings), taxonomy)
    judged_videos(run, version).write.parquet(str(folder / "judged"))
    judged = spark.read.parquet(str(folder / "judged"))
    videos = checked_labels(judged, len(manifest["categories"])).toPandas()
    listed = mislabelled(judged, manifest["categories"], 1_000_000).toPandas()
    spark.stop()
    return videos.merge(flips, on="video_id"), listed.merge(flips, on="video_id"), manifest["languages"]


def _flip(spark: Any, lake: Path, folder: Path, categories: list[str], languages: tuple[str, ...]) -> pd.DataFrame:
    """Writes `videos` with flipped labels into `folder`, and returns video_id and flipped of those whose label the model knows."""
    from pyspark.sql import functions as F

    videos = spark.read.format("delta").load(str(lake / "videos"))
    names = F.array(*(F.lit(name) for name in categories))
    position = F.array_position(names, F.get("labels", F.lit(0)))  # 0 for a label that the model does not know, null without a label
    shift = 1 + F.pmod(F.xxhash64(F.lit("to"), "video_id"), F.lit(len(categories) - 1))
    other = F.get(names, ((position - 1 + shift) % len(categories)).cast("int"))
    flipped = (F.pmod(F.xxhash64(F.lit("flip"), "video_id"), F.lit(1_000)) < PER_MILLE) & (position > 0)
    rows = videos.where(F.col("language").isin(*languages)) if languages else videos
    rows.withColumn("labels", F.when(flipped, F.array(other)).otherwise(F.col("labels"))).write.format("delta").save(str(folder / "videos"))
    return rows.where(position > 0).select("video_id", flipped.alias("flipped")).toPandas()


def _table(judged: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Per language: videos judged, flips among them, auroc, precision at the number of flips, precision of the first 20, rows listed."""
    rows = []
    for language, group in judged.groupby("language"):
        flips = int(group.flipped.sum())
        if len(group) < MIN_VIDEOS or not flips:
            continue
        best = listed[listed.language == language].sort_values(["score", "video_id"], ascending=[False, True]).flipped
        ranks = -group.groupby("judge").label_confidence.rank(pct=True)  # as the list ranks them
        auroc = roc_auc_score(group.flipped, ranks)
        by_judge = {
            f"auroc_{judge}": roc_auc_score(part.flipped, -part.label_confidence) if part.flipped.nunique() == 2 else None
            for judge, part in group.groupby("judge")
        }
        rows.append(
            {
                "language": language,
                "videos": len(group),
                "flips": flips,
                "auroc": auroc,
                "precision": best[:flips].sum() / flips,
                "first20": best[:20].mean(),
                "listed": len(best),
                **by_judge,
            }
        )
    return pd.DataFrame(rows).sort_values("videos", ascending=False)


def _verdict(table: pd.DataFrame, training: list[str], quick: bool) -> int:
    group = table.language.map(lambda code: "training" if code in training else "muse" if code in MUSE else "others")
    means = table.groupby(group)[["auroc", "precision", "first20"]].mean()
    figures = {f"{name}_{figure}": float(means.loc[name, figure]) for name in means.index for figure in BARS}
    bars = {name: BARS[name.rsplit("_", 1)[1]] for name in figures}
    print(table.to_string(index=False, float_format="%.3f"))
    print(means.to_string(float_format="%.3f"))
    return verdict("label_issues", figures, bars, quick=quick, languages=table.to_dict("records"))


if __name__ == "__main__":
    sys.exit(main())
