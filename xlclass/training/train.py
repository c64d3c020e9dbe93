"""Sample to model version: a driver-collected sample of the training languages, a head, and the registry's events.

The manifest of a model version holds: model_version, training_fingerprint, encoder (its settings), parts (encoder_id, dim and languages of each
encoder), encoder_id (of the first) and dim (of the space that the head sees), alignment (how vectors get there), preparation_version,
categories (in the order of the head's outputs), chain (the numbers of the decision chain, see `model/bundle.py`), languages, split (salt and
shares), versions_read (Delta versions), seed, settings, num_videos per side, metrics, curves per epoch, code_version.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from xlclass import __version__
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.config import Settings, settings_digest
from xlclass.encoders.pair import Encoders
from xlclass.errors import ModelError
from xlclass.lake.registry import Registry
from xlclass.lake.runs import Run
from xlclass.model import alignment, head
from xlclass.model.alignment import Space, shipped_alignment
from xlclass.model.bundle import Bundle, ModelVersion
from xlclass.model.examples import Examples, Splits, label_matrix
from xlclass.model.fit import fit
from xlclass.quality.splits import CALIBRATION, TEST, TRAIN, VALIDATION, Split, group_column
from xlclass.schemas import EMBEDDINGS, MODELS, VIDEOS
from xlclass.training.align import AlignmentTexts, fitted_space

log = logging.getLogger(__name__)
_POSITIONS = 1_000_000  # by which a sample is taken by hash


def train(run: Run, encoders: Encoders) -> ModelVersion:
    """The model version for the lake's present contents: trained now, or the one that was trained from the same contents and settings.

    It is a candidate, or at once the champion if the lake has none; `promotion.py` decides whether a candidate becomes the champion.

    Raises:
        ModelError: no video of the training languages has a label, or no category has enough of them.
        LakeError: texts must be encoded for the alignment, and another run holds the lake.
    """
    settings, registry = run.settings, Registry(run.lake.root)
    taxonomy, preparation_version = run.taxonomy, run.preparation.version
    embeddings = run.lake.embeddings_on(encoders.route)
    with run.step("sample") as step:
        current = current_videos(run, encoders)
        sample = sample_videos(run.lake.read(VIDEOS).join(current, ["video_id", "text_hash"], how="left_semi"), settings, taxonomy)
        unlabelled = unlabelled_videos(current, settings)
        contents = _contents(sample, "video_id", "language", "channel_id", "text_hash", "labels", "side")
        contents += _contents(unlabelled, "video_id", "language", "text_hash") if unlabelled is not None else []
        texts = AlignmentTexts.of(run, encoders, current)
        texts_read = _texts_read(texts, encoders)
        shipped = shipped_alignment(encoders.specs[-1].encoder_id)
        fingerprint = _fingerprint(settings, taxonomy, encoders, preparation_version, [*contents, *texts_read, shipped.digest if shipped else None])
        trained_before = _whole(registry.trained_from(fingerprint))
        if trained_before:
            return trained_before
        origin = _origin(run, encoders, fingerprint)
    space, facts = fitted_space(run, encoders, texts, shipped)
    origin["alignment"] = facts | {"texts_read": texts_read}
    with run.step("collect") as step:
        collected = _collect(sample, embeddings)
        collected_unlabelled = _collect(unlabelled.drop("language", "text_hash"), embeddings) if unlabelled is not None else None
        step.num_rows = len(collected)
        megabytes = len(collected) * space.dim * 4 / 1e6
        log.info("sample: %s videos of %s, %.1f MB on the driver", f"{len(collected):,}", " and ".join(settings.training.languages), megabytes)
    with run.step("train") as step:
        bundle = _bundle(collected, collected_unlabelled, space, settings, taxonomy, origin)
        step.num_rows = int(bundle.manifest["num_videos"][TRAIN])
        run.lake.ensure(MODELS)
        return registry.register(bundle, run.run_id)


def _origin(run: Run, encoders: Encoders, fingerprint: str) -> dict[str, Any]:
    """What the manifest says of the encoders, the tables read and the code."""
    return {
        "model_version": fingerprint[:12],
        "training_fingerprint": fingerprint,
        "code_version": __version__,
        "encoder": dict(encoders.recorded),
        "encoder_id": encoders.main.encoder_id,
        "parts": [part._asdict() for part in encoders.route.parts],
        "dim": encoders.main.dim,
        "preparation_version": run.preparation.version,
        "versions_read": {table.name: run.lake.version(table) for table in (VIDEOS, EMBEDDINGS)},
    }


def _texts_read(texts: AlignmentTexts, encoders: Encoders) -> list[int | None]:
    """Number and digest of the texts that an alignment reads; empty if the encoders need none."""
    is_aligned = len(encoders.specs) > 1 or encoders.is_centred
    return [value for part in (texts.teachers, texts.others) for value in _contents(part, "video_id", "text_hash", "language")] if is_aligned else []


def _fingerprint(settings: Settings, taxonomy: Taxonomy, encoders: Encoders, preparation_version: str, contents: list[int | str | None]) -> str:
    """Digest of all that decides the training; `contents` are the digests of the videos and of the shipped alignment."""
    space = [encoders.route.encoder_ids, encoders.is_centred, alignment.RECIPE]
    rules = (settings.training, settings.calibration, settings.thresholds, settings.split, settings.taxonomy.min_training_videos)
    return settings_digest(*rules, taxonomy.categories, space, preparation_version, head.RECIPE, *contents)


def current_videos(run: Run, encoders: Encoders) -> DataFrame:
    """video_id, text_hash and language of the videos that have a vector by the encoder for their language, of the run's preparation."""
    key = F.col("encode_key")
    is_current = (key.preparation_version == run.preparation.version) & F.col("vector").isNotNull()
    return run.lake.embeddings_on(encoders.route).where(is_current).select("video_id", key.text_hash.alias("text_hash"), "language")


