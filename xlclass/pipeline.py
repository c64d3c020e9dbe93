"""The chain, DataFrame to DataFrame: prepare, encode, classify, evaluate. The main job, the backfill and the stream call the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language, decide_all
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.catalog.text import Preparation
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.udf import begin_task, embed_udf, keep_loaded
from xlclass.model.bundle import ModelVersion
from xlclass.quality.splits import TEST, TRAIN, Split, group_column
from xlclass.schemas import PART_TEXT, PREDICTION_LOG, pack_vectors, unpack_vectors

_PREPARED = {
    "text": "string",
    "text_source": "string",
    "text_quality": "string",
    "declared_language": "string",
    "language": "string",
    "locale": "string",
    "language_source": "string",
    "language_confidence": "float",
    "visual_vector": "binary",
}
_INPUTS = ("title", "tags", "description", "channel_tags", "language", "channel_language", "visual_vector")
_DECIDED = ["top", "top_logit", "confidences", "passed"]
_DECISION = "top int, top_logit float, confidences array<float>, passed array<boolean>"


def prepare_videos(rows: DataFrame, preparation: Preparation, taxonomy: Taxonomy) -> DataFrame:
    """Rows of `videos` from accepted rows of a catalogue that have an `input_digest`, `channel_tags` and `channel_language`."""
    prepared = _prepare_udf(preparation)(*_INPUTS).alias("prepared")
    return rows.select("*", prepared).select(
        "video_id",
        "title",
        *(F.col(f"prepared.{name}") for name in _PREPARED),
        F.substring(F.sha2("prepared.text", 256), 1, 32).alias("text_hash"),
        F.lit(preparation.version).alias("preparation_version"),
        "channel_id",
        "countries",
        _known_labels(taxonomy).alias("labels"),
        "updated_at",
        "input_digest",
        "is_new",
    )


def _prepare_udf(preparation: Preparation) -> Any:
    @F.pandas_udf(", ".join(f"{name} {kind}" for name, kind in _PREPARED.items()))
    def prepare_rows(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for title, tags, description, channel_tags, declared, channel_language, visual in batches:
            decisions = decide_all(title, tags, description, declared, channel_language)
            rows = [
                (*preparation.prepare(a, b, c, d, decision.language), _declared(code), *decision, _packed(vector))
                for a, b, c, d, code, decision, vector in zip(title, tags, description, channel_tags, declared, decisions, visual, strict=True)
            ]
            yield pd.DataFrame(rows, columns=list(_PREPARED))
        keep_loaded(preparation.version)

    return prepare_rows.asNondeterministic()


def _packed(vector: np.ndarray | None) -> bytes | None:
    return None if vector is None else pack_vectors(vector[None])[0]


def _declared(code: str | None) -> str | None:
    """The declared base language, null when the code names none."""
    language = base_language(code)[0]
    return None if language == UNKNOWN else language


def _known_labels(taxonomy: Taxonomy) -> Column:
    """The row's labels as ids of the taxonomy, without those that it does not know; empty when there are none."""
    known = F.create_map(*(F.lit(word) for pair in taxonomy.aliases.items() for word in pair))
    ids = F.transform("labels", lambda label: known[F.trim(label)])
    return F.coalesce(F.array_distinct(F.array_compact(ids)), F.array().cast("array<string>"))


def encode_key(encoder_id: str) -> Column:
    """The encode_key that a row of `videos` would have now."""
    return F.struct("text_hash", "preparation_version", F.lit(encoder_id).alias("encoder_id"), F.lit(PART_TEXT).alias("part"))


def encode_videos(videos: DataFrame, spec: EncoderSpec, num_partitions: int, threads: int) -> DataFrame:
    """Rows of `embeddings`, with `is_new`, from rows of `videos` that have it; the texts are spread over `num_partitions` tasks first."""
    embed = embed_udf(spec, threads)
    return videos.repartition(num_partitions).select(
        "video_id",
        encode_key(spec.encoder_id).alias("encode_key"),
        "language",
        "text_source",
        "text_quality",
        "visual_vector",
        embed("text").alias("vector"),
        "is_new",
    )


