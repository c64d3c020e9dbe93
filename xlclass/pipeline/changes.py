"""The work of a backfill: the source compared with the lake.

The comparison reads ids, digests and keys only. A text is read once, when its row is staged; no vector is read. A join with few rows on
one side is a broadcast join.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from xlclass.catalog.language import DECISION_VERSION
from xlclass.catalog.rules import REJECTING_RULES, WARNING_RULES, apply_rules, rule_counts
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.catalog.text import Preparation
from xlclass.config import settings_digest
from xlclass.encoders.pair import Route
from xlclass.lake.source_columns import FIELDS
from xlclass.lake.sources import Catalogue
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.transforms import classification_digest, encode_key
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTIONS, VIDEOS

CARRIED = ("language", "text_source", "text_quality", "visual_vector")  # columns that `embeddings` copies from the video
_TEXTS = ("title", "description", "channel_id", "language", "updated_at")
_LISTS = ("tags", "countries", "labels", "visual_vector")
_READABILITY = ("filled", "mistyped", "knows_label")
_DOUBTFUL = ("invalid_text", "wrong_type")
FEW = 500_000  # ids that are broadcast


@dataclass(frozen=True)
class Input:
    """The source, and everything that decides how its rows become videos."""

    catalogue: Catalogue
    preparation: Preparation
    taxonomy: Taxonomy
    profile_version: str | None
    visual_dim: int
    now: datetime
    since: datetime | None = None

    def rows(self, ids: DataFrame | None = None) -> DataFrame:
        """The source's rows, or those of these ids, with `input_digest`; without rows whose `updated_at` is before `since`."""
        versions = settings_digest(self.preparation.version, DECISION_VERSION, self.taxonomy.aliases, self.profile_version)
        texts = [part for name in _TEXTS for part in (F.col(name), F.isnull(name))]  # xxhash64 skips nulls
        lists = [part for name in _LISTS for part in (F.col(name), F.size(name))]  # and empty lists
        source = self.catalogue.rows if ids is None else self.catalogue.rows_of(ids)
        rows = source.withColumn("input_digest", F.xxhash64(F.lit(versions), *texts, *lists))
        return rows if self.since is None else rows.where(F.coalesce(F.col("updated_at") >= F.lit(self.since), F.lit(True)))

    def ruled(self, rows: DataFrame, is_unique: bool = False) -> DataFrame:
        """`rows` after the rules of `catalog/rules.py`."""
        return apply_rules(rows, list(self.taxonomy.aliases), self.visual_dim, self.now, is_unique)


@dataclass(frozen=True)
class Comparison:
    """Every row of the source (video_id, `rule`, `is_new`, and `state`: rejected, same, changed or new), cached, and the counts.

    `num_doubtful`: rows that are unreadable, or have text that cannot be decoded or a value of a wrong type. `filled`: fields that have a
    value in some accepted row. `mistyped`: fields that have a value of a wrong type in some row. `knows_labels`: some label is in the taxonomy.
    """

    rows: DataFrame
    states: Counter[str]
    rules: dict[str, int]
    num_doubtful: int
    filled: frozenset[str]
    mistyped: frozenset[str]
    knows_labels: bool

    @property
    def num_pending(self) -> int:
        """Rows that are new or changed."""
        return self.states["new"] + self.states["changed"]


def compare(source: Input, lake: Lake) -> Comparison:
    """The source's rows compared with the lake's videos."""
    videos = lake.read(VIDEOS).select("video_id", F.col("input_digest").alias("digest_in_lake"))
    state = (
        F.when(F.col("rule").isNotNull(), "rejected")
        .when(F.col("digest_in_lake").isNull(), "new")
        .when(F.col("digest_in_lake") == F.col("input_digest"), "same")
        .otherwise("changed")
    )
    rows = source.rows().withColumns(_readability(source.taxonomy))  # before the rules, which shuffle only the columns that are used
    ruled = source.ruled(rows).select("video_id", "input_digest", "rule", "warnings", *_READABILITY)
    joined = ruled.join(videos, "video_id", how="left")
    is_new = F.col("digest_in_lake").isNull().alias("is_new")
    rows = joined.select("video_id", "rule", "warnings", *_READABILITY, is_new, state.alias("state")).persist()
    states: Counter[str] = Counter()
    rules = dict.fromkeys((*REJECTING_RULES, *WARNING_RULES), 0)
    is_doubtful = F.coalesce(F.arrays_overlap("warnings", F.lit(list(_DOUBTFUL))), F.col("rule") == "unreadable_row")
    is_accepted = F.col("rule").isNull()
    masks = (
        F.bit_or(F.when(is_accepted, F.col("filled")).otherwise(0)).alias("filled"),
        F.bit_or("mistyped").alias("mistyped"),
        F.bool_or("knows_label").alias("knows_label"),
    )
    sums = (F.count("*").alias("num_rows"), F.count_if(is_doubtful).alias("num_doubtful"))
    counts = rows.groupBy("state").agg(*sums, *masks, *rule_counts()).collect()
    for row in counts:
        states[row["state"]] += row["num_rows"]
        for rule in rules:
            rules[rule] += row[rule]
    filled, mistyped = (frozenset(name for bit, name in enumerate(FIELDS) if any(row[mask] >> bit & 1 for row in counts)) for mask in ("filled", "mistyped"))
    return Comparison(rows, states, rules, sum(row["num_doubtful"] for row in counts), filled, mistyped, any(row["knows_label"] for row in counts))


