"""Encoders weighed against each other: the same videos, split, head and calibration through each contender; see `contenders.py`.

A contender's confidence is that of the head after Platt scaling and the languages' maps (`model/calibration.py`). The corrections of the
decision chain are left out: whether they are on would differ from contender to contender.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from xlclass.config import settings_digest
from xlclass.encoders.capacity import COST_PER_CORE_HOUR
from xlclass.encoders.cost import Cost, measured_cost, model_mib
from xlclass.errors import ModelError
from xlclass.evaluation.comparison_rows import Answers, accuracy_rows
from xlclass.evaluation.comparison_sample import FITTED, TESTED, Sample, collected_rows, encoded_sample, sample_videos, timed_texts
from xlclass.evaluation.contenders import Contender, contenders_of
from xlclass.lake.evaluations import add_rows, has_rows
from xlclass.lake.runs import Run, utc_now
from xlclass.model import alignment, head
from xlclass.model.chain import DecisionChain
from xlclass.model.examples import Examples, Splits, label_matrix
from xlclass.model.fit import Draft
from xlclass.model.head import train_head
from xlclass.quality.language_share import language_variance_share
from xlclass.quality.splits import CALIBRATION, TRAIN, VALIDATION
from xlclass.schemas import ENCODER_COMPARISON

RECIPE = "comparison/1"  # raise it if the same sample and settings would give other rows


class Facts(NamedTuple):
    """What the row of all languages says of a contender besides accuracy, in the names of the table."""

    milliseconds_per_text: float
    cost_per_million: float
    memory_mib: float | None
    model_mib: float
    vector_bytes: float
    language_variance_share: float | None
    num_training_videos: int


def compare_encoders(run: Run, num_videos: int | None = None) -> str:
    """The id of the comparison of the settings' contenders, whose rows are in `encoder_comparison`; equal inputs reuse existing rows.

    `num_videos` takes the place of `comparison.videos`.

    Raises:
        LakeError: the lake has no videos.
        ModelError: too few labelled videos of the training languages, or no labelled test video.
        EncoderError, SettingsError: see `contenders_of`.
    """
    contenders = contenders_of(run.settings)
    with run.step("sample") as step:
        videos = sample_videos(run, num_videos or run.settings.comparison.videos).persist()
        rows = collected_rows(videos)
        step.num_rows = len(rows)
    try:
        comparison_id = _comparison_id(run, contenders, rows)
        run.lake.ensure(ENCODER_COMPARISON)
        if not has_rows(run.lake, ENCODER_COMPARISON, comparison_id):
            categories = _learnable(run, rows)
            specs = list({spec.encoder_id: spec for contender in contenders for spec in contender.specs}.values())
            with run.step("encode") as step:
                sample = encoded_sample(run, videos, rows, specs)
                step.num_rows = len(sample.rows) * len(specs)
            add_rows(run.lake, ENCODER_COMPARISON, _rows(run, comparison_id, contenders, sample, categories), comparison_id)
    finally:
        videos.unpersist()
    return comparison_id


def _comparison_id(run: Run, contenders: Sequence[Contender], rows: pd.DataFrame) -> str:
    """Digest of all that decides the accuracies; the times and the memory are those of the first run with it."""
    settings = run.settings
    rules = (settings.training, settings.split, settings.taxonomy.min_training_videos, run.taxonomy.categories)
    named = [(contender.name, contender.form, [spec.encoder_id for spec in contender.specs]) for contender in contenders]
    return settings_digest(RECIPE, alignment.RECIPE, head.RECIPE, *rules, named, rows.to_json(orient="values"))


def _learnable(run: Run, rows: pd.DataFrame) -> tuple[str, ...]:
    """The categories with enough training videos in the sample, in the taxonomy's order."""
    settings, least = run.settings, run.settings.taxonomy.min_training_videos
    counts = rows[(rows.use == FITTED) & (rows.side == TRAIN)].labels.explode().value_counts()
    enough = tuple(name for name in run.taxonomy.categories if counts.get(name, 0) >= least)
    num_tested = sum(not set(enough).isdisjoint(labels) for labels in rows[rows.use == TESTED].labels)
    if len(enough) < 2 or not num_tested:
        raise ModelError(
            f"{settings.file}: the sample of {len(rows):,} videos has {len(enough)} categories with {least} labelled training videos (at least 2 are "
            f"needed) and {num_tested} labelled test videos of them: raise --videos, lower taxonomy.min_training_videos, or add labelled videos"
        )
    return enough


