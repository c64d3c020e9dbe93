"""What a backfill has to do: the source compared with the lake, and the rows for it staged.

Comparing reads ids, digests and keys only. A text is read once, when its row is staged, and no vector at all; a join with
few rows on one side is a broadcast.
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
from xlclass.lake.sources import Catalogue
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.pipeline.transforms import classification_digest, encode_key
from xlclass.schemas import CHANNELS, EMBEDDINGS, PREDICTIONS, VIDEOS

CARRIED = ("language", "text_source", "text_quality", "visual_vector")  # what a row of embeddings has of its video beside the key
_TEXTS = ("title", "description", "channel_id", "language", "updated_at")
_LISTS = ("tags", "countries", "labels", "visual_vector")
FEW = 500_000  # ids that are broadcast


@dataclass(frozen=True)
class Input:
    """The source, and what decides how its rows become videos."""

    catalogue: Catalogue
    preparation: Preparation
    taxonomy: Taxonomy
    profile_version: str | None
    visual_dim: int
    now: datetime
    since: datetime | None = None

    def rows(self, ids: DataFrame | None = None) -> DataFrame:
        """The source's rows, or those of these ids, with `input_digest`; those known to be older than `since` are passed over."""
        made_by = settings_digest(self.preparation.version, DECISION_VERSION, self.taxonomy.aliases, self.profile_version)
        texts = [part for name in _TEXTS for part in (F.col(name), F.isnull(name))]  # xxhash64 itself passes over nulls
        lists = [part for name in _LISTS for part in (F.col(name), F.size(name))]  # and empty lists
        given = self.catalogue.rows if ids is None else self.catalogue.rows_of(ids)
        rows = given.withColumn("input_digest", F.xxhash64(F.lit(made_by), *texts, *lists))
        return rows if self.since is None else rows.where(F.coalesce(F.col("updated_at") >= F.lit(self.since), F.lit(True)))

    def ruled(self, rows: DataFrame, is_unique: bool = False) -> DataFrame:
        """`rows` after the rules."""
        return apply_rules(rows, list(self.taxonomy.aliases), self.visual_dim, self.now, is_unique)


@dataclass(frozen=True)
class Comparison:
    """Every row of the source by video_id, `rule`, `is_new` and `state` (rejected, same, changed, new), kept in memory; and the sums."""

    rows: DataFrame
    states: Counter[str]
    rules: dict[str, int]

    @property
    def num_pending(self) -> int:
        """Rows that are new or changed."""
        return self.states["new"] + self.states["changed"]


def compare(given: Input, lake: Lake) -> Comparison:
    """The source's rows against the videos that the lake holds."""
    known = lake.read(VIDEOS).select("video_id", F.col("input_digest").alias("known_digest"))
    state = (
        F.when(F.col("rule").isNotNull(), "rejected")
        .when(F.col("known_digest").isNull(), "new")
        .when(F.col("known_digest") == F.col("input_digest"), "same")
        .otherwise("changed")
    )
    joined = given.ruled(given.rows()).select("video_id", "input_digest", "rule", "warnings").join(known, "video_id", how="left")
    rows = joined.select("video_id", "rule", "warnings", F.col("known_digest").isNull().alias("is_new"), state.alias("state")).persist()
    states: Counter[str] = Counter()
    rules = dict.fromkeys((*REJECTING_RULES, *WARNING_RULES), 0)
    for row in rows.groupBy("state").agg(F.count("*").alias("num_rows"), *rule_counts()).collect():
        states[row["state"]] += row["num_rows"]
        for rule in rules:
            rules[rule] += row[rule]
    return Comparison(rows, states, rules)


def pending_ids(comparison: Comparison, limit: int | None) -> DataFrame:
    """video_id and is_new of what is new or changed, `limit` of them at most."""
    ids = comparison.rows.where("state IN ('new', 'changed')").select("video_id", "is_new")
    return ids if limit is None else ids.orderBy(F.xxhash64("video_id"), "video_id").limit(limit)


def pending_rows(given: Input, lake: Lake, ids: DataFrame, comparison: Comparison) -> DataFrame:
    """What `prepare_videos` needs of the source's rows of these ids."""
    is_unique = not comparison.rules["duplicate_video_id"]
    profiles = lake.read(CHANNELS).select("channel_id", F.col("tags").alias("channel_tags"), F.col("language").alias("channel_language"))
    wanted = broadcast_if_small(ids, comparison.num_pending)
    found = given.rows(wanted if comparison.num_pending <= FEW else None)  # many would shuffle the texts twice
    rows = given.ruled(found.join(wanted, "video_id", how="inner"), is_unique).where(F.col("rule").isNull())
    return rows.join(profiles, "channel_id", how="left").select("video_id", *_TEXTS, *_LISTS, "channel_tags", "channel_language", "input_digest", "is_new")