def classification_digest(version: ModelVersion) -> Column:
    """The input_digest of the prediction that `version` would make of a row of `embeddings`."""
    return F.xxhash64("encode_key", "language", "text_source", "text_quality", "visual_vector", F.lit(version.name))


def classify_embeddings(embeddings: DataFrame, version: ModelVersion, run_id: str, threads: int) -> DataFrame:
    """Rows of `predictions` from rows of `embeddings`: the head over one table, no join, no encoding."""
    categories = F.array(*(F.lit(name) for name in version.load().categories))
    decision = F.col("decision")
    given = F.filter(F.arrays_zip(categories.alias("category"), decision.confidences.alias("confidence"), decision.passed.alias("passed")), lambda c: c.passed)
    best_first = F.array_sort(
        F.transform(given, lambda c: F.struct(c.category.alias("category"), c.confidence.alias("confidence"))),
        lambda a, b: (b.confidence > a.confidence).cast("int") - (b.confidence < a.confidence).cast("int"),
    )
    return embeddings.select("*", _decide_udf(version, threads)("vector", "language").alias("decision")).select(
        "video_id",
        "language",
        F.get(categories, decision.top).alias("top_category"),
        F.get(decision.confidences, decision.top).alias("top_confidence"),
        F.when(decision.top.isNotNull(), best_first).alias("categories"),
        F.when(decision.top.isNotNull(), F.map_from_arrays(categories, decision.confidences)).alias("confidences"),
        "text_source",
        F.when(decision.top.isNull(), "no_text").when(F.exists(decision.passed, lambda passed: passed), "ok").otherwise("abstained").alias("status"),
        F.col("encode_key.encoder_id").alias("encoder_id"),
        F.lit(version.name).alias("model_version"),
        F.lit(run_id).alias("run_id"),
        F.current_timestamp().alias("predicted_at"),
        classification_digest(version).alias("input_digest"),
        decision.top_logit.alias("top_logit"),
        *(["is_new"] if "is_new" in embeddings.columns else []),
    )


def threads_of(spark: SparkSession) -> int:
    """Threads that a task may use."""
    return int(spark.conf.get("spark.task.cpus", "1"))


def log_rows(predictions: DataFrame) -> DataFrame:
    """Rows of `prediction_log` from rows of `predictions`."""
    return predictions.select(*PREDICTION_LOG.names)


def _decide_udf(version: ModelVersion, threads: int) -> Any:
    @F.pandas_udf(_DECISION)
    def decide(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        begin_task(threads)
        bundle = version.load()
        for vectors, languages in batches:
            there = vectors.notna().to_numpy()
            decisions = bundle.decide(unpack_vectors(vectors[there].tolist(), bundle.manifest["dim"]), languages[there].tolist())
            rows = zip(decisions.top.tolist(), decisions.top_logits.tolist(), decisions.confidences, decisions.passed, strict=True)
            yield pd.DataFrame([next(rows) if is_there else (None,) * 4 for is_there in there], columns=_DECIDED, dtype=object)
        keep_loaded(version)

    return decide.asNondeterministic()


def scored_videos(predictions: DataFrame, videos: DataFrame, manifest: dict[str, Any]) -> DataFrame:
    """The predictions to score: labelled test videos, with `labels`; a label that the model does not know is left out.

    A test video is left out where its text occurs among the training videos, or where the model knows none of its labels.
    """
    known = F.array(*(F.lit(name) for name in manifest["categories"]))
    side = split_of(manifest).column(group_column())
    labelled = videos.select("video_id", "language", "text_hash", side.alias("side"), F.array_intersect("labels", known).alias("labels")).where(
        F.size("labels") > 0
    )
    trained_on = labelled.where((F.col("side") == TRAIN) & F.col("language").isin(manifest["languages"])).select("text_hash").distinct()
    test = labelled.where(F.col("side") == TEST).join(trained_on, "text_hash", how="left_anti")
    return predictions.join(test.select("video_id", "labels"), "video_id", how="inner").select(
        "language",
        "labels",
        "top_category",
        "top_confidence",
        F.col("categories.category").alias("given"),
        "confidences",
        "top_logit",
    )


def split_of(manifest: dict[str, Any]) -> Split:
    """The split that a model version was trained with."""
    return Split(**manifest["split"])