def _readability(taxonomy: Taxonomy) -> dict[str, Column]:
    """`filled` and `mistyped`, whose bits stand for the fields that have a value, or one of a wrong type; and `knows_label`, whether the taxonomy has one."""
    filled = [F.when(F.col(name).isNotNull(), F.lit(1 << bit)).otherwise(0) for bit, name in enumerate(FIELDS)]
    mistyped = [F.when(F.array_contains("wrong_types", name), F.lit(1 << bit)).otherwise(0) for bit, name in enumerate(FIELDS)]
    any_mistyped = F.when(F.size("wrong_types") > 0, reduce(Column.__add__, mistyped)).otherwise(0)
    knows_label = F.coalesce(F.arrays_overlap("labels", F.lit(list(taxonomy.aliases))), F.lit(False))
    return dict(zip(_READABILITY, (reduce(Column.__add__, filled), any_mistyped, knows_label), strict=True))


def pending_ids(comparison: Comparison, limit: int | None) -> DataFrame:
    """video_id and is_new of the new and changed rows, at most `limit` of them."""
    ids = comparison.rows.where("state IN ('new', 'changed')").select("video_id", "is_new")
    return ids if limit is None else ids.orderBy(F.xxhash64("video_id"), "video_id").limit(limit)


def pending_rows(source: Input, lake: Lake, ids: DataFrame, comparison: Comparison) -> DataFrame:
    """The source's rows of these ids, with the columns that `prepare_videos` needs."""
    is_unique = not comparison.rules["duplicate_video_id"]
    profiles = lake.read(CHANNELS).select("channel_id", F.col("tags").alias("channel_tags"), F.col("language").alias("channel_language"))
    pending = broadcast_if_small(ids, comparison.num_pending)
    rows = source.rows(pending if comparison.num_pending <= FEW else None)  # with many ids the texts would be shuffled twice
    accepted = source.ruled(rows.join(pending, "video_id", how="inner"), is_unique).where(F.col("rule").isNull())
    with_profiles = accepted.join(profiles, "channel_id", how="left")
    return with_profiles.select("video_id", *_TEXTS, *_LISTS, "channel_tags", "channel_language", "input_digest", "is_new")


def rejected_rows(source: Input, comparison: Comparison) -> DataFrame:
    """row_digest, rule and row (JSON) of the source's rows that cannot be used, each once."""
    duplicates = comparison.rows.where("rule = 'duplicate_video_id'").select("video_id").distinct().withColumn("is_duplicate", F.lit(True))
    rows = source.rows().join(broadcast_if_small(duplicates, comparison.rules["duplicate_video_id"]), "video_id", how="left")
    suspects = rows.where(F.col("unreadable") | F.col("video_id").isNull() | F.col("is_duplicate"))
    return source.ruled(suspects).where(F.col("rule").isNotNull()).select("row_digest", "rule", "row").dropDuplicates(["row_digest", "rule"])


def gone_ids(comparison: Comparison, lake: Lake) -> DataFrame:
    """video_id of the lake's videos that the source no longer has."""
    return lake.read(VIDEOS).select("video_id").join(comparison.rows.where("rule IS NULL").select("video_id"), "video_id", how="left_anti")


def encoders_for(routes: Sequence[Route]) -> Column:
    """The encoder_ids for the column `language`, each once: by each of the routes."""
    return F.array_distinct(F.array(*(route.column() for route in routes)))


def with_encoders(videos: DataFrame, routes: Sequence[Route]) -> DataFrame:
    """A row per video and encoder that one of the routes has for its language, with `encoder_id`."""
    encoder_id = routes[0].column() if len(routes) == 1 else F.explode(encoders_for(routes))
    return videos.withColumn("encoder_id", encoder_id)


def stale_embeddings(lake: Lake, routes: Sequence[Route]) -> DataFrame:
    """video_id, encoder_id, is_new and has_vector of the lake's embeddings that are missing or stale."""
    return videos_to_embed(lake.read(VIDEOS), lake.read(EMBEDDINGS), routes).select("video_id", "encoder_id", "is_new", "has_vector")