def _whole(version: ModelVersion | None) -> ModelVersion | None:
    """`version` if its folder is whole; null if there is none, or its folder is damaged."""
    if version is None:
        return None
    try:
        version.manifest()  # checks all files
    except ModelError as error:
        log.warning("%s", error)
        return None
    log.info("model version %s was trained on the same sample with the same settings: reused", version.name)
    return version


def sample_videos(videos: DataFrame, settings: Settings, taxonomy: Taxonomy) -> DataFrame:
    """The labelled videos that training uses: video_id, language, channel_id, text_hash, labels, side; one row per video, no vectors yet.

    They are in the training languages and not on the test side. Of a language and category, those with the lowest hash, at most
    `training.max_videos_per_language_and_category`. `channel_id` is the video's own id if it has no channel.
    """
    rules = settings.training
    categories = F.array(*(F.lit(name) for name in taxonomy.categories))
    shares = settings.split
    side = Split(shares.salt, shares.train, shares.validation, shares.calibration).column(group_column())
    labelled = (
        videos.where(F.col("language").isin(*rules.languages) & F.col("text_hash").isNotNull())
        .select(
            "video_id",
            "language",
            group_column().alias("channel_id"),
            "text_hash",
            F.array_intersect("labels", categories).alias("labels"),
            side.alias("side"),
        )
        .where((F.col("side") != TEST) & (F.size("labels") > 0))
    )
    by_hash = Window.partitionBy("language", "label").orderBy(F.xxhash64("video_id"), "video_id")
    ranked = labelled.select("*", F.explode("labels").alias("label")).withColumn("rank", F.row_number().over(by_hash))
    return ranked.where(F.col("rank") <= rules.max_videos_per_language_and_category).drop("label", "rank").dropDuplicates(["video_id"])


