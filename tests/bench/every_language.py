"""The pair of encoders against MUSE alone, on the real catalogue's test channels in the languages that MUSE does not know.

One lake: MUSE encodes all videos and a head is trained on them; then e5 encodes the other languages and a version of the pair is trained.
Judged are languages outside MUSE (the catalogue's `reference_language`, which no job sees) with at least 40 test videos. Bars: top-1 at
least 8 points higher on average over the languages, of the surer half of each language at least 5; no language lower beyond chance
(paired bootstrap over channels, Holm's correction over languages, level 0.05); not one vector of MUSE changes; the peak memory of a Python
worker is at most 2.6 GiB.
Also measured: top-1 of each encoder on titles of the training side whose language cannot be decided (the rule is that e5 encodes them); texts
a second and core of both encoders, and of a backfill with 0, 10 and 30 % of the videos in other languages.
`--quick` takes 3,000 rows, judges no accuracy and leaves the backfills out. `--keep FOLDER` leaves the lake, and goes on from one that is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
from _checkout import ROOT, bench_parser, require_catalogue
from _memory import Memory
from _verdict import verdict

from xlclass.catalog import load_preparation
from xlclass.catalog.language import base_language, decide_languages
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import Settings, load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.batches import embed_column
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.pair import Encoders, Route
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import limit_threads
from xlclass.lake.reading import dataset, embeddings_on
from xlclass.lake.runs import Run
from xlclass.lake.session import open_session
from xlclass.lake.sources import read_catalogue
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.backfill import backfill
from xlclass.quality.splits import TRAIN, Split
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set
from xlclass.runtime.resampling import resampled_sums, sums_by_channel
from xlclass.schemas import EMBEDDINGS, VIDEOS
from xlclass.training.train import train

BARS = {"top1_gain": 0.08, "surer_half_gain": 0.05, "languages_lower": 0, "vectors_changed": 0, "worker_gib": 2.6}
AT_MOST = ("languages_lower", "vectors_changed", "worker_gib")
MIN_VIDEOS, RESAMPLES, LEVEL, SEED = 40, 10_000, 0.05, 7
QUICK_ROWS, SPEED_TEXTS, BACKFILL_ROWS, UNKNOWN_TITLES = 3_000, 600, 4_000, 1_200


class Bench:
    """A session, and a lake of the catalogue in a folder."""

    def __init__(self, folder: Path, catalogue: pd.DataFrame, quick: bool) -> None:
        self.folder, self.spark = folder, open_session("every language")
        self.catalogue = catalogue.sample(QUICK_ROWS, random_state=1) if quick else catalogue
        self.settings = self._settings(10 if quick else 100)
        self.pair = resolve_encoders(self.settings)
        self.alone = Encoders(self.pair.specs[:1], {**self.pair.recorded, "extension": "none"})

    def run(self, rows: pd.DataFrame, lake: str) -> Run:
        """A run on a lake of that name, with these rows as the catalogue."""
        rows.to_parquet(self.folder / "catalogue.parquet")
        taxonomy = load_taxonomy(self.settings.resolve(self.settings.taxonomy.file))
        return Run("bench", Lake(self.spark, str(self.folder / lake)), self.settings, load_preparation(self.settings), taxonomy)

    def fill(self, rows: pd.DataFrame, encoders: Encoders, lake: str = "lake") -> Run:
        """The run, after its backfill."""
        run = self.run(rows, lake)
        backfill(run, read_catalogue(self.spark, self.settings), [encoders], None)
        return run

    def _settings(self, min_training_videos: int) -> Settings:
        text = (ROOT / "conf" / "youtube.toml").read_text().replace("../../shared/data/youtube/catalog.parquet", "catalogue.parquet")
        text = text.replace('"abbreviations.toml"', f'"{ROOT / "conf" / "abbreviations.toml"}"')
        text += f'\n[taxonomy]\nfile = "{ROOT / "conf" / "taxonomy.toml"}"\nmin_training_videos = {min_training_videos}\n'
        (self.folder / "settings.toml").write_text(text)
        return load_settings(self.folder / "settings.toml")


def main() -> int:
    """Runs all parts, writes build/bench/every_language.json and prints the verdict."""
    parser = bench_parser(__doc__, f"{QUICK_ROWS:,} rows, accuracy not judged, no backfills")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave settings, catalogue and lake in this folder, and go on from those that are there")
    arguments = parser.parse_args()
    require_catalogue("every_language", arguments.catalogue)
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)  # an old lake there is gone on from
    os.environ["PYSPARK_SUBMIT_ARGS"] = "--driver-memory 3g pyspark-shell"
    with nullcontext(arguments.keep.absolute()) if arguments.keep else tempfile.TemporaryDirectory() as name, Memory(_worker_bytes, max) as workers:
        bench = Bench(Path(name), pq.read_table(arguments.catalogue).to_pandas().drop_duplicates("video_id"), arguments.quick)
        with Memory() as memory:
            versions, num_changed = _trained(bench)
        unknown = _unknown(bench, versions[1])
        speeds = {spec.path.split("/")[-2].split("-")[0]: _speed(spec, bench) for spec in bench.pair.specs}
        table, gains = _compared(bench, *versions)
        backfills = {} if arguments.quick else {f"{share:.0%}": _backfill_speed(bench, share) for share in (0.0, 0.1, 0.3)}
    figures = {**gains, "vectors_changed": num_changed, "worker_gib": max(workers.peak) / 2**30}
    print(table.to_string(index=False, float_format="%.3f"))
    print(f"titles of unknown language: {unknown}")
    print(f"texts a second and core: {speeds}; rows a second that a backfill encodes, by share of other languages: {backfills}")
    print(f"memory: {memory.shown} MiB")
    unjudged = ("top1_gain", "surer_half_gain", "languages_lower") if arguments.quick else ()
    details = {"alignment": versions[1].manifest()["alignment"], "unknown": unknown, "speeds": speeds, "backfills": backfills}
    return verdict("every_language", figures, BARS, AT_MOST, unjudged, languages=table.to_dict("records"), **details)


def _trained(bench: Bench) -> tuple[tuple[ModelVersion, ModelVersion], int]:
    """The versions of MUSE alone and of the pair, and how many of MUSE's vectors the pair changed."""
    alone = train(bench.fill(bench.catalogue, bench.alone), bench.alone)
    before = _digests(bench)
    pair = train(bench.fill(bench.catalogue, bench.pair), bench.pair)
    return (alone, pair), len(set(before.items()) ^ set(_digests(bench).items()))


