"""The videos by which encoders are compared, and their vectors by every encoder, on the driver.

The sample has four parts, each taken by hash of the video_id, with as equal numbers by language as can be:

- labelled videos of the training languages on the training, validation and calibration sides: the head and its calibration are fitted on them;
- labelled test videos of the training languages, and of all other languages, by the rule of `quality/test_set.py`: the scores;
- texts of the training side in all other languages, whose labels are not looked at: alignments and the means of languages.

Why not in the catalogue's own proportions: a language with few videos would have too few test videos to tell two encoders apart.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.udf import embed_udf
from xlclass.lake.runs import Run
from xlclass.lake.session import require_workers
from xlclass.model.alignment import Alignment, shipped_alignment
from xlclass.model.alignment_choice import chosen_alignment
from xlclass.pipeline.chunks import encoding_tasks
from xlclass.pipeline.transforms import threads_of
from xlclass.quality.splits import TEST, TRAIN, Split, group_column
from xlclass.quality.test_set import VIDEO_COLUMNS, labelled_videos, unseen_videos
from xlclass.schemas import EMBEDDINGS, VIDEOS, unpack_vectors

log = logging.getLogger(__name__)
FITTED, TESTED, TEXTS = "fitted", "tested", "texts"
_FITTED_SHARE, _TESTED_SHARE, _TESTED_OTHER_SHARE, _TEXTS_SHARE = 0.4, 0.1, 0.3, 0.2  # of the sample
_COLUMNS = ("video_id", "language", "channel_id", "labels", "text_hash", "side", "use", "text")
_TIMED_TEXTS = 300


@dataclass(frozen=True)
class Sample:
    """Videos, row by row, and the vectors `(n, dim) float16` of their texts by encoder_id.

    `rows` has video_id, language, channel_id (the video's own id if it has no channel), labels, text_hash, side, and use: fitted, tested or texts.
    """

    rows: pd.DataFrame
    vectors: dict[str, np.ndarray]
    max_alignment_texts: int
    _alignments: dict[tuple[str, str], Alignment] = field(default_factory=dict)

    @property
    def languages(self) -> np.ndarray:
        """Of the videos, `(n,)`."""
        return self.rows.language.to_numpy(object)

    @property
    def is_train(self) -> np.ndarray:
        """Which videos are on the training side, `(n,) bool`."""
        return (self.rows.side == TRAIN).to_numpy()

    def alignment(self, main: EncoderSpec, extension: EncoderSpec) -> Alignment:
        """The alignment of the second encoder to the first, chosen and fitted on the training side as `training/align.py` does."""
        key = (main.encoder_id, extension.encoder_id)
        if key not in self._alignments:
            is_first = ~self.rows.text_hash.where(self.is_train).duplicated().to_numpy() & self.is_train
            is_known = self.rows.language.isin(main.languages).to_numpy()
            rank = self.rows.groupby("language").cumcount()
            taught = rank[is_first & is_known].sort_values(kind="stable").index[: self.max_alignment_texts].sort_values().to_numpy()
            source, target = (self.vectors[name].astype(np.float32) for name in (extension.encoder_id, main.encoder_id))
            codes = self.languages
            others = {code: source[is_first & (codes == code)] for code in sorted(set(codes[is_first & ~is_known].tolist()))}
            shipped = shipped_alignment(extension.encoder_id)
            self._alignments[key], facts = chosen_alignment(source[taught], target[taught], codes[taught], others, shipped)
            log.info("alignment: %s", ", ".join(f"{name} {value}" for name, value in facts.items()))
        return self._alignments[key]


def sample_videos(run: Run, num_videos: int) -> DataFrame:
    """The videos of the sample: `_COLUMNS`, at most `num_videos` rows."""
    settings = run.settings
    languages = settings.training.languages
    split = Split(**dataclasses.asdict(settings.split))
    manifest = {"categories": run.taxonomy.categories, "languages": languages, "split": dataclasses.asdict(split)}
    videos = run.lake.read(VIDEOS).where("text_hash IS NOT NULL")
    labelled = labelled_videos(videos.select(*VIDEO_COLUMNS, "text"), manifest)
    is_training = F.col("language").isin(*languages)
    tested = unseen_videos(labelled).where(F.col("side") == TEST)
    texts = videos.withColumn("side", split.column(group_column())).where(~is_training & (F.col("side") == TRAIN))
    same_text = F.row_number().over(Window.partitionBy("text_hash").orderBy("video_id"))
    texts = texts.withColumn("copy", same_text).where("copy = 1").join(tested.select("text_hash"), "text_hash", how="left_anti")
    parts = (
        (FITTED, labelled.where(is_training & (F.col("side") != TEST)), _FITTED_SHARE),
        (TESTED, tested.where(is_training), _TESTED_SHARE),
        (TESTED, tested.where(~is_training), _TESTED_OTHER_SHARE),
        (TEXTS, texts, _TEXTS_SHARE),
    )
    return functools.reduce(DataFrame.unionByName, (_by_language(rows, use, int(num_videos * share)) for use, rows, share in parts))


def _by_language(videos: DataFrame, use: str, limit: int) -> DataFrame:
    """At most `limit` of the videos, as equal in number by language as can be, those with the lowest hash."""
    rank = F.row_number().over(Window.partitionBy("language").orderBy(F.xxhash64("video_id"), "video_id"))
    chosen = videos.withColumn("rank", rank).orderBy("rank", F.xxhash64("video_id"), "video_id").limit(limit)
    return chosen.withColumns({"use": F.lit(use), "channel_id": group_column()}).select(*_COLUMNS)


def timed_texts(run: Run) -> pd.DataFrame:
    """Texts by which time is measured, with their languages: 300 of the whole catalogue by hash, so in its own mix of languages and lengths."""
    texts = run.lake.read(VIDEOS).where("text IS NOT NULL").select("text", "language", "video_id")
    return texts.orderBy(F.xxhash64("video_id", F.lit("timed")), "video_id").limit(_TIMED_TEXTS).toPandas().drop_duplicates("text", ignore_index=True)


def collected_rows(videos: DataFrame) -> pd.DataFrame:
    """The sample without its texts, on the driver, in the order of video_id."""
    return videos.drop("text").toPandas().sort_values("video_id", ignore_index=True)


def encoded_sample(run: Run, videos: DataFrame, rows: pd.DataFrame, specs: list[EncoderSpec]) -> Sample:
    """The sample with its vectors; a video on which one of the encoders fails is left out for all.

    Vectors that `embeddings` has of the same encoder and text are used; nothing is written to it.
    """
    packed = [_vectors(run, videos, spec) for spec in specs]
    is_complete = np.all([rows.text_hash.isin(vectors.index) for vectors in packed], axis=0)
    if not is_complete.all():
        log.warning("%d of %d videos are left out, because an encoder fails on their texts", (~is_complete).sum(), len(rows))
    kept = rows[is_complete].reset_index(drop=True)
    by_encoder = {
        spec.encoder_id: unpack_vectors(vectors.loc[kept.text_hash].tolist(), spec.dim).astype(np.float16) for spec, vectors in zip(specs, packed, strict=True)
    }
    return Sample(kept, by_encoder, run.settings.training.alignment_texts)


def _vectors(run: Run, videos: DataFrame, spec: EncoderSpec) -> Any:
    """The packed vector of each text, by text_hash (a pandas Series)."""
    spark = videos.sparkSession
    is_whole = F.length("vector") == 2 * spec.dim
    known = run.lake.read(EMBEDDINGS).where((F.col("encoder_id") == spec.encoder_id) & is_whole)
    known = known.select(F.col("encode_key.text_hash").alias("text_hash"), "vector")
    texts = videos.select("text_hash", "text").dropDuplicates(["text_hash"])
    found = texts.select("text_hash").join(known, "text_hash", how="inner")
    missing = texts.join(known, "text_hash", how="left_anti").persist()
    try:
        num_missing = missing.count()
        rows = [found.toPandas().drop_duplicates("text_hash")]
        log.info("%s: %d texts have a vector, %d are encoded", spec.encoder_id[:16], len(rows[0]), num_missing)
        if num_missing:
            require_workers(spark)
            num_tasks = encoding_tasks(num_missing, spark.sparkContext.defaultParallelism, spec.task_texts)
            embedded = missing.repartition(num_tasks).select("text_hash", embed_udf(spec, threads_of(spark))("text").alias("vector"))
            rows.append(embedded.toPandas())
    finally:
        missing.unpersist()
    vectors = pd.concat(rows).drop_duplicates("text_hash").set_index("text_hash").vector
    return vectors[vectors.map(lambda vector: vector is not None and len(vector) == 2 * spec.dim)]
