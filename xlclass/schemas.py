"""One contract per table: grain, columns with comments, keys, constraints, clustering; and how a vector lies in its bytes.

Types are Spark's DDL, as text, so that the command line can print the contracts without Spark. Schemas evolve by addition
only. Confidences are calibrated, 0 to 1; times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

VECTOR_DTYPE = np.dtype("<f2")
MOST_FLOAT16 = 65_504.0
PART_TEXT = "text"  # the part of a video that an encode_key stands for
ENCODE_KEY = "struct<text_hash: string, preparation_version: string, encoder_id: string, part: string>"


@dataclass(frozen=True)
class Column:
    """A column: `type` in Spark's DDL; a required one is NOT NULL."""

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """A table's contract. `grain` is its comment: one row per what. `checks` are CHECK constraints by name."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    checks: tuple[tuple[str, str], ...] = ()
    cluster_by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]


def _columns(keys: str, *rows: tuple[str, str, str]) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Columns, and the keys among them; a type that ends in "!" is NOT NULL, as every key is."""
    names = tuple(keys.split())
    columns = tuple(Column(name, kind.rstrip("!"), comment, kind.endswith("!") or name in names) for name, kind, comment in rows)
    return columns, names


def _table(name: str, grain: str, keys: str, rows: Sequence[tuple[str, str, str]], checks: dict[str, str] | None = None, cluster_by: str = "") -> Table:
    columns, key_names = _columns(keys, *rows)
    return Table(name, grain, columns, key_names, tuple((checks or {}).items()), tuple(cluster_by.split()))


def _shares(columns: str) -> dict[str, str]:
    """A constraint per column: between 0 and 1, or null."""
    return {f"{name}_share": f"{name} IS NULL OR {name} BETWEEN 0 AND 1" for name in columns.split()}


def _known(column: str, values: str) -> dict[str, str]:
    """A constraint: the column holds one of `values`."""
    return {f"{column}_known": f"{column} IN ({', '.join(repr(value) for value in values.split())})"}


_QUALITIES = _known("text_quality", "ok short empty")


_TEXT_SOURCE = ("text_source", "string", "fields that the text was made of, joined by +, such as title+tags; null when there is no text")
_TEXT_QUALITY = ("text_quality", "string!", "ok, short or empty")
_LANGUAGE = ("language", "string!", "base language (ISO 639, with a script for zh-Hant), und when unknown")
_MODEL_VERSION = ("model_version", "string!", "the model version that made the row")
_RUN_ID = ("run_id", "string!", "the run that made the row (runs.run_id)")
_EVALUATION_ID = ("evaluation_id", "string", "digest of model version, labels and split")
_BIN = "struct<num_videos: bigint, mean_confidence: double, top1: double>"
_TOP = [
    ("top_category", "string", "the category of the highest confidence; null without a text"),
    ("top_confidence", "float", "its confidence"),
    ("categories", "array<struct<category: string, confidence: float>>", "categories that pass their threshold, highest confidence first"),
]

# A contract reads as a table, one column a line.
# fmt: off
VIDEOS = _table("videos", "one row per video: what was prepared of it", "video_id", [
    ("video_id", "string", "the source's identifier of the video"),
    ("title", "string", "title as the source has it"),
    ("text", "string", "the text as it is encoded; null when there is none"),
    _TEXT_SOURCE,
    _TEXT_QUALITY,
    ("text_hash", "string", "first 32 hex digits of the sha256 of text; null when there is none"),
    ("preparation_version", "string!", "version of the text preparation that made text"),
    _LANGUAGE,
    ("declared_language", "string", "base language that the source declares; null when none"),
    ("locale", "string", "the declared language with its region, such as en-GB; null where the declaration does not stand"),
    ("language_source", "string!", "declared, detected, channel or unknown: who decided language"),
    ("language_confidence", "float", "the detector's confidence in language; null where it was not asked"),
    ("channel_id", "string", "the source's identifier of the channel"),
    ("countries", "array<string>", "countries that the source names"),
    ("labels", "array<string>!", "categories of the taxonomy that a person assigned; empty when none"),
    ("updated_at", "timestamp", "when the source last changed the video, as it says"),
    ("input_digest", "bigint!", "digest of the source row and of what prepared it: an equal one is not prepared again"),
    ("visual_vector", "binary", "the source's visual vector, float16 little-endian; null when there is none of the right length"),
], _QUALITIES | _known("language_source", "declared detected channel unknown") | _shares("language_confidence"), "language channel_id")