def unlabelled_videos(encoded: DataFrame, settings: Settings) -> DataFrame | None:
    """About `calibration.max_unlabelled` videos, by hash, of each other language with enough of them; null if there is none, or no correction is allowed."""
    rules = settings.calibration
    if rules.prior_shift == "never" and not rules.unlabelled_prototypes:
        return None
    others = encoded.where(~F.col("language").isin(*settings.training.languages))
    enough = others.groupBy("language").count().where(F.col("count") >= rules.min_unlabelled).collect()
    if not enough:
        return None
    share = F.create_map(*(F.lit(part) for row in enough for part in (row["language"], rules.max_unlabelled / row["count"])))
    position = F.pmod(F.xxhash64("video_id"), F.lit(_POSITIONS)) / F.lit(float(_POSITIONS))
    return others.where(position < share[F.col("language")])


def _contents(rows: DataFrame, *columns: str) -> list[int | None]:
    """Number of videos and an order-free digest of their columns: equal for equal samples."""
    return list(rows.agg(F.count("*"), F.bit_xor(F.xxhash64(*columns))).first())


def _collect(sample: DataFrame, embeddings: DataFrame) -> pd.DataFrame:
    """The sample with its vectors, on the driver, in the order of video_id."""
    vectors = embeddings.select("video_id", "encoder_id", "vector", *({"language"} - set(sample.columns)))
    return sample.join(vectors, "video_id", how="inner").toPandas().sort_values("video_id", ignore_index=True)


def _bundle(sample: pd.DataFrame, unlabelled: pd.DataFrame | None, space: Space, settings: Settings, taxonomy: Taxonomy, origin: dict[str, Any]) -> Bundle:
    categories = _learnable(sample, settings, taxonomy)
    parts = {side: _examples(sample[sample.side == side], categories, space) for side in (TRAIN, VALIDATION, CALIBRATION)}
    splits = Splits(parts[TRAIN], parts[VALIDATION], Examples.of(parts[VALIDATION], parts[CALIBRATION]))
    others = {} if unlabelled is None else {code: _in_space(rows, space) for code, rows in unlabelled.groupby("language")}
    chain, curves = fit(splits, others, settings)
    best = int(np.argmin(curves["val_loss"])) if "val_loss" in curves else len(curves["loss"]) - 1
    manifest = {
        **origin,
        "categories": list(categories),
        "languages": list(settings.training.languages),
        "split": asdict(settings.split),
        "seed": settings.training.seed,
        "settings": {name: asdict(getattr(settings, name)) for name in ("training", "calibration", "thresholds")},
        "num_videos": {side: len(rows) for side, rows in parts.items()},
        "metrics": {"best_epoch": best + 1, **chain.corrections, **{name: values[best] for name, values in curves.items()}},
        "curves": curves,
    }
    log.info("head: %d categories, %s training videos, best epoch %d", len(categories), f"{len(parts[TRAIN]):,}", best + 1)
    return Bundle(chain, space, manifest)


def _learnable(sample: pd.DataFrame, settings: Settings, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The categories that have enough training videos, in the taxonomy's order."""
    least = settings.taxonomy.min_training_videos
    counts = sample[sample.side == TRAIN].labels.explode().value_counts()
    enough = tuple(name for name in taxonomy.categories if counts.get(name, 0) >= least)
    if len(enough) < 2:
        languages = ", ".join(settings.training.languages)
        raise ModelError(
            f"{settings.file}: training.languages ({languages}) and taxonomy.min_training_videos ({least}): {len(sample)} labelled videos of these "
            f"languages found, {len(enough)} categories with enough of them, at least 2 are needed; check source.columns.labels and taxonomy.file"
        )
    return enough


def _examples(rows: pd.DataFrame, categories: Sequence[str], space: Space) -> Examples:
    """The rows as examples; a video with labels outside the categories only is a negative example of every category."""
    labels = label_matrix(rows.labels, categories)
    return Examples(_in_space(rows, space), labels, rows.language.to_numpy(object), rows.channel_id.to_numpy(object))


def _in_space(rows: pd.DataFrame, space: Space) -> np.ndarray:
    """The vectors of the rows in the space, `(n, dim) float32`."""
    return space.unpacked(rows.vector.tolist(), rows.encoder_id.tolist(), rows.language.tolist())
