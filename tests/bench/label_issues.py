"""How well wrong labels are found: on the real catalogue one label in twenty is replaced by another category at random.

Takes the lake of the real catalogue (build/youtube; made by the main job where it is missing), flips labels in a copy of its table
`videos` and runs the job's own step over it: the training videos' out-of-fold models learn the flipped labels too. The champion
was fitted to true labels, but of its training side, whose videos it does not judge. The catalogue's own mistakes count as
false alarms here, so the figures are lower bounds. Per language: AUROC of the rank of the label's confidence, precision of the
list cut at the number of flips (chance: 0.05), precision of its first 20. Groups are means over languages with at least 300
labelled videos: the training languages, MUSE's other languages, the rest.

Bars: AUROC >= 0.90 and precision at the number of flips >= 0.50 in each of the three groups. `--quick` keeps seven languages
(en fr de ja th hu el), same bars.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from _verdict import verdict
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

BARS = {"auroc": 0.90, "precision": 0.50}
QUICK = ("en", "fr", "de", "ja", "th", "hu", "el")
MUSE = {"ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"}
MIN_VIDEOS = 300
PER_MILLE = 50  # labels flipped


def main() -> int:
    """Flips, runs, writes build/bench/label_issues.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, default=ROOT / "build" / "youtube", help="of the main job on the real catalogue")
    parser.add_argument("--quick", action="store_true", help="seven languages")
    arguments = parser.parse_args()
    if not (arguments.lake / "language_confidence").is_dir():
        if not (ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet").is_file():
            print(f"label_issues: there is no lake {arguments.lake} and no real catalogue to make it of; give --lake")
            return 2
        command = ["spark-submit", str(ROOT / "jobs" / "pipeline.py"), "--conf", str(ROOT / "conf" / "youtube.toml"), "--lake", str(arguments.lake)]
        subprocess.run(command, check=True)
    with tempfile.TemporaryDirectory() as folder:
        judged, listed, training = _found(arguments.lake.resolve(), Path(folder), QUICK if arguments.quick else ())
    return _verdict(_table(judged, listed), training, arguments.quick)


def _found(lake: Path, folder: Path, languages: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Every judged video with its label's confidence, the rows of label_issues, both with `flipped`, and the training languages."""
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", "--driver-memory 3g pyspark-shell")
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
    version = Registry(Lake(spark, str(lake))).champion()
    manifest = version.load().manifest
    for name in ("embeddings", "predictions"):
        (folder / name).symlink_to(lake / name)
    flips = _flip(spark, lake, folder, manifest["categories"], languages)
    settings = load_settings(ROOT / "conf" / "youtube.toml")
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    run = Run("bench", Lake(spark, str(folder)), settings, load_preparation(settings), taxonomy)
    judged_videos(run, version).write.parquet(str(folder / "judged"))
    judged = spark.read.parquet(str(folder / "judged"))
    every = checked_labels(judged, len(manifest["categories"])).toPandas()
    listed = mislabelled(judged, manifest["categories"], 1_000_000).toPandas()
    spark.stop()
    return every.merge(flips, on="video_id"), listed.merge(flips, on="video_id"), manifest["languages"]


def _flip(spark: Any, lake: Path, folder: Path, categories: list[str], languages: tuple[str, ...]) -> pd.DataFrame:
    """Writes `videos` with flipped labels into `folder`, and gives video_id and flipped of those whose label the model knows."""
    from pyspark.sql import functions as F

    videos = spark.read.format("delta").load(str(lake / "videos"))
    names = F.array(*(F.lit(name) for name in categories))
    place = F.array_position(names, F.get("labels", F.lit(0)))
    shift = 1 + F.pmod(F.xxhash64(F.lit("to"), "video_id"), F.lit(len(categories) - 1))
    other = F.get(names, ((place - 1 + shift) % len(categories)).cast("int"))
    flipped = (F.pmod(F.xxhash64(F.lit("flip"), "video_id"), F.lit(1_000)) < PER_MILLE) & (place > 0)
    rows = videos.where(F.col("language").isin(*languages)) if languages else videos
    rows.withColumn("labels", F.when(flipped, F.array(other)).otherwise(F.col("labels"))).write.format("delta").save(str(folder / "videos"))
    return rows.where(place > 0).select("video_id", flipped.alias("flipped")).toPandas()


def _table(judged: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Per language: videos judged, flips among them, auroc, precision at the number of flips, precision of the first 20, rows listed."""
    rows = []
    for language, group in judged.groupby("language"):
        flips = int(group.flipped.sum())
        if len(group) < MIN_VIDEOS or not flips:
            continue
        best = listed[listed.language == language].sort_values(["score", "video_id"], ascending=[False, True]).flipped
        doubt = -group.groupby("judge").label_confidence.rank(pct=True)  # as the list ranks them
        auroc = roc_auc_score(group.flipped, doubt)
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