CHANNELS = _table("channels", "one row per channel: its profile, rebuilt on request", "channel_id", [
    ("channel_id", "string", "the source's identifier of the channel"),
    ("profile_version", "string!", "version of the profiles that the row belongs to"),
    ("tags", "array<string>!", "the channel's most frequent tags, most frequent first"),
    ("language", "string", "the channel's usual language; null when it has none"),
    ("num_videos", "bigint!", "videos that the profile was made of"),
])

REJECTED_VIDEOS = _table("rejected_videos", "one row per source row that could not be used, and rule", "row_digest rule", [
    ("row_digest", "string", "sha256 of the row"),
    ("rule", "string", "the rule that it breaks"),
    ("row", "string!", "the row as JSON"),
    ("source", "string!", "where the row was read"),
    ("run_id", "string!", "the first run that rejected it"),
    ("rejected_at", "timestamp!", "when"),
], cluster_by="rule")

EMBEDDINGS = _table("embeddings", "one row per video and encoder: the vector, and all that classifying needs; filter on encoder_id", "video_id encoder_id", [
    ("video_id", "string", "videos.video_id"),
    ("encoder_id", "string", "the encoder that made the vector; without a filter on it a video counts once per encoder"),
    ("encode_key", f"{ENCODE_KEY}!", "what the vector was made of and by: an equal key is not encoded again. "
     "Rows of an encoder that is no longer in the settings are kept but not updated: such a row is stale if its text_hash is not that of videos"),
    _LANGUAGE,
    _TEXT_SOURCE,
    _TEXT_QUALITY,
    ("visual_vector", "binary", "the visual vector, float16 little-endian; null when there is none"),
    ("vector", "binary", "the text's vector, float16 little-endian; null when there is no text"),
], _QUALITIES, "encoder_id video_id")

PREDICTIONS = _table("predictions", "one row per video: what the newest model version that scored it says", "video_id", [
    ("video_id", "string", "videos.video_id"),
    _LANGUAGE,
    *_TOP,
    ("confidences", "map<string, float>", "confidence of every category of the model; null without a text"),
    _TEXT_SOURCE,
    ("status", "string!", "ok, abstained (no category reached its threshold) or no_text"),
    ("encoder_id", "string!", "the encoder of the vector"),
    _MODEL_VERSION,
    _RUN_ID,
    ("predicted_at", "timestamp!", "when"),
    ("input_digest", "bigint!", "digest of the embedding's row and the model version: an equal one is not classified again"),
    ("top_logit", "float", "logit of top_category before calibration: its sigmoid is the uncalibrated confidence; null without a text"),
], _known("status", "ok abstained no_text") | _shares("top_confidence"), "language top_category")

PREDICTION_LOG = _table("prediction_log", "one row per prediction made: the history", "video_id predicted_at", [
    ("video_id", "string", "videos.video_id"), _LANGUAGE, *_TOP, _MODEL_VERSION, _RUN_ID, ("predicted_at", "timestamp", "when"),
], _shares("top_confidence"), "predicted_at")