def _rows(run: Run, comparison_id: str, contenders: Sequence[Contender], sample: Sample, categories: Sequence[str]) -> list[tuple[object, ...]]:
    """The comparison's rows in the order of the table's columns."""
    labels = label_matrix(sample.rows.labels, categories)
    is_scored = (sample.rows.use == TESTED).to_numpy() & (labels.sum(axis=1) > 0)
    tests = sample.rows[is_scored]
    splits = _Splits(sample, labels)
    with run.step("train") as step:
        answers, shares = {}, {}
        for contender in contenders:
            learned, scored = contender.head_vectors(sample.vectors, sample.languages, sample.is_train, sample.alignment)
            chain = splits.chain(contender, learned, run)
            answers[contender.name] = Answers.of(chain.log_odds(scored[is_scored], tests.language), labels[is_scored])
            shares[contender.name] = language_variance_share(scored[is_scored], tests.language.to_numpy(object))
        step.num_rows = splits.num_training_videos
    with run.step("measure"):
        facts = _facts(run, contenders, shares, splits.num_training_videos)
    known = contenders[0].specs[0].languages
    groups = (run.settings.training.languages, known)
    rows = accuracy_rows(answers, labels[is_scored], tests.language.to_numpy(object), tests.channel_id.to_numpy(object), groups, run.settings.training.seed)
    about = {"comparison_id": comparison_id, "reference": contenders[0].name, "run_id": run.run_id, "compared_at": utc_now()}
    filled = [row | about | (facts[row["contender"]]._asdict() if row["language"] == "all" else {}) for row in rows]
    return [tuple(row.get(name) for name in ENCODER_COMPARISON.names) for row in filled]


class _Splits:
    """The sample's labelled videos of the training languages by side, and the chains that were trained on them."""

    def __init__(self, sample: Sample, labels: np.ndarray) -> None:
        is_fitted = (sample.rows.use == FITTED).to_numpy()
        self._masks = {side: is_fitted & (sample.rows.side == side).to_numpy() for side in (TRAIN, VALIDATION, CALIBRATION)}
        self._labels, self._languages = labels, sample.languages
        self._channels = sample.rows.channel_id.to_numpy(object)
        self._chains: dict[tuple[object, ...], DecisionChain] = {}
        self.num_training_videos = int(self._masks[TRAIN].sum())

    def chain(self, contender: Contender, vectors: np.ndarray, run: Run) -> DecisionChain:
        """The calibrated head of the contender; contenders whose heads learn from equal vectors share it."""
        if contender.trained_like not in self._chains:
            everything = Examples(vectors, self._labels, self._languages, self._channels)
            train, validation, calibration = (everything.where(mask) for mask in self._masks.values())
            splits = Splits(train, validation, Examples.of(validation, calibration))
            trained, _ = train_head(train, validation, run.settings.training)
            self._chains[contender.trained_like] = Draft.of(trained, splits, {}, run.settings).chain
        return self._chains[contender.trained_like]


def _facts(run: Run, contenders: Sequence[Contender], shares: dict[str, float | None], num_training_videos: int) -> dict[str, Facts]:
    """The facts of each contender by name; contenders with the same work are measured once."""
    timed = timed_texts(run)
    texts, languages = timed.text.to_numpy(object), timed.language.to_numpy(object)

    @functools.cache
    def cost(work: tuple[tuple[Any, tuple[str, ...]], ...]) -> Cost:
        return measured_cost(work)

    facts = {}
    for contender in contenders:
        parts = contender.parts(languages)
        seconds, memory = cost(tuple((spec, tuple(texts[mask])) for spec, mask in parts))
        per_text = seconds / len(texts)
        facts[contender.name] = Facts(
            milliseconds_per_text=1e3 * per_text,
            cost_per_million=1e6 * per_text / 3600 * COST_PER_CORE_HOUR,
            memory_mib=memory,
            model_mib=sum(model_mib(spec) for spec, _ in parts),
            vector_bytes=contender.vector_bytes(languages),
            language_variance_share=shares[contender.name],
            num_training_videos=num_training_videos,
        )
    return facts
