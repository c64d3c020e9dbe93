"""The catalogue into the lake, chunk by chunk, only what is new or changed: videos, embeddings, predictions.

A chunk is the videos whose id's hash falls to it. Its tables are committed in the order rejected_videos, videos,
embeddings, predictions: a reader may see a video before its prediction, never the other way round. What is written is
decided by comparing keys and digests with the tables, so that a second run, or one after a kill, does only what is missing.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from xlclass.catalog import load_preparation
from xlclass.catalog.channels import channel_profiles
from xlclass.catalog.language import DECISION_VERSION
from xlclass.catalog.rules import COUNTED_LATER, REJECTING, WARNING, rule_counts, with_rules
from xlclass.catalog.taxonomy import Taxonomy, load_taxonomy
from xlclass.catalog.text import Preparation
from xlclass.config import settings_digest
from xlclass.encoders.contract import EncoderSpec
from xlclass.lake.runs import Counts, Run, utc_now
from xlclass.lake.sources import Catalogue
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline import classification_digest, classify_embeddings, encode_key, encode_videos, prepare_videos
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTIONS, REJECTED_VIDEOS, VIDEOS

log = logging.getLogger(__name__)
_SOURCE_COLUMNS = ("title", "tags", "description", "channel_id", "language", "countries", "labels", "updated_at", "channel_tags", "channel_language")
_CARRIED = ("language", "text_source", "text_quality", "visual_vector")  # what a row of embeddings has of its video beside the key


@dataclass(frozen=True)
class _Chain:
    """What a backfill works with, the same for every chunk."""

    catalogue: Catalogue
    preparation: Preparation
    taxonomy: Taxonomy
    encoder: EncoderSpec
    version: ModelVersion | None


def backfill(run: Run, catalogue: Catalogue, encoder: EncoderSpec, version: ModelVersion | None, full: bool = False) -> None:
    """Brings the lake up to the catalogue: prepares, encodes and, where there is a model version, classifies.

    `full` rebuilds the channels' profiles first; otherwise the ones that are there are used, so that a video's text does
    not depend on what arrived since.

    Raises:
        ModelError: the model version does not fit the encoder or the preparation.
    """
    chain = _Chain(catalogue, load_preparation(run.settings), load_taxonomy(run.settings.resolve(run.settings.taxonomy.file)), encoder, version)
    if version:
        version.load().require(encoder.encoder_id, chain.preparation.version)
    run.lake.ensure(CHANNELS, REJECTED_VIDEOS, VIDEOS, EMBEDDINGS, PREDICTIONS)
    run.source, run.source_version = catalogue.name, catalogue.version
    run.counts, run.rules = Counts(), dict.fromkeys((*REJECTING, *WARNING, *COUNTED_LATER), 0)
    with run.step("plan") as step:
        step.num_rows = catalogue.rows.count()
        num_chunks = max(1, math.ceil(step.num_rows / run.settings.backfill.chunk_videos))
    _profile_channels(run, catalogue, full)
    for chunk in range(num_chunks):
        log.info("chunk %d of %d", chunk + 1, num_chunks)
        mine = F.pmod(F.xxhash64("video_id"), F.lit(num_chunks)) == chunk
        _prepare_chunk(run, chain, mine)
        _encode_chunk(run, encoder, mine)
        if version:
            classify_chunk(run, version, mine)


def classify(run: Run, version: ModelVersion) -> None:
    """Scores every embedding that `version` has not scored in its present form; reads `embeddings` only."""
    run.lake.ensure(PREDICTIONS)
    classify_chunk(run, version, F.lit(True))


def _profile_channels(run: Run, catalogue: Catalogue, rebuild: bool) -> None:
    """Builds the profiles where there are none yet, or on request; the same ones again are not written."""
    with run.step("channels") as step:
        known = run.lake.read(CHANNELS).agg(F.max("profile_version")).first()[0]
        if known and not rebuild:
            return
        profiles = channel_profiles(catalogue.rows.where(~F.col("unreadable"))).persist()
        contents = profiles.agg(F.count("*"), F.bit_xor(F.xxhash64("channel_id", "tags", "language", "num_videos"))).first()
        version = settings_digest(list(contents))
        if contents[0] and version != known:
            run.lake.replace(CHANNELS, profiles.withColumn("profile_version", F.lit(version)))
            step.num_rows = contents[0]
        profiles.unpersist()


def _prepare_chunk(run: Run, chain: _Chain, mine: Column) -> None:
    with run.step("prepare") as step:
        rows = _sorted_rows(run, chain, mine).persist()
        states: Counter[str] = Counter()
        for row in rows.groupBy("state").agg(F.count("*").alias("num_rows"), *rule_counts()).collect():
            states[row["state"]] += row["num_rows"]
            for rule in (*REJECTING, *WARNING):
                run.rules[rule] += row[rule]
        _reject(run, chain.catalogue, rows.where("state = 'rejected'"), states["rejected"])
        pending = rows.where("state IN ('new', 'changed')")
        run.lake.upsert(VIDEOS, pending, states["new"], states["changed"], lambda part: prepare_videos(part, chain.preparation, chain.taxonomy))
        rows.unpersist()
        step.num_rows += states["new"] + states["changed"]
        _count(run, states, mine)


def _sorted_rows(run: Run, chain: _Chain, mine: Column) -> DataFrame:
    """The chunk's source rows with `state`: rejected, same, changed or new."""
    made_by = settings_digest(chain.preparation.version, DECISION_VERSION, chain.taxonomy.aliases)
    source = F.to_json(F.struct(*_SOURCE_COLUMNS), {"ignoreNullFields": "false"})  # xxhash64 itself passes over nulls and empty lists
    known = run.lake.read(VIDEOS).where(mine).select("video_id", F.col("input_digest").alias("known_digest"))
    profiles = run.lake.read(CHANNELS).select("channel_id", F.col("tags").alias("channel_tags"), F.col("language").alias("channel_language"))
    state = (
        F.when(F.col("rule").isNotNull(), "rejected")
        .when(F.col("is_new"), "new")
        .when(F.col("known_digest") == F.col("input_digest"), "same")
        .otherwise("changed")
    )
    return (
        with_rules(chain.catalogue.rows.where(mine), list(chain.taxonomy.aliases), run.settings.source.visual_dim, run.started_at)
        .join(profiles, "channel_id", how="left")
        .withColumn("input_digest", F.xxhash64(F.lit(made_by), source, "visual_vector"))
        .join(known, "video_id", how="left")
        .withColumn("is_new", F.col("known_digest").isNull())
        .withColumn("state", state)
    )