LANGUAGE_ACCURACY = _table("language_accuracy", "one row per evaluation and language, over labelled test videos", "evaluation_id language", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("support", "bigint!", "test videos scored"),
    ("top1", "double!", "share whose top category is among the labels"),
    ("top1_low", "double!", "lower end of its 95 % Wilson interval"),
    ("top1_high", "double!", "upper end of its 95 % Wilson interval"),
    ("macro_f1", "double", "mean F1 over the categories that occur; null when none does"),
    ("micro_f1", "double", "F1 over all decisions; null when there is nothing to decide"),
    ("precision", "double", "of all categories given, the share that was right; null when none was given"),
    ("recall", "double!", "of all labels, the share that was given"),
    ("majority_baseline", "double!", "top-1 of always saying the language's most frequent category"),
    ("gap_to_training", "double", "top-1 of the training languages together minus top1"),
    _MODEL_VERSION,
    _RUN_ID,
    ("evaluated_at", "timestamp!", "when"),
    ("subset_accuracy", "double", "share given exactly their labels; null in rows older than the column, as in the next"),
    ("macro_precision", "double", "mean precision over the categories that were given; null when none was"),
    ("macro_recall", "double", "mean recall over the categories that occur as a label"),
    *((f"top1_at_{percent}", "double", f"top1 of the most confident {percent} % of the test videos; no prediction counts as least confident")
      for percent in (50, 80, 100)),
], _shares("top1 top1_low top1_high macro_f1 micro_f1 precision recall majority_baseline "
           "subset_accuracy macro_precision macro_recall top1_at_50 top1_at_80 top1_at_100"))

CATEGORY_ACCURACY = _table("category_accuracy", "one row per evaluation, language and category, over labelled test videos", "evaluation_id language category", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("category", "string", "a category of the model"),
    ("support", "bigint!", "test videos with this label"),
    ("num_predicted", "bigint!", "test videos given this category"),
    ("num_right", "bigint!", "of those, with this label"),
    ("precision", "double", "num_right / num_predicted; null when none was given"),
    ("recall", "double", "num_right / support; null when none has it"),
    ("f1", "double", "harmonic mean of both; null when the category does not occur"),
    _MODEL_VERSION,
    _RUN_ID,
], _shares("precision recall f1"))

CONFUSION = _table("confusion", "one row per evaluation, language, label and top category that occur together, over labelled test videos",
                   "evaluation_id language label top_category", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("label", "string", "a label of the test videos"),
    ("top_category", "string", "the top category that they got; no_text where they had none"),
    ("num_videos", "bigint!", "how many; a video of several labels counts under each of them"),
])

LANGUAGE_CONFIDENCE = _table("language_confidence", "one row per evaluation and language: how sure the model is, and how rightly", "evaluation_id language", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("num_videos", "bigint!", "videos predicted, labelled or not"),
    ("mean_confidence", "double", "mean of the top confidence over them; null when none has a text"),
    ("confidence_deciles", "array<double>", "its deciles, 0.1 to 0.9"),
    ("share_without_category", "double!", "share of them that got no category"),
    ("ece", "double", "expected calibration error of the top category on test videos, debiased, bins of at least 100; null below 100"),
    ("brier", "double", "mean squared error over test videos and categories; null without test videos"),
    ("log_loss", "double", "mean negative log-likelihood over test videos and categories, in nats; null without test videos"),
    ("reliability", f"array<{_BIN}>", "the bins of ece, lowest confidence first"),
    _MODEL_VERSION,
    _RUN_ID,
    ("ece_uncalibrated", "double", "ece of the sigmoid of predictions.top_logit: what it would be without calibration; null where that is"),
    ("reliability_uncalibrated", f"array<{_BIN}>", "its bins"),
    ("share_abstained", "double", "share of them that have a text and got no category; null in rows older than the column"),
], _shares("mean_confidence share_without_category ece brier ece_uncalibrated share_abstained"))

LABEL_ISSUES = _table("label_issues", "one row per evaluation and video whose label is probably wrong or most worth having", "evaluation_id video_id", [
    _EVALUATION_ID,
    ("video_id", "string", "videos.video_id"),
    _LANGUAGE,
    ("issue", "string!", "mislabelled or worth_labelling"),
    ("score", "double!", "0 to 1, higher is more probable or more worth"),
    ("reason", "string!", "why, in a sentence"),
], _known("issue", "mislabelled worth_labelling") | _shares("score"))