def videos_to_embed(videos: DataFrame, embeddings: DataFrame, routes: Sequence[Route]) -> DataFrame:
    """Videos whose embedding is missing or stale, a row per embedding, with `encoder_id`, `is_new` and `has_vector`.

    `is_new`: there is no row yet. `has_vector`: only metadata changed; keep the vector. A row of `embeddings` by an encoder that is on no
    route for the video's language keeps its vector, and follows the video's metadata: a video that moves to another encoder's language
    leaves that encoder's row behind, and it must not be taken for the video's.
    """
    stored = embeddings.select("video_id", "encoder_id", F.struct("encode_key", *CARRIED).alias("stored"))
    has_metadata = F.struct(*(f"stored.{name}" for name in CARRIED)).eqNullSafe(F.struct(*CARRIED))
    has_vector = F.coalesce(F.col("stored.encode_key").eqNullSafe(encode_key()), F.lit(False))
    on_route = with_encoders(videos.drop("is_new"), routes).join(stored, ["video_id", "encoder_id"], how="left")
    flagged = on_route.withColumns({"is_new": F.col("stored").isNull(), "has_vector": has_vector}).where(~(F.col("has_vector") & has_metadata))
    left_behind = videos.drop("is_new").join(stored, "video_id", how="inner").where(~F.array_contains(encoders_for(routes), F.col("encoder_id")))
    kept = left_behind.where(~has_metadata).withColumns({"is_new": F.lit(False), "has_vector": F.lit(True)})
    return flagged.unionByName(kept).drop("stored")


def up_to_date(lake: Lake, routes: Sequence[Route], version: ModelVersion | None) -> tuple[bool, bool]:
    """Whether every video has an up-to-date embedding on each route, and whether `version` has scored all embeddings on its route as they are.

    It takes one pass over each table, and no join, unlike `videos_to_embed`.
    """
    embedding, score, nothing = ("video_id", "encode_key", *CARRIED), ("video_id", "input_digest"), F.lit(0).cast("bigint")
    videos = with_encoders(lake.read(VIDEOS), routes).withColumn("encode_key", encode_key())
    rows = lake.read(EMBEDDINGS).withColumn("input_digest", classification_digest(version) if version else nothing)
    embeddings = rows.where(F.array_contains(encoders_for(routes), F.col("encoder_id")))
    scored = F.when(Route.of(version.manifest()).is_on_it(), _digest(rows, score)).otherwise(nothing) if version else nothing
    predictions = lake.read(PREDICTIONS)
    digests = [
        videos.select(_digest(videos, embedding).alias("embedded"), nothing.alias("scored")),
        embeddings.select(_digest(embeddings, embedding).alias("embedded"), scored.alias("scored")),
        predictions.select(nothing.alias("embedded"), _digest(predictions, score).alias("scored")),
    ]
    difference = reduce(DataFrame.unionByName, digests).agg(F.bit_xor("embedded"), F.bit_xor("scored")).first()
    assert difference
    return not difference[0], not difference[1]


def have_same_rows(rows: DataFrame, others: DataFrame) -> bool:
    """Whether two tables have the same rows, each once: then the exclusive or of the 64-bit digests of all rows is 0.

    The answer is wrong by chance once in 2^64.
    """
    first, second = (table.select(_digest(table, rows.columns).alias("digest")) for table in (rows, others))
    difference = first.unionByName(second).agg(F.bit_xor("digest")).first()
    assert difference
    return not difference[0]


def _digest(rows: DataFrame, names: Sequence[str]) -> Column:
    """64-bit digest of these columns of a row; structs are flattened one level, and nulls are marked, because xxhash64 skips them."""
    kinds = {name: rows.schema[name].dataType for name in names}
    fields = [path for name, kind in kinds.items() for path in ([f"{name}.{part}" for part in kind.names] if isinstance(kind, StructType) else [name])]
    return F.xxhash64(*(part for path in fields for part in (F.col(path), F.isnull(path))))


def stale_videos(lake: Lake, ids: DataFrame, num_ids: int) -> DataFrame:
    """The videos of these ids and encoders, with the columns that `encode_videos` needs."""
    return (
        lake.read(VIDEOS)
        .join(broadcast_if_small(ids, num_ids), "video_id", how="inner")
        .select("video_id", "encoder_id", "title", "text", "text_hash", "preparation_version", *CARRIED, "is_new", "has_vector")
    )


def chunk_of(num_chunks: int) -> Column:
    """The chunk of a video, by the hash of its id."""
    return F.pmod(F.xxhash64("video_id"), F.lit(num_chunks))


def of_languages(rows: DataFrame, languages: Sequence[str]) -> DataFrame:
    """The rows in these languages; all rows if `languages` is empty."""
    return rows.where(F.col("language").isin(*languages)) if languages else rows


def broadcast_if_small(ids: DataFrame, num_ids: int) -> DataFrame:
    """`ids`, with a broadcast hint if they are few."""
    return F.broadcast(ids) if num_ids <= FEW else ids
