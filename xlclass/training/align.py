"""The space of a pair of encoders: fitted by training on unlabelled texts of the lake, which both encoders have encoded.

The texts are on the training side, in languages that the first encoder knows. The second encoder encodes them once; its rows stay in
`embeddings`, beside those on the route. No text of a test channel is used, and no label.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.muse.build import LANGUAGES as MUSE_LANGUAGES
from xlclass.encoders.muse.graph import DIM as MUSE_DIM
from xlclass.encoders.pair import Encoders, Part, Route
from xlclass.lake.lease import Lease
from xlclass.lake.runs import Run
from xlclass.lake.staging import Plans, change_sums
from xlclass.model.alignment import Alignment, Space
from xlclass.model.alignment_choice import chosen_alignment, chosen_centring
from xlclass.pipeline.changes import CARRIED, videos_to_embed
from xlclass.pipeline.chunks import encoding_tasks
from xlclass.pipeline.transforms import encode_videos, threads_of
from xlclass.quality.splits import TRAIN, Split, group_column
from xlclass.schemas import EMBEDDINGS, VIDEOS, unpack_vectors

log = logging.getLogger(__name__)
_MEAN_TEXTS = 300  # of a language, for its mean


@dataclass(frozen=True)
class AlignmentTexts:
    """The texts that an alignment is fitted on, as video_id, text_hash and language: `teachers` in languages that both encoders know, and `others`.

    Of teachers there are at most `training.alignment_texts`, as equal in number by language as can be; of others up to 300 of a language.
    """

    teachers: DataFrame
    others: DataFrame

    @classmethod
    def of(cls, run: Run, encoders: Encoders, current: DataFrame) -> AlignmentTexts:
        """The texts for these encoders among `current` (video_id, text_hash, language), the lake's encoded videos."""
        shares = run.settings.split
        side = Split(shares.salt, shares.train, shares.validation, shares.calibration).column(group_column())
        trained = run.lake.read(VIDEOS).where(side == TRAIN).select("video_id").join(current, "video_id", how="inner")
        rank = F.row_number().over(Window.partitionBy("language").orderBy(F.xxhash64("video_id"), "video_id"))
        distinct = trained.groupBy("text_hash", "language").agg(F.min("video_id").alias("video_id"))  # the same rows in each run, unlike dropDuplicates
        ranked = distinct.withColumn("rank", rank)
        is_taught = F.col("language").isin(*_known_by_both(encoders)) if len(encoders.specs) > 1 else F.lit(False)
        teachers = ranked.where(is_taught).orderBy("rank", F.xxhash64("video_id")).limit(run.settings.training.alignment_texts)
        return cls(teachers.drop("rank"), ranked.where(~is_taught & (F.col("rank") <= _MEAN_TEXTS)).drop("rank"))


def _known_by_both(encoders: Encoders) -> list[str]:
    """The languages of the first encoder that the second knows too; all of the first's, if the second's are unknown."""
    first, second = encoders.specs
    return [code for code in first.languages if code in second.languages or not second.languages]


def fitted_space(run: Run, encoders: Encoders, texts: AlignmentTexts, shipped: Alignment | None) -> tuple[Space, dict[str, Any]]:
    """The space of the encoders, and what the manifest says of it; texts that the second encoder has not encoded are encoded first.

    `shipped` is the package's alignment of the second encoder, for a lake with few texts.

    Raises:
        LakeError: texts must be encoded, and another run holds the lake.
    """
    dims = {spec.encoder_id: spec.dim for spec in encoders.specs}
    others = _vectors(run, texts.others, encoders.specs[-1]) if len(encoders.specs) > 1 or encoders.is_centred else {}
    if encoders.is_centred:
        alignment, facts = _centring(others)
        return Space(encoders.main.dim, dims, {encoders.main.encoder_id: alignment}), facts
    if len(encoders.specs) == 1:
        return Space(encoders.main.dim, dims, {}), {}
    main, extension = encoders.specs
    with run.step("align") as step:
        step.num_rows = _encode_missing(run, texts.teachers, extension)
        target, source = (_collected(run, texts.teachers, spec) for spec in (main, extension))
        both = target.merge(source[["video_id", "vector"]], on="video_id", suffixes=("", "_source")).sort_values("video_id", ignore_index=True)
        from_vectors, to_vectors = (unpack_vectors(both[name].tolist(), spec.dim) for name, spec in (("vector_source", extension), ("vector", main)))
        alignment, facts = chosen_alignment(from_vectors, to_vectors, both.language.to_numpy(object), others, shipped)
        log.info("alignment: %s", ", ".join(f"{name} {value}" for name, value in facts.items()))
    return Space(main.dim, dims, {extension.encoder_id: alignment}), facts


def _centring(vectors: dict[str, np.ndarray]) -> tuple[Alignment, dict[str, Any]]:
    """The centring of MUSE and e5 side by side, and what the manifest says of it."""
    languages, rows = np.concatenate([np.full(len(own), code, object) for code, own in vectors.items()]), np.vstack(list(vectors.values()))
    return chosen_centring(rows[:, :MUSE_DIM], rows[:, MUSE_DIM:], languages, MUSE_LANGUAGES)


def _encode_missing(run: Run, texts: DataFrame, spec: EncoderSpec) -> int:
    """The number of texts that the encoder has not encoded, after it has."""
    lake = run.lake
    videos = lake.read(VIDEOS).join(F.broadcast(texts.select("video_id")), "video_id", how="left_semi")
    embeddings = lake.read(EMBEDDINGS).where(F.col("encoder_id") == spec.encoder_id)
    to_embed = videos_to_embed(videos, embeddings, [Route((Part(spec.encoder_id, spec.dim),))]).where("NOT has_vector")
    missing = to_embed.select("video_id", "encoder_id", "text", "text_hash", "preparation_version", *CARRIED, "is_new").persist()
    try:
        num_missing = missing.count()
        if num_missing:
            with Lease(lake.root, run.run_id, run.job, run.settings.backfill.lease_seconds) as lease:
                plans, work_id = Plans(lake.spark, lake.root), uuid.uuid4().hex[:16]
                num_tasks = encoding_tasks(num_missing, lake.spark.sparkContext.defaultParallelism, spec.task_texts)
                staged = plans.stage(encode_videos(missing, spec, num_tasks, threads_of(lake.spark)), change_sums(), work_id, "alignment")
                lease.check()
                lake.commit(EMBEDDINGS, staged, f"{work_id}/alignment")
                plans.drop_rows(work_id)
    finally:
        missing.unpersist()
    return num_missing


def _collected(run: Run, texts: DataFrame, spec: EncoderSpec) -> pd.DataFrame:
    """video_id, language and vector by this encoder of the texts, on the driver; texts on which it failed are left out."""
    rows = run.lake.read(EMBEDDINGS).where((F.col("encoder_id") == spec.encoder_id) & (F.length("vector") == 2 * spec.dim))
    key = F.col("encode_key.text_hash").alias("text_hash")
    return texts.join(rows.select("video_id", key, "vector"), ["video_id", "text_hash"], how="inner").select("video_id", "language", "vector").toPandas()


def _vectors(run: Run, texts: DataFrame, spec: EncoderSpec) -> dict[str, np.ndarray]:
    """The encoder's vectors of the texts, `(n, dim) float32`, by language."""
    rows = _collected(run, texts, spec).sort_values("video_id")
    return {str(code): unpack_vectors(group.vector.tolist(), spec.dim) for code, group in rows.groupby("language")}
