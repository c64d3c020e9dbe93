"""The chain, DataFrame to DataFrame: prepare, encode, classify. The main job, the backfill and the stream call the same functions."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from xlclass.catalog.language import UNKNOWN, base_language, decide_languages
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.catalog.text import Preparation
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.udf import embed_udf, freeze_loaded, set_up_task
from xlclass.lake.session import require_workers
from xlclass.model.alignment import Space
from xlclass.model.bundle import ModelVersion
from xlclass.model.chain import Decisions
from xlclass.schemas import PART_TEXT, VECTOR_DTYPE, pack_vectors

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
    """Rows of `videos`, with `is_new`, from accepted rows of a catalogue with `input_digest`, `channel_tags`, `channel_language`, `is_new`."""
    require_workers(rows.sparkSession)
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
            decisions = decide_languages(title, tags, description, declared, channel_language)
            texts = zip(title, tags, description, channel_tags, strict=True)
            rows = [
                (*preparation.prepare(*fields, decision.language), _declared(code), *decision, _packed(vector))
                for fields, code, decision, vector in zip(texts, declared, decisions, visual, strict=True)
            ]
            yield pd.DataFrame(rows, columns=list(_PREPARED))
        freeze_loaded(preparation.version)

    return prepare_rows.asNondeterministic()


def _packed(vector: np.ndarray | None) -> bytes | None:
    return None if vector is None else pack_vectors(vector[None])[0]


def _declared(code: str | None) -> str | None:
    """The base language of a declared code; null if the code names none."""
    language = base_language(code)[0]
    return None if language == UNKNOWN else language


def _known_labels(taxonomy: Taxonomy) -> Column:
    """The row's labels as ids of the taxonomy, without unknown labels; an empty array if none is left."""
    id_of = F.create_map(*(F.lit(word) for pair in taxonomy.aliases.items() for word in pair))
    ids = F.transform("labels", lambda label: id_of[F.trim(label)])
    return F.coalesce(F.array_distinct(F.array_compact(ids)), F.array().cast("array<string>"))


def encode_key() -> Column:
    """The encode_key of a row of `videos` as it is now, for the encoder in its column `encoder_id`."""
    return F.struct("text_hash", "preparation_version", "encoder_id", F.lit(PART_TEXT).alias("part"))


def encode_videos(videos: DataFrame, spec: EncoderSpec, num_partitions: int, threads: int) -> DataFrame:
    """Rows of `embeddings`, with `is_new`, from rows of `videos` with `encoder_id`, which is that of `spec`, and `is_new`.

    The texts are spread over `num_partitions` tasks first.
    """
    require_workers(videos.sparkSession)
    embed = embed_udf(spec, threads)
    return videos.repartition(num_partitions).select(
        "video_id",
        "encoder_id",
        encode_key().alias("encode_key"),
        "language",
        "text_source",
        "text_quality",
        "visual_vector",
        embed("text").alias("vector"),
        "is_new",
    )


def classification_digest(version: ModelVersion) -> Column:
    """The input_digest of the prediction that `version` makes from a row of `embeddings`."""
    return F.xxhash64("encode_key", "language", "text_source", "text_quality", "visual_vector", F.lit(version.name))


def classify_embeddings(embeddings: DataFrame, version: ModelVersion, run_id: str, threads: int) -> DataFrame:
    """Rows of `predictions`, with `is_new` if the rows of `embeddings` have it: the model version over one table, no join, no encoding.

    `embeddings` has the rows on the version's route, one per video.
    """
    require_workers(embeddings.sparkSession)
    return embeddings.select("*", _decide_udf(version, threads)("vector", "language", "encoder_id").alias("decision")).select(
        "video_id",
        "language",
        *(f"decision.{name}" for name in ("top_category", "top_confidence", "categories", "confidences")),
        "text_source",
        "decision.status",
        "encoder_id",
        F.lit(version.name).alias("model_version"),
        F.lit(run_id).alias("run_id"),
        F.current_timestamp().alias("predicted_at"),
        classification_digest(version).alias("input_digest"),
        "decision.top_logit",
        *(["is_new"] if "is_new" in embeddings.columns else []),
    )