def _reject(run: Run, catalogue: Catalogue, rejected: DataFrame, num_rejected: int) -> None:
    """Records the rejected rows that are not recorded yet."""
    if not num_rejected:
        return
    known = run.lake.read(REJECTED_VIDEOS).select("row_digest", "rule")
    fresh = (
        rejected.dropDuplicates(["row_digest", "rule"])
        .join(known, ["row_digest", "rule"], how="left_anti")
        .select("row_digest", "rule", "row", F.lit(catalogue.name).alias("source"), F.lit(run.run_id).alias("run_id"), F.lit(utc_now()).alias("rejected_at"))
    )
    if not fresh.isEmpty():
        run.lake.append(REJECTED_VIDEOS, fresh)


def _count(run: Run, states: Counter[str], mine: Column) -> None:
    """Adds the chunk to the run's counts; what language decided is read from its videos."""
    counts = run.counts or Counts()
    counts.rows_in += states.total()
    counts.rows_ok += states["new"] + states["changed"]
    counts.rows_rejected += states["rejected"]
    counts.rows_reused += states["same"]
    overruled = (F.col("language_source") == "detected") & F.col("declared_language").isNotNull()
    row = run.lake.read(VIDEOS).where(mine).agg(F.count_if(overruled), F.count_if(F.col("language_source") == "unknown")).first()
    for rule, num_videos in zip(COUNTED_LATER, row, strict=True):
        run.rules[rule] += num_videos


def _encode_chunk(run: Run, encoder: EncoderSpec, mine: Column) -> None:
    """Encodes the chunk's videos whose encode_key is new; where only language or fields changed, the vector is kept."""
    with run.step("encode") as step:
        videos = run.lake.read(VIDEOS).where(mine).withColumn("key", encode_key(encoder.encoder_id))
        known = run.lake.read(EMBEDDINGS).where(mine).select("video_id", F.struct("encode_key", *_CARRIED).alias("known"))
        joined = videos.join(known, "video_id", how="left").withColumn("is_new", F.col("known").isNull())
        same_key = F.col("known.encode_key").eqNullSafe(F.col("key"))
        same_rest = F.struct(*(f"known.{name}" for name in _CARRIED)).eqNullSafe(F.struct(*_CARRIED))
        stale = joined.where(F.col("is_new") | ~same_key)
        num_new, num_changed = _pending(stale)
        threads = int(run.lake.spark.conf.get("spark.task.cpus", "1"))
        partitions = _partitions(run, num_new)
        run.lake.upsert(EMBEDDINGS, stale, num_new, num_changed, lambda part: encode_videos(part, encoder, run.settings.encoder, partitions, threads))
        moved = joined.where(~F.col("is_new") & same_key & ~same_rest)
        num_moved = moved.count()
        if num_moved:
            vectors = run.lake.read(EMBEDDINGS).select("video_id", "vector")
            columns = [F.col("key").alias("encode_key") if name == "encode_key" else F.col(name) for name in EMBEDDINGS.names]
            run.lake.upsert(EMBEDDINGS, moved, 0, num_moved, lambda part: part.join(vectors, "video_id", how="inner").select(*columns))
        step.num_rows += num_new + num_changed


def classify_chunk(run: Run, version: ModelVersion, mine: Column) -> None:
    """Scores the chunk's embeddings that `version` has not scored in their present form."""
    with run.step("classify") as step:
        known = run.lake.read(PREDICTIONS).where(mine).select("video_id", F.col("input_digest").alias("known_digest"))
        joined = run.lake.read(EMBEDDINGS).where(mine).join(known, "video_id", how="left").withColumn("is_new", F.col("known_digest").isNull())
        stale = joined.where(F.col("is_new") | (F.col("known_digest") != classification_digest(version)))
        num_new, num_changed = _pending(stale)
        threads = int(run.lake.spark.conf.get("spark.task.cpus", "1"))
        run.lake.upsert(PREDICTIONS, stale, num_new, num_changed, lambda part: classify_embeddings(part, version, run.run_id, threads))
        step.num_rows += num_new + num_changed


def _pending(rows: DataFrame) -> tuple[int, int]:
    """How many rows are new, and how many replace one."""
    row = rows.agg(F.count_if("is_new"), F.count_if(~F.col("is_new"))).first()
    return row[0], row[1]


def _partitions(run: Run, num_videos: int) -> int:
    """Tasks to encode in: four a core where there is work for them, so that none is waited for; else one a core."""
    cores = run.lake.spark.sparkContext.defaultParallelism
    return max(cores, min(4 * cores, num_videos // 2_000))