MODELS = _table("models", "one row per event in the life of a model version", "event_number", [
    ("event_number", "bigint", "1, 2, 3 ... in the order of events"),
    _MODEL_VERSION,
    ("event", "string!", "candidate, champion or retired: what the version became"),
    ("training_fingerprint", "string!", "digest of all that decides the training"),
    ("versions_read", "map<string, bigint>!", "Delta versions of the tables that the sample was read from"),
    ("seed", "bigint!", "seed of the training"),
    ("metrics", "map<string, double>!", "what training measured"),
    ("digest", "string!", "sha256 of the model version's folder"),
    ("run_id", "string!", "the run that made the event (runs.run_id); by hand when it was the command line"),
    ("happened_at", "timestamp!", "when"),
    ("reason", "string", "why: what the gate said, or a person's words; null for a candidate"),
], _known("event", "candidate champion retired"))

RUNS = _table("runs", "one row per run of a job", "run_id", [
    ("run_id", "string", "identifier of the run"),
    ("job", "string!", "pipeline, backfill, train, evaluate ..."),
    ("outcome", "string!", "done, refused (a mistake of the user's) or failed"),
    ("message", "string", "the sentence of the refusal or the failure"),
    ("started_at", "timestamp!", "when it started"),
    ("finished_at", "timestamp!", "when it ended"),
    ("settings", "string!", "the settings as JSON"),
    ("settings_fingerprint", "string!", "their digest"),
    ("source", "string", "the catalogue that was read; null when none was"),
    ("source_version", "string", "its version: Delta's, or a digest of the files"),
    ("rows_in", "bigint", "rows read from the source"),
    ("rows_ok", "bigint", "of those, prepared as new or changed videos"),
    ("rows_rejected", "bigint", "of those, rejected"),
    ("rows_reused", "bigint", "of those, unchanged since an earlier run"),
    ("rules", "map<string, bigint>", "rows that each rule caught, zeros included"),
    ("steps", "array<struct<name: string, seconds: double, num_rows: bigint>>!", "the steps in order"),
    ("code_version", "string!", "version of xlclass"),
], _known("outcome", "done refused failed") | {"rows_add_up": "rows_in IS NULL OR rows_in = rows_ok + rows_rejected + rows_reused"})

LATEST = tuple(  # small tables that stand in for views, which a lake without a catalog has not
    replace(table, name=f"latest_{table.name}", grain=f"{table.grain}; only of the evaluation that the champion got last")
    for table in (LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, CATEGORY_ACCURACY)
)

TABLES = (
    VIDEOS, CHANNELS, REJECTED_VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG,
    LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE, *LATEST, LABEL_ISSUES, MODELS, RUNS,
)
# fmt: on


def pack_vectors(vectors: np.ndarray) -> list[bytes]:
    """One `bytes` per row of `vectors`, `(n, dim)`: float16, little-endian.

    >>> unpack_vectors(pack_vectors(np.array([[0.5, -1.0]], np.float32)), 2)
    array([[ 0.5, -1. ]], dtype=float32)
    """
    return [row.tobytes() for row in np.ascontiguousarray(vectors, VECTOR_DTYPE)]


def unpack_vectors(packed: Sequence[bytes], dim: int) -> np.ndarray:
    """`(len(packed), dim) float32` from rows of `pack_vectors`.

    Raises:
        ValueError: a row has not `dim` numbers.
    """
    if any(len(row) != dim * VECTOR_DTYPE.itemsize for row in packed):
        raise ValueError(f"a vector has not {dim} float16 numbers ({dim * VECTOR_DTYPE.itemsize} bytes)")
    return np.frombuffer(b"".join(packed), VECTOR_DTYPE).reshape(len(packed), dim).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """`vectors` at length 1, float32; a null vector stays one.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return (rows := vectors.astype(np.float32)) / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