def threads_of(spark: SparkSession) -> int:
    """The number of threads that a task may use."""
    return int(spark.conf.get("spark.task.cpus", "1"))


def _decide_udf(version: ModelVersion, threads: int) -> Any:
    @F.arrow_udf(_DECISION)  # Arrow arrays: Spark interprets functions over lists, which takes a core-second for 100,000 videos
    def decide(batches: Iterator[tuple[pa.Array, pa.Array, pa.Array]]) -> Iterator[pa.Array]:
        set_up_task(threads)
        bundle = version.load()
        for vectors, languages, encoder_ids in batches:
            valid = vectors.is_valid()
            codes = languages.filter(valid).to_pylist()
            decisions = bundle.decide(_in_space(bundle.space, vectors.filter(valid), codes, encoder_ids.filter(valid)), codes)
            has_vector = valid.to_numpy(zero_copy_only=False)
            rows = np.where(has_vector, has_vector.cumsum() - 1, has_vector.sum())  # the row after the last one is for videos without a text
            yield _as_struct(decisions, bundle.categories).take(pa.array(rows))
        freeze_loaded(version)

    return decide.asNondeterministic()


def _in_space(space: Space, vectors: pa.Array, languages: list[str], encoder_ids: pa.Array) -> np.ndarray:
    """The vectors in the space, `(n, dim) float32`."""
    ids, codes = np.asarray(encoder_ids.to_pylist(), object), np.asarray(languages, object)
    return space.of(ids, codes, lambda rows, dim: _unpacked(vectors.take(pa.array(rows)), dim))


def _unpacked(vectors: pa.Array, dim: int) -> np.ndarray:
    """`schemas.unpack_vectors` of an Arrow array, without a copy of its bytes; Arrow refuses a vector of another length."""
    width = dim * VECTOR_DTYPE.itemsize
    fixed = vectors.cast(pa.binary(width))
    return np.frombuffer(fixed.buffers()[1] or b"", VECTOR_DTYPE, len(fixed) * dim, fixed.offset * width).reshape(len(fixed), dim).astype(np.float32)


def _as_struct(decisions: Decisions, names: Sequence[str]) -> pa.Array:
    """The decisions as rows of `_DECISION`, and one more row: for videos without a text."""
    num, width = decisions.confidences.shape
    order = np.argsort(-decisions.confidences, axis=1, kind="stable")
    best_first = np.take_along_axis(decisions.passed, order, axis=1)
    categories = pa.array(names, "string")
    ends = np.arange(num + 1, dtype=np.int32) * width
    passed = np.concatenate([[0], best_first.sum(axis=1).cumsum()])
    sorted_confidences = np.take_along_axis(decisions.confidences, order, axis=1)[best_first]
    pairs = pa.StructArray.from_arrays([categories.take(pa.array(order[best_first])), pa.array(sorted_confidences)], ["category", "confidence"])
    last = np.append(np.zeros(num, bool), True)  # each column ends with a null

    def with_null(offsets: np.ndarray) -> pa.Array:
        return pa.array(np.append(offsets, offsets[-1]).astype(np.int32), mask=np.append(last, False))

    confidences = pa.array(decisions.confidences.ravel())
    columns = [
        categories.take(pa.array(np.append(decisions.top, 0), mask=last)),
        pa.array(np.append(decisions.confidences.max(axis=1, initial=0), 0).astype(np.float32), mask=last),
        pa.ListArray.from_arrays(with_null(passed), pairs),
        pa.MapArray.from_arrays(with_null(ends), categories.take(pa.array(np.tile(np.arange(width), num))), confidences),
        pa.array(np.append(np.where(decisions.passed.any(axis=1), "ok", "abstained"), "no_text").astype(object)),
        pa.array(np.append(decisions.top_logits, 0).astype(np.float32), mask=last),
    ]
    return pa.StructArray.from_arrays(columns, ["top_category", "top_confidence", "categories", "confidences", "status", "top_logit"])