def rejected_rows(given: Input, comparison: Comparison) -> DataFrame:
    """row_digest, rule and row (JSON) of the source's rows that cannot be used, each once."""
    twice = comparison.rows.where("rule = 'duplicate_video_id'").select("video_id").distinct().withColumn("is_twice", F.lit(True))
    rows = given.rows().join(broadcast_if_small(twice, comparison.rules["duplicate_video_id"]), "video_id", how="left")
    suspect = rows.where(F.col("unreadable") | F.col("video_id").isNull() | F.col("is_twice"))
    return given.ruled(suspect).where(F.col("rule").isNotNull()).select("row_digest", "rule", "row").dropDuplicates(["row_digest", "rule"])


def gone_ids(comparison: Comparison, lake: Lake) -> DataFrame:
    """video_id of the lake's videos that the source no longer has."""
    return lake.read(VIDEOS).select("video_id").join(comparison.rows.where("rule IS NULL").select("video_id"), "video_id", how="left_anti")


def stale_embeddings(lake: Lake, encoder_id: str) -> DataFrame:
    """video_id, is_new and has_vector of the lake's videos whose row of `embeddings` is missing or not right."""
    return videos_to_embed(lake.read(VIDEOS), lake.read(EMBEDDINGS), encoder_id).select("video_id", "is_new", "has_vector")


def videos_to_embed(videos: DataFrame, embeddings: DataFrame, encoder_id: str) -> DataFrame:
    """The videos whose row of `embeddings` is missing, of another key, or says another language or source, with `is_new` and `has_vector`.

    `is_new`: there is no row; `has_vector`: the vector is right as it is, only what stands beside it is not.
    """
    known = embeddings.select("video_id", F.struct("encode_key", *CARRIED).alias("known"))
    joined = videos.drop("is_new").join(known, "video_id", how="left")
    same_key = F.coalesce(F.col("known.encode_key").eqNullSafe(encode_key(encoder_id)), F.lit(False))
    same_rest = F.struct(*(f"known.{name}" for name in CARRIED)).eqNullSafe(F.struct(*CARRIED))
    flagged = joined.withColumns({"is_new": F.col("known").isNull(), "has_vector": same_key})
    return flagged.where(~(same_key & same_rest)).drop("known")


def up_to_date(lake: Lake, encoder_id: str, version: ModelVersion | None) -> tuple[bool, bool]:
    """Whether every video's row of `embeddings` is there and right, and whether `version` has scored every embedding as it is.

    By one pass over each table, where `videos_to_embed` joins them.
    """
    keyed, scored, nothing = ("video_id", "encode_key", *CARRIED), ("video_id", "input_digest"), F.lit(0).cast("bigint")
    videos = lake.read(VIDEOS).withColumn("encode_key", encode_key(encoder_id))
    embeddings = lake.read(EMBEDDINGS).withColumn("input_digest", classification_digest(version) if version else nothing)
    predictions = lake.read(PREDICTIONS)
    digests = [
        videos.select(_digest(videos, keyed).alias("embedded"), nothing.alias("scored")),
        embeddings.select(_digest(embeddings, keyed).alias("embedded"), _digest(embeddings, scored).alias("scored")),
        predictions.select(nothing.alias("embedded"), _digest(predictions, scored).alias("scored")),
    ]
    unlike = reduce(DataFrame.unionByName, digests).agg(F.bit_xor("embedded"), F.bit_xor("scored")).first()
    return not unlike[0], not unlike[1]


def have_same_rows(rows: DataFrame, others: DataFrame) -> bool:
    """Whether two tables have the same rows, each once: the exclusive or of all their 64-bit digests is 0. By chance, once in 2^64."""
    first, second = (table.select(_digest(table, rows.columns).alias("digest")) for table in (rows, others))
    return not first.unionByName(second).agg(F.bit_xor("digest")).first()[0]


def _digest(rows: DataFrame, names: Sequence[str]) -> Column:
    """64 bits of what these columns of a row hold, one level of structs taken apart: xxhash64 itself passes over nulls."""
    kinds = {name: rows.schema[name].dataType for name in names}
    fields = [path for name, kind in kinds.items() for path in ([f"{name}.{part}" for part in kind.names] if isinstance(kind, StructType) else [name])]
    return F.xxhash64(*(part for path in fields for part in (F.col(path), F.isnull(path))))


def stale_videos(lake: Lake, ids: DataFrame, num_ids: int) -> DataFrame:
    """What `encode_videos` needs of the videos of these ids."""
    return (
        lake.read(VIDEOS)
        .join(broadcast_if_small(ids, num_ids), "video_id", how="inner")
        .select("video_id", "title", "text", "text_hash", "preparation_version", *CARRIED, "is_new", "has_vector")
    )


def chunk_of(num_chunks: int) -> Column:
    """The chunk of a video: by the hash of its id."""
    return F.pmod(F.xxhash64("video_id"), F.lit(num_chunks))


def of_languages(rows: DataFrame, languages: Sequence[str]) -> DataFrame:
    """The rows of these languages; all where none is named."""
    return rows.where(F.col("language").isin(*languages)) if languages else rows


def broadcast_if_small(ids: DataFrame, num_ids: int) -> DataFrame:
    """`ids`, to be broadcast where they are few."""
    return F.broadcast(ids) if num_ids <= FEW else ids
