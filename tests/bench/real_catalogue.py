"""The main job on the real catalogue: does it finish in time, lose no row, and categorise languages without labels?

Bars: the whole run takes at most 25 minutes on 2 cores; every input row is in `videos` or `rejected_videos`; top-1 on test
channels is >= 0.55 over English and French together and >= 0.63 on average over ar de es it ja ko nl pl pt ru th tr zh.
Languages are the catalogue's `reference_language`, which the job never sees; categories are those with at least 100 training
videos. `--quick` takes 1,000 rows and judges the rows only: the sample is too small for the accuracy bars, and the time bar is meant
for the whole catalogue.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from _checkout import ROOT, bench_parser, job_command, require_catalogue
from _verdict import FOLDER, verdict

from xlclass.catalog.language import base_language
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.quality.metrics import wilson
from xlclass.quality.test_set import shared_test_set

OTHERS = ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"]
BARS = {"minutes": 25.0, "rows_unaccounted": 0, "top1_en_fr": 0.55, "top1_others": 0.63}
AT_MOST = ("minutes", "rows_unaccounted")
QUICK_ROWS, QUICK_MIN_VIDEOS = 1_000, 10


def main() -> int:
    """Runs the job, scores it, writes build/bench/real_catalogue.json and .html, and prints the verdict."""
    parser = bench_parser(__doc__, f"{QUICK_ROWS:,} rows, only their completeness judged")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave settings, catalogue and lake in this new folder, for the benches that take a lake")
    arguments = parser.parse_args()
    require_catalogue("real_catalogue", arguments.catalogue)
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
    with nullcontext(arguments.keep.absolute()) if arguments.keep else tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalogue = pq.read_table(arguments.catalogue).to_pandas()
        if arguments.quick:
            catalogue = catalogue.sample(QUICK_ROWS, random_state=1)
        catalogue.to_parquet(folder / "catalogue.parquet")
        minutes = _run(folder, arguments.quick)
        lake = folder / "lake"
        videos, rejected, predictions = (deltalake.DeltaTable(str(lake / table)).to_pandas() for table in ("videos", "rejected_videos", "predictions"))
        if not arguments.quick:
            _report(folder)
        manifest = json.loads(next(lake.glob("model_versions/*/manifest.json")).read_text())
    scores = _scores(catalogue, videos, predictions, manifest)
    figures = {
        "minutes": minutes,
        "rows_unaccounted": _unaccounted(catalogue, videos, rejected),
        "top1_en_fr": _weighted_mean(scores, ["en", "fr"]),
        "top1_others": _mean(scores, OTHERS),
    }
    print(scores.to_string(index=False, float_format="%.3f"))
    kept = {name: manifest[name] for name in ("categories", "num_videos")}
    unjudged = set(BARS) - {"rows_unaccounted"} if arguments.quick else ()
    return verdict("real_catalogue", figures, BARS, AT_MOST, unjudged, **kept, languages=scores.to_dict("records"))


def _run(folder: Path, quick: bool) -> float:
    """Minutes that the main job takes on the folder's catalogue, with the start of the session."""
    settings = (ROOT / "conf" / "youtube.toml").read_text().replace("../../shared/data/youtube/catalog.parquet", str(folder / "catalogue.parquet"))
    settings = settings.replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
    settings += f'\n[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"\n' + (f"min_training_videos = {QUICK_MIN_VIDEOS}\n" if quick else "")
    (folder / "settings.toml").write_text(settings)
    start = time.monotonic()
    subprocess.run(job_command("pipeline", "--conf", folder / "settings.toml", "--lake", folder / "lake"), check=True)
    return (time.monotonic() - start) / 60


def _report(folder: Path) -> None:
    """Writes build/bench/real_catalogue.html, the page of the lake."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    page = FOLDER / "real_catalogue.html"
    subprocess.run(job_command("report", "--conf", folder / "settings.toml", "--lake", folder / "lake", "--out", page), check=True)


def _scores(catalogue: pd.DataFrame, videos: pd.DataFrame, predictions: pd.DataFrame, manifest: dict) -> pd.DataFrame:
    """Per reference language with at least 30 test videos: language, videos, top1, low, high, majority."""
    taxonomy = load_taxonomy(ROOT / "conf" / "taxonomy.toml")
    rows = catalogue.merge(predictions[["video_id", "top_category"]], on="video_id", how="left").merge(
        videos[["video_id", "text_hash", "language"]], on="video_id", how="left"
    )
    rows["label"] = rows.category.map(taxonomy.aliases)
    rows = shared_test_set([rows.assign(labels=[[label] for label in rows.label])], [manifest])
    rows = rows.assign(reference=[base_language(code)[0] for code in rows.reference_language], right=rows.top_category == rows.label)
    table = []
    for language, group in rows[rows.reference != "und"].groupby("reference"):
        if len(group) >= 30:
            low, high = wilson(int(group.right.sum()), len(group))
            table.append((language, len(group), group.right.mean(), low, high, group.label.value_counts(normalize=True).iloc[0]))
    return pd.DataFrame(table, columns=["language", "videos", "top1", "low", "high", "majority"]).sort_values("videos", ascending=False)


def _unaccounted(catalogue: pd.DataFrame, videos: pd.DataFrame, rejected: pd.DataFrame) -> int:
    """How many source rows are neither in `videos` nor in `rejected_videos`, and how many rows there are not in the source."""
    in_lake = set(videos.video_id) | {json.loads(row).get("video_id") for row in rejected.row}
    return len(set(catalogue.video_id) ^ in_lake) + abs(len(catalogue.drop_duplicates("video_id")) - len(videos))


def _mean(scores: pd.DataFrame, languages: list[str]) -> float | None:
    """Mean top-1 over the languages; null where one of them has too few test videos."""
    chosen = scores[scores.language.isin(languages)]
    return float(chosen.top1.mean()) if len(chosen) == len(languages) else None


def _weighted_mean(scores: pd.DataFrame, languages: list[str]) -> float | None:
    """Top-1 over all videos of the languages; null where none of them has enough test videos."""
    chosen = scores[scores.language.isin(languages)]
    return float(np.average(chosen.top1, weights=chosen.videos)) if len(chosen) else None


if __name__ == "__main__":
    sys.exit(main())