def _digests(bench: Bench) -> dict[str, str]:
    """A digest of the vector that MUSE made of each video."""
    rows = dataset(str(bench.folder / "lake"), EMBEDDINGS).filter(pc.field("encoder_id") == bench.alone.main.encoder_id)
    table = rows.to_table(columns=["video_id", "vector"])
    vectors = zip(table["video_id"].to_pylist(), table["vector"].to_pylist(), strict=True)
    return {video: hashlib.sha256(vector or b"").hexdigest() for video, vector in vectors}


def _worker_bytes() -> list[int]:
    """Resident bytes of each Python worker of Spark."""
    sizes = [0]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                is_worker = b"pyspark.daemon" in (entry / "cmdline").read_bytes()
                sizes.append(4096 * int((entry / "statm").read_text().split()[1]) * is_worker)
            except OSError:  # the process ended meanwhile
                continue
    return sizes


def _speed(spec: EncoderSpec, bench: Bench) -> float:
    """Texts a second of one thread, on texts in languages for which the pair has this encoder; the second of two passes."""
    limit_threads(1)
    rows = dataset(str(bench.folder / "lake"), VIDEOS).to_table(columns=["language", "text"]).to_pandas().dropna()
    own = rows[[bench.pair.route.encoder_of(language) == spec.encoder_id for language in rows.language]]
    texts = own.text.sample(min(len(own), SPEED_TEXTS), random_state=1).tolist()
    for _ in range(2):
        start = time.process_time()
        embed_column(texts, load_encoder(spec), spec.batch_texts, spec.batch_characters)
    return len(texts) / (time.process_time() - start)


def _unknown(bench: Bench, pair: ModelVersion) -> dict[str, float]:
    """Top-1 of each encoder on titles alone whose language cannot be decided: labelled, on the training side, not English or French."""
    split, nothing = Split(**pair.manifest()["split"]), [None] * len(bench.catalogue)
    languages = [decision.language for decision in decide_languages(bench.catalogue.title.tolist(), nothing, nothing, nothing, nothing)]
    rows = bench.catalogue[(np.array(languages) == "und") & ~bench.catalogue.reference_language.isin(["en", "fr"])]
    rows = rows[[split.of(channel or video) == TRAIN for channel, video in zip(rows.channel_id, rows.video_id, strict=True)]]
    run, bundle = bench.run(bench.catalogue, "lake"), pair.load()
    texts = [run.preparation.prepare(title, None, None, None, "und").text for title in rows.title]
    rows = rows.assign(label=rows.category.map(run.taxonomy.aliases), text=texts)
    rows = rows.dropna(subset=["label", "text"]).head(UNKNOWN_TITLES)
    figures = {"titles": len(rows)}
    for spec in bench.pair.specs:
        packed = embed_column(rows.text.tolist(), load_encoder(spec), spec.batch_texts, spec.batch_characters)
        decisions = bundle.decide(bundle.space.unpacked(packed, [spec.encoder_id] * len(rows), ["und"] * len(rows)), ["und"] * len(rows))
        figures[str(spec.dim)] = float((np.array(bundle.categories, object)[decisions.top] == rows.label).mean())
    return figures


