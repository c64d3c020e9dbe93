"""The contract of every table (grain, columns with comments, keys, constraints, clustering) and the byte format of vectors.

Grains and comments are written into the tables: analysts read them in DESCRIBE. Types are Spark's DDL as text, so the command
line prints contracts without Spark. Schemas evolve by addition only. Confidences are calibrated, 0 to 1; times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xlclass.runtime.table_contract import Column as Column
from xlclass.runtime.table_contract import Table as Table
from xlclass.runtime.table_contract import one_of, shares, table

VECTOR_DTYPE = np.dtype("<f2")
MAX_FLOAT16 = 65_504.0
PART_TEXT = "text"  # the part of a video that an encode_key identifies
ENCODE_KEY = "struct<text_hash: string, preparation_version: string, encoder_id: string, part: string>"

_QUALITIES = one_of("text_quality", "ok short empty")
_TEXT_SOURCE = ("text_source", "string", "fields that the text was made from, joined by +, such as title+tags; null without text")
_TEXT_QUALITY = ("text_quality", "string!", "ok, short (fewer letters than the setting text.min_letters) or empty (no text)")
_LANGUAGE = ("language", "string!", "base language code (ISO 639; zh-Hant for traditional Chinese), und if unknown")
_MODEL_VERSION = ("model_version", "string!", "model version that the row comes from (models.model_version)")
_RUN_ID = ("run_id", "string!", "run that wrote the row (runs.run_id)")
_EVALUATION_ID = ("evaluation_id", "string", "digest of model version, predictions, labels and split; equal inputs have the same id")
_BIN = "struct<num_videos: bigint, mean_confidence: double, top1: double>"
_TOP = [
    ("top_category", "string", "category with the highest confidence; null without text"),
    ("top_confidence", "float", "calibrated confidence in top_category, 0 to 1; null without text"),
    ("categories", "array<struct<category: string, confidence: float>>", "assigned categories, most confident first; empty if abstained, null without text"),
]

# A contract reads as a table, one column a line.
# fmt: off
VIDEOS = table("videos", "One row per video: its text as encoded, its language and its labels", "video_id", [
    ("video_id", "string", "identifier of the video in the source"),
    ("title", "string", "title from the source, cut at 100,000 characters; null if the source has none"),
    ("text", "string", "prepared text that is encoded; null if nothing is left of title, tags and description"),
    _TEXT_SOURCE,
    _TEXT_QUALITY,
    ("text_hash", "string", "first 32 hex digits of the SHA-256 of text; null without text"),
    ("preparation_version", "string!", "version of the text preparation that made text"),
    _LANGUAGE,
    ("declared_language", "string", "base language code that the source declares; null if it declares none"),
    ("locale", "string", "declared language with its region, such as en-GB; null if none was declared or the declaration was overruled"),
    ("language_source", "string!", "how language was decided: declared, detected, channel (the channel's usual language) or unknown"),
    ("language_confidence", "float", "the detector's confidence in language, 0 to 1; null if it detected another language or none"),
    ("channel_id", "string", "identifier of the channel in the source; null if the source has none"),
    ("countries", "array<string>", "countries from the source; null if it names none"),
    ("labels", "array<string>!", "categories of the taxonomy that a person assigned; empty if none"),
    ("updated_at", "timestamp", "time of the last change according to the source, UTC; null if missing or impossible"),
    ("input_digest", "bigint!", "digest of the source row and of all that determines its preparation; equal digests are not prepared again"),
    ("visual_vector", "binary", "visual vector from the source, float16 little-endian; null if missing or of the wrong length"),
], _QUALITIES | one_of("language_source", "declared detected channel unknown") | shares("language_confidence"), "language channel_id")

CHANNELS = table("channels", "One row per channel: its frequent tags and usual language, rebuilt by jobs/backfill.py --full", "channel_id", [
    ("channel_id", "string", "identifier of the channel in the source"),
    ("profile_version", "string!", "version of the profiles; the same in every row"),
    ("tags", "array<string>!", "tags of at least two of the channel's videos, most frequent first; empty if none"),
    ("language", "string", "language that most of the channel's videos declare; null without a clear majority"),
    ("num_videos", "bigint!", "videos that the profile was computed from"),
])

REJECTED_VIDEOS = table("rejected_videos", "One row per source row that was rejected, and rule that it broke", "row_digest rule", [
    ("row_digest", "string", "SHA-256 of the source row"),
    ("rule", "string", "rule that the row broke: unreadable_row, null_video_id, duplicate_video_id, encoder_failed or vector_not_finite"),
    ("row", "string!", "source row as JSON"),
    ("source", "string!", "path or table that the row was read from"),
    ("run_id", "string!", "first run that rejected the row (runs.run_id)"),
    ("rejected_at", "timestamp!", "time of the first rejection, UTC"),
], cluster_by="rule")

EMBEDDINGS = table("embeddings", "One row per video and encoder: the vector of its text, and all that classification needs", "video_id encoder_id", [
    ("video_id", "string", "videos.video_id"),
    ("encoder_id", "string", "the encoder that computed the vector; without a filter on it, a video counts once per encoder"),
    ("encode_key", f"{ENCODE_KEY}!", "what the vector was made from and by which encoder; an equal key is not encoded again. Rows of an encoder that "
     "the settings no longer name are kept but not updated: such a row is stale if its text_hash differs from the video's"),
    _LANGUAGE,
    _TEXT_SOURCE,
    _TEXT_QUALITY,
    ("visual_vector", "binary", "visual vector, float16 little-endian; null if there is none"),
    ("vector", "binary", "vector of the text, float16 little-endian, length (L2 norm) 1; null without text"),
], _QUALITIES, "encoder_id video_id")

PREDICTIONS = table("predictions", "One row per video: its newest prediction", "video_id", [
    ("video_id", "string", "videos.video_id"),
    _LANGUAGE,
    *_TOP,
    ("confidences", "map<string, float>", "calibrated confidence of every category, 0 to 1; null without text"),
    _TEXT_SOURCE,
    ("status", "string!", "ok, abstained (no category reached its threshold) or no_text"),
    ("encoder_id", "string!", "encoder that made the vector (embeddings.encode_key.encoder_id)"),
    _MODEL_VERSION,
    _RUN_ID,
    ("predicted_at", "timestamp!", "time of the prediction, UTC"),
    ("input_digest", "bigint!", "digest of the embeddings row and the model version; equal digests are not classified again"),
    ("top_logit", "float", "logit of top_category before calibration; its sigmoid is the uncalibrated confidence; null without text"),
], one_of("status", "ok abstained no_text") | shares("top_confidence"), "language top_category")

PREDICTION_LOG = table("prediction_log", "One row per prediction ever made, kept for retention.log_days", "video_id predicted_at", [
    ("video_id", "string", "videos.video_id"), _LANGUAGE, *_TOP, _MODEL_VERSION, _RUN_ID, ("predicted_at", "timestamp", "time of the prediction, UTC"),
], shares("top_confidence"), "predicted_at")

LANGUAGE_ACCURACY = table("language_accuracy", "One row per evaluation and language: accuracy on labelled test videos", "evaluation_id language", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("support", "bigint!", "labelled test videos that were scored"),
    ("top1", "double!", "top-1 accuracy: share of the test videos whose top_category is among their labels, 0 to 1; videos without text count as wrong"),
    ("top1_low", "double!", "lower end of the 95 % Wilson interval of top1"),
    ("top1_high", "double!", "upper end of the 95 % Wilson interval of top1"),
    ("macro_f1", "double", "mean F1 over the categories that occur as label or prediction, 0 to 1; null if none occurs"),
    ("micro_f1", "double", "F1 over all pairs of video and category, 0 to 1; null if there is neither label nor prediction"),
    ("precision", "double", "micro precision: share of the assigned categories that are labels, 0 to 1; null if none was assigned"),
    ("recall", "double!", "micro recall: share of the labels that were assigned, 0 to 1"),
    ("majority_baseline", "double!", "top1 of always predicting the language's most frequent category"),
    ("gap_to_training", "double", "top1 of all training languages together minus top1 of this language; null without scored training languages"),
    _MODEL_VERSION,
    _RUN_ID,
    ("evaluated_at", "timestamp!", "time of the evaluation, UTC"),
    ("subset_accuracy", "double", "share of the test videos whose assigned categories are exactly their labels, 0 to 1"),
    ("macro_precision", "double", "mean precision over the categories that were assigned, 0 to 1; null if none was"),
    ("macro_recall", "double", "mean recall over the categories that occur as a label, 0 to 1"),
    *((f"top1_at_{percent}", "double", f"top1 of the most confident {percent} % of the test videos; videos without text come last and count as wrong")
      for percent in (50, 80, 100)),
], shares("top1 top1_low top1_high macro_f1 micro_f1 precision recall majority_baseline "
           "subset_accuracy macro_precision macro_recall top1_at_50 top1_at_80 top1_at_100"))

CATEGORY_ACCURACY = table("category_accuracy", "One row per evaluation, language and category: accuracy on labelled test videos",
                          "evaluation_id language category", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("category", "string", "category of the model version"),
    ("support", "bigint!", "test videos with this label"),
    ("num_predicted", "bigint!", "test videos that were assigned this category"),
    ("num_right", "bigint!", "test videos with this label that were assigned this category"),
    ("precision", "double", "num_right / num_predicted, 0 to 1; null if num_predicted is 0"),
    ("recall", "double", "num_right / support, 0 to 1; null if support is 0"),
    ("f1", "double", "harmonic mean of precision and recall, 0 to 1; null if support and num_predicted are 0"),
    _MODEL_VERSION,
    _RUN_ID,
], shares("precision recall f1"))

CONFUSION = table("confusion", "One row per evaluation, language, label and top category that occur together in labelled test videos",
                   "evaluation_id language label top_category", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("label", "string", "label of the test videos"),
    ("top_category", "string", "top category of the test videos; no_text for videos without text"),
    ("num_videos", "bigint!", "test videos with this label and this top category; a video with several labels counts once under each"),
])

LANGUAGE_CONFIDENCE = table("language_confidence", "One row per evaluation and language: confidence and calibration", "evaluation_id language", [
    _EVALUATION_ID,
    ("language", "string", "videos.language"),
    ("num_videos", "bigint!", "videos with a row in predictions, labelled or not"),
    ("mean_confidence", "double", "mean of top_confidence over these videos, 0 to 1; null if none has a text"),
    ("confidence_deciles", "array<double>", "the nine deciles of top_confidence, from 10 % to 90 % of these videos; null if none has a text"),
    ("share_without_category", "double!", "share of these videos that got no category, 0 to 1"),
    ("ece", "double", "expected calibration error of top_confidence on test videos, debiased, 0 to 1; null with fewer than 100 test videos"),
    ("brier", "double", "Brier score: mean squared error of the confidences over test videos and categories, 0 to 1; null without test videos"),
    ("log_loss", "double", "mean negative log-likelihood over test videos and categories, in nats; null without test videos"),
    ("reliability", f"array<{_BIN}>", "the bins of ece, at least 100 test videos each, lowest confidence first; empty if ece is null"),
    _MODEL_VERSION,
    _RUN_ID,
    ("ece_uncalibrated", "double", "ece of the uncalibrated confidence, the sigmoid of predictions.top_logit; null if ece is null"),
    ("reliability_uncalibrated", f"array<{_BIN}>", "the bins of ece_uncalibrated, lowest confidence first; empty if it is null"),
    ("share_abstained", "double", "share of these videos that have a text but got no category, 0 to 1"),
], shares("mean_confidence share_without_category ece brier ece_uncalibrated share_abstained"))

LABEL_ISSUES = table("label_issues", "One row per evaluation and video that is probably mislabelled or most worth labelling", "evaluation_id video_id", [
    _EVALUATION_ID,
    ("video_id", "string", "videos.video_id"),
    _LANGUAGE,
    ("issue", "string!", "mislabelled (a label is probably wrong) or worth_labelling (a label would help most)"),
    ("score", "double!", "0 to 1; the higher, the more likely the label is wrong, or the more a label would help"),
    ("reason", "string!", "explanation in one sentence"),
], one_of("issue", "mislabelled worth_labelling") | shares("score"))

_OF_ALL = "null but in the row of language all"
ENCODER_COMPARISON = table("encoder_comparison", "One row per comparison of encoders, contender, and language or group of languages",
                           "comparison_id contender language", [
    ("comparison_id", "string", "digest of the sample of videos, the contenders and the settings; equal inputs have the same id"),
    ("contender", "string", "name in the setting comparison.contenders"),
    ("language", "string", "videos.language, or a group: all; training (the training languages); known (other languages that the reference was trained on); "
     "other (all that is left)"),
    ("level", "string!", "language, or group: its videos count once more under their language"),
    ("reference", "string!", "contender that the others are compared with: the first of the setting"),
    ("support", "bigint!", "labelled test videos that were scored, the same for all contenders"),
    ("top1", "double!", "top-1 accuracy: share of the test videos whose top category is among their labels, 0 to 1"),
    ("top1_at_50", "double!", "top1 of the most confident half of the test videos"),
    ("majority_baseline", "double!", "top1 of always predicting the most frequent category"),
    ("gap_to_training", "double", "top1 of all training languages together minus top1; null without scored training languages"),
    ("gain", "double!", "top1 minus the reference's top1"),
    ("gain_low", "double", "lower end of the 95 % interval of gain (bootstrap over channels); null with fewer than 10 channels"),
    ("gain_high", "double", "upper end of the same interval"),
    ("lag", "double!", "top1 of the best contender minus top1"),
    ("lag_low", "double", "lower end of the 95 % interval of lag; above 0: worse than the best beyond chance; null with fewer than 10 channels"),
    ("milliseconds_per_text", "double", f"time to encode a text of the catalogue with one thread, by the part for its language; {_OF_ALL}"),
    ("cost_per_million", "double", f"cost of encoding a million texts, without idle cores; {_OF_ALL}"),
    ("memory_mib", "double", f"peak resident memory of the process that encoded, in MiB; {_OF_ALL}"),
    ("model_mib", "double", f"size of the encoders' files, in MiB; {_OF_ALL}"),
    ("vector_bytes", "double", f"mean size of a stored vector, in bytes; {_OF_ALL}"),
    ("language_variance_share", "double", f"share of the variance of the vectors that lies between languages, 0 to 1, each language counted once; {_OF_ALL}"),
    ("num_training_videos", "bigint", f"videos that the head was trained on; {_OF_ALL}"),
    _RUN_ID,
    ("compared_at", "timestamp!", "time of the comparison, UTC"),
], one_of("level", "language group") | shares("top1 top1_at_50 majority_baseline language_variance_share"))

MODELS = table("models", "One row per event in the life of a model version", "event_number", [
    ("event_number", "bigint", "1, 2, 3 ... in the order of events"),
    ("model_version", "string!", "name of the model version, and of its folder in model_versions/"),
    ("event", "string!", "new state of the version: candidate, champion (its predictions are used) or retired"),
    ("training_fingerprint", "string!", "digest of all inputs and settings of the training; an equal one reuses the model version"),
    ("versions_read", "map<string, bigint>!", "Delta version of each table that training read"),
    ("seed", "bigint!", "random seed of the training"),
    ("metrics", "map<string, double>!", "metrics that training measured, by name"),
    ("digest", "string!", "SHA-256 of the model version's folder"),
    ("run_id", "string!", "run that caused the event (runs.run_id); by hand if it was xlclass models promote or rollback"),
    ("happened_at", "timestamp!", "time of the event, UTC"),
    ("reason", "string", "reason for the event: the gate's verdict or a person's reason; null for a candidate"),
], one_of("event", "candidate champion retired"))

RUNS = table("runs", "One row per run of a job", "run_id", [
    ("run_id", "string", "identifier of the run"),
    ("job", "string!", "name of the job: pipeline, backfill, train, evaluate ..."),
    ("outcome", "string!", "done, refused (a user's mistake, explained in message) or failed"),
    ("message", "string", "why the run was refused or failed; null if it is done"),
    ("started_at", "timestamp!", "start of the run, UTC"),
    ("finished_at", "timestamp!", "end of the run, UTC"),
    ("settings", "string!", "all settings as JSON, secrets replaced by ***"),
    ("settings_fingerprint", "string!", "digest of the settings"),
    ("source", "string", "catalogue that the run read; null if it read none"),
    ("source_version", "string", "version of the catalogue: its Delta version, or a digest of its files; null if the run read none"),
    ("rows_in", "bigint", "rows read from the source; null if the run read none"),
    ("rows_ok", "bigint", "rows of rows_in that are new or changed videos"),
    ("rows_rejected", "bigint", "rows of rows_in that were rejected (rejected_videos)"),
    ("rows_reused", "bigint", "rows of rows_in that did not change since an earlier run"),
    ("rules", "map<string, bigint>", "number of rows that each rule caught, zeros included; null if the run read no source"),
    ("steps", "array<struct<name: string, seconds: double, num_rows: bigint>>!", "steps of the run in order, with their seconds and rows"),
    ("code_version", "string!", "version of xlclass"),
], one_of("outcome", "done refused failed") | {"rows_add_up": "rows_in IS NULL OR rows_in = rows_ok + rows_rejected + rows_reused"})

LATEST = tuple(  # tables instead of views: a lake without a catalog has no views
    replace(table, name=f"latest_{table.name}", grain=f"{table.grain}; only the champion's newest evaluation")
    for table in (LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, CATEGORY_ACCURACY)
)

TABLES = (
    VIDEOS, CHANNELS, REJECTED_VIDEOS, EMBEDDINGS, PREDICTIONS, PREDICTION_LOG,
    LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE, *LATEST, LABEL_ISSUES, ENCODER_COMPARISON, MODELS, RUNS,
)
# fmt: on


def pack_vectors(vectors: np.ndarray) -> list[bytes]:
    """One `bytes` per row of `vectors`, `(n, dim)`: its numbers as float16, little-endian.

    >>> unpack_vectors(pack_vectors(np.array([[0.5, -1.0]], np.float32)), 2)
    array([[ 0.5, -1. ]], dtype=float32)
    """
    return [row.tobytes() for row in np.ascontiguousarray(vectors, VECTOR_DTYPE)]


def unpack_vectors(packed: Sequence[bytes], dim: int) -> np.ndarray:
    """The vectors that `pack_vectors` packed, `(len(packed), dim) float32`.

    Raises:
        ValueError: a row does not hold `dim` numbers.
    """
    if any(len(row) != dim * VECTOR_DTYPE.itemsize for row in packed):
        raise ValueError(f"a vector does not hold {dim} float16 numbers ({dim * VECTOR_DTYPE.itemsize} bytes)")
    return np.frombuffer(b"".join(packed), VECTOR_DTYPE).reshape(len(packed), dim).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """`vectors` scaled to length 1 (L2 norm), float32; a vector of zeros stays zero.

    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).round(1).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return (rows := vectors.astype(np.float32)) / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
