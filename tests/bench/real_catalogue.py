"""The main job on the real catalogue: does it finish in time, lose no row, and categorise languages it has no labels for?

Bars: the whole run takes at most 25 minutes on 2 cores; every input row is in `videos` or `rejected_videos`; top-1 on test
channels is >= 0.55 over English and French together and >= 0.63 on average over ar de es it ja ko nl pl pt ru th tr zh.
Languages are the catalogue's `reference_language`, which the job never sees; categories are those with at least 100 training
videos. `--quick` takes 4,000 rows and judges the rows only: its sample is too small for the accuracy bars.
"""

from __future__ import annotations

import argparse
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
from _verdict import verdict

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from xlclass.catalog.language import base_language  # noqa: E402  the bench runs from a checkout
from xlclass.catalog.taxonomy import load_taxonomy  # noqa: E402
from xlclass.quality.metrics import wilson  # noqa: E402
from xlclass.quality.test_set import shared_test_set  # noqa: E402

OTHERS = ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh"]
BARS = {"minutes": 25.0, "rows_unaccounted": 0, "top1_en_fr": 0.55, "top1_others": 0.63}
AT_MOST = ("minutes", "rows_unaccounted")


def main() -> int:
    """Runs the job, scores it, writes build/bench/real_catalogue.json and .html, and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", type=Path, default=ROOT.parent / "shared" / "data" / "youtube" / "catalog.parquet")
    parser.add_argument("--quick", action="store_true", help="4,000 rows, the accuracy bars not judged")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave settings, catalogue and lake in this new folder, for the benches that take a lake")
    arguments = parser.parse_args()
    if not arguments.catalogue.is_file():
        print(f"real_catalogue: there is no {arguments.catalogue}; give --catalogue")
        return 2
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
    with nullcontext(arguments.keep.absolute()) if arguments.keep else tempfile.TemporaryDirectory() as folder:
        catalogue = pq.read_table(arguments.catalogue).to_pandas()
        if arguments.quick:
            catalogue = catalogue.sample(4_000, random_state=1)
        file = Path(folder) / "catalogue.parquet"
        catalogue.to_parquet(file)
        minutes = _run(file, Path(folder))
        lake = Path(folder) / "lake"
        videos, rejected, predictions = (deltalake.DeltaTable(str(lake / name)).to_pandas() for name in ("videos", "rejected_videos", "predictions"))
        _report(Path(folder))
        manifest = json.loads(next(lake.glob("model_versions/*/manifest.json")).read_text())
    scores = _scores(catalogue, videos, predictions, manifest)
    figures = {
        "minutes": minutes,
        "rows_unaccounted": _unaccounted(catalogue, videos, rejected),
        "top1_en_fr": float(_together(scores, ["en", "fr"])),
        "top1_others": _mean_of_all(scores, OTHERS),
    }
    print(scores.to_string(index=False, float_format="%.3f"))
    return _verdict(figures, scores, manifest, arguments.quick)


def _run(catalogue: Path, folder: Path) -> float:
    """Minutes that the main job takes on `catalogue`, session start and all."""
    settings = (ROOT / "conf" / "youtube.toml").read_text().replace("../../shared/data/youtube/catalog.parquet", str(catalogue))
    settings = settings.replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
    settings += f'\n[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"\n'
    (folder / "settings.toml").write_text(settings)
    start = time.monotonic()
    subprocess.run(["spark-submit", str(ROOT / "jobs" / "pipeline.py"), "--conf", str(folder / "settings.toml"), "--lake", str(folder / "lake")], check=True)
    return (time.monotonic() - start) / 60


def _report(folder: Path) -> None:
    """Writes build/bench/real_catalogue.html, the page of the lake."""
    page = ROOT / "build" / "bench" / "real_catalogue.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    job = ["spark-submit", str(ROOT / "jobs" / "report.py"), "--conf", str(folder / "settings.toml"), "--lake", str(folder / "lake"), "--out", str(page)]
    subprocess.run(job, check=True)


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
    """Source rows that are neither in `videos` nor in `rejected_videos`, and rows there that the source has not."""
    seen = set(videos.video_id) | {json.loads(row).get("video_id") for row in rejected.row}
    lost = len(set(catalogue.video_id) ^ seen)
    return lost + abs(len(catalogue.drop_duplicates("video_id")) - len(videos))


def _mean_of_all(scores: pd.DataFrame, languages: list[str]) -> float:
    """Mean top-1 over the languages; 0 where one of them has too few test videos."""
    found = scores[scores.language.isin(languages)]
    return float(found.top1.mean()) if len(found) == len(languages) else 0.0


def _together(scores: pd.DataFrame, languages: list[str]) -> float:
    group = scores[scores.language.isin(languages)]
    return float(np.average(group.top1, weights=group.videos))


def _verdict(figures: dict[str, float], scores: pd.DataFrame, manifest: dict, quick: bool) -> int:
    unjudged = set(BARS) - set(AT_MOST) if quick else ()
    kept = {name: manifest[name] for name in ("categories", "num_videos")}
    return verdict("real_catalogue", figures, BARS, AT_MOST, unjudged, **kept, languages=scores.to_dict("records"))


if __name__ == "__main__":
    sys.exit(main())