def _backfill_speed(bench: Bench, share: float) -> float:
    """Rows a second that a first backfill encodes, where this share of the rows is declared to be in languages that MUSE does not know."""
    is_other = ~bench.catalogue.declared_language.fillna("en").map(lambda code: base_language(code)[0]).isin(bench.alone.main.languages)
    num_others = int(share * BACKFILL_ROWS)
    parts = (bench.catalogue[~is_other].sample(BACKFILL_ROWS - num_others, random_state=2), bench.catalogue[is_other].sample(num_others, random_state=2))
    shutil.rmtree(bench.folder / f"share-{share}", ignore_errors=True)
    steps = {step.name: step.seconds for step in bench.fill(pd.concat(parts), bench.pair, f"share-{share}").steps}
    return BACKFILL_ROWS / steps["encode"]


def _compared(bench: Bench, alone: ModelVersion, pair: ModelVersion) -> tuple[pd.DataFrame, dict[str, float]]:
    """Per language: videos, top-1 of both and p of the pair being lower by chance; and the mean gains."""
    manifests = [version.manifest() for version in (alone, pair)]
    videos = shared_test_set([dataset(str(bench.folder / "lake"), VIDEOS).to_table(columns=list(VIDEO_COLUMNS)).to_pandas()], manifests)
    reference = {video: base_language(code)[0] for video, code in zip(bench.catalogue.video_id, bench.catalogue.reference_language, strict=True)}
    videos = videos.assign(reference=videos.video_id.map(reference))
    videos = videos[~videos.reference.isin([*bench.alone.main.languages, "und"])].reset_index(drop=True)
    answers = [_answers(bench, version, videos) for version in (alone, pair)]
    table = []
    for language, group in videos.groupby("reference"):
        if len(group) >= MIN_VIDEOS:
            right, sure = ([each[part][group.index] for each in answers] for part in (0, 1))
            halves = [part[np.argsort(-confidence, kind="stable")[: len(group) // 2]].mean() for part, confidence in zip(right, sure, strict=True)]
            majority = group.labels.explode().value_counts().iloc[0] / len(group)
            p = _p_lower(group.channel_id.to_numpy(object), right[1] - right[0])
            table.append((language, len(group), majority, right[0].mean(), right[1].mean(), *halves, p))
    names = ["language", "videos", "majority", "top1_alone", "top1_pair", "half_alone", "half_pair", "p_lower"]
    scores = pd.DataFrame(table, columns=names).sort_values("videos", ascending=False)
    gains = {
        "top1_gain": float((scores.top1_pair - scores.top1_alone).mean()) if len(scores) else 0.0,
        "surer_half_gain": float((scores.half_pair - scores.half_alone).mean()) if len(scores) else 0.0,
        "languages_lower": _num_rejected(scores.p_lower.to_numpy()),
    }
    return scores, gains


def _answers(bench: Bench, version: ModelVersion, videos: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Whether the top category is right, and its confidence, of each video; a video without a vector is wrong and unsure."""
    bundle, manifest = version.load(), version.manifest()
    rows = embeddings_on(str(bench.folder / "lake"), Route.of(manifest)).to_table(columns=["video_id", "encoder_id", "language", "vector"]).to_pandas()
    rows = rows[rows.video_id.isin(videos.video_id) & rows.vector.notna()]
    languages = rows.language.tolist()
    decisions = bundle.decide(bundle.space.unpacked(rows.vector.tolist(), rows.encoder_id.tolist(), languages), languages)
    found = pd.DataFrame({"top": np.array(bundle.categories, object)[decisions.top], "sure": decisions.confidences.max(axis=1)}, index=rows.video_id.to_numpy())
    found = found.reindex(videos.video_id)
    right = np.array([top in labels for top, labels in zip(found.top, videos.labels, strict=True)], float)
    return right, found.sure.fillna(0).to_numpy()


def _p_lower(channels: np.ndarray, gains: np.ndarray) -> float:
    """How often a resample of the channels has a mean gain of 0 or more: the one-sided p of a loss."""
    sums = resampled_sums(sums_by_channel(channels, np.column_stack([np.ones(len(gains)), gains])), RESAMPLES, SEED)
    return float(((sums[:, 1] >= 0).sum() + 1) / (RESAMPLES + 1))


def _num_rejected(p: np.ndarray) -> int:
    """How many hypotheses Holm's procedure rejects (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    passed = np.sort(p) <= LEVEL / np.arange(len(p), 0, -1)
    return int(np.argmin(passed)) if not passed.all() else len(p)


if __name__ == "__main__":
    sys.exit(main())
