"""The chain, DataFrame to DataFrame: prepare, encode, classify, evaluate. The main job, the backfill and the stream call the same."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language, decide_all
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.catalog.text import Preparation
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.udf import begin_task, embed_udf, keep_loaded
from xlclass.model.bundle import ModelVersion
from xlclass.model.chain import Decisions
from xlclass.quality.splits import TEST, TRAIN, Split, group_column
from xlclass.schemas import PART_TEXT, PREDICTION_LOG, VECTOR_DTYPE, pack_vectors

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
_DECISION = """top_category string, top_confidence float, categories array<struct<category: string, confidence: float>>,
    confidences map<string, float>, status string, top_logit float"""


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
    return embeddings.select("*", _decide_udf(version, threads)("vector", "language").alias("decision")).select(
        "video_id",
        "language",
        *(f"decision.{name}" for name in ("top_category", "top_confidence", "categories", "confidences")),
        "text_source",
        "decision.status",
        F.col("encode_key.encoder_id").alias("encoder_id"),
        F.lit(version.name).alias("model_version"),
        F.lit(run_id).alias("run_id"),
        F.current_timestamp().alias("predicted_at"),
        classification_digest(version).alias("input_digest"),
        "decision.top_logit",
        *(["is_new"] if "is_new" in embeddings.columns else []),
    )


def threads_of(spark: SparkSession) -> int:
    """Threads that a task may use."""
    return int(spark.conf.get("spark.task.cpus", "1"))


def log_rows(predictions: DataFrame) -> DataFrame:
    """Rows of `prediction_log` from rows of `predictions`."""
    return predictions.select(*PREDICTION_LOG.names)


def _decide_udf(version: ModelVersion, threads: int) -> Any:
    @F.arrow_udf(_DECISION)  # Arrow's own arrays: Spark interprets functions over lists, a core-second for 100,000 videos
    def decide(batches: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        begin_task(threads)
        bundle = version.load()
        for vectors, languages in batches:
            there = vectors.is_valid()
            decisions = bundle.decide(_unpacked(vectors.filter(there), bundle.manifest["dim"]), languages.filter(there).to_pylist())
            is_there = there.to_numpy(zero_copy_only=False)
            rows = np.where(is_there, is_there.cumsum() - 1, is_there.sum())  # the row behind the last is that of a video without a text
            yield _as_struct(decisions, bundle.categories).take(pa.array(rows))
        keep_loaded(version)

    return decide.asNondeterministic()


def _unpacked(vectors: pa.Array, dim: int) -> np.ndarray:
    """What `unpack_vectors` gives, read where Arrow has them; Arrow refuses a vector of another length."""
    width = dim * VECTOR_DTYPE.itemsize
    fixed = vectors.cast(pa.binary(width))
    return np.frombuffer(fixed.buffers()[1] or b"", VECTOR_DTYPE, len(fixed) * dim, fixed.offset * width).reshape(len(fixed), dim).astype(np.float32)


def _as_struct(decisions: Decisions, names: Sequence[str]) -> pa.Array:
    """The decisions as rows of `_DECISION`, and one row more: of a video without a text."""
    num, width = decisions.confidences.shape
    order = np.argsort(-decisions.confidences, axis=1, kind="stable")
    best_first = np.take_along_axis(decisions.passed, order, axis=1)
    categories = pa.array(names, "string")
    ends = np.arange(num + 1, dtype=np.int32) * width
    passed = np.concatenate([[0], best_first.sum(axis=1).cumsum()])
    sorted_confidences = np.take_along_axis(decisions.confidences, order, axis=1)[best_first]
    pairs = pa.StructArray.from_arrays([categories.take(pa.array(order[best_first])), pa.array(sorted_confidences)], ["category", "confidence"])
    last = np.append(np.zeros(num, bool), True)  # a null ends each column

    def ending(offsets: np.ndarray) -> pa.Array:
        return pa.array(np.append(offsets, offsets[-1]).astype(np.int32), mask=np.append(last, False))

    confidences = pa.array(decisions.confidences.ravel())
    columns = [
        categories.take(pa.array(np.append(decisions.top, 0), mask=last)),
        pa.array(np.append(decisions.confidences.max(axis=1, initial=0), 0).astype(np.float32), mask=last),
        pa.ListArray.from_arrays(ending(passed), pairs),
        pa.MapArray.from_arrays(ending(ends), categories.take(pa.array(np.tile(np.arange(width), num))), confidences),
        pa.array(np.append(np.where(decisions.passed.any(axis=1), "ok", "abstained"), "no_text").astype(object)),
        pa.array(np.append(decisions.top_logits, 0).astype(np.float32), mask=last),
    ]
    return pa.StructArray.from_arrays(columns, ["top_category", "top_confidence", "categories", "confidences", "status", "top_logit"])


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
