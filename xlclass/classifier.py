"""Texts to categories on one machine, without Spark: the same preparation, encoder and model version as the jobs use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import deltalake

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_all
from xlclass.config import Settings, lake_root
from xlclass.encoders import resolve_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.errors import ModelError
from xlclass.model.bundle import ModelVersion
from xlclass.schemas import MODELS, pack_vectors, unpack_vectors


@dataclass(frozen=True)
class Answer:
    """What is said of a text: its language, and its categories with their confidences, highest first; none without a text."""

    language: str
    categories: tuple[tuple[str, float], ...]


class Classifier:
    """The champion of a lake, loaded once.

    Raises:
        ModelError: the lake has no champion, or it does not fit the encoder or the preparation of the settings.
    """

    def __init__(self, settings: Settings, lake: str | None = None) -> None:
        self._preparation = load_preparation(settings)
        spec = resolve_encoder(settings)
        self._bundle = champion(lake_root(settings, lake)).load()
        self._bundle.require(spec.encoder_id, self._preparation.version)
        self._encoder = load_encoder(spec)

    def classify(self, titles: Sequence[str]) -> list[Answer]:
        """One answer per title, in their order; vectors go through float16, as in the tables."""
        nothing = [None] * len(titles)
        languages = [decision.language for decision in decide_all(titles, nothing, nothing, nothing, nothing)]
        texts = [self._preparation.prepare(title, None, None, None, language).text for title, language in zip(titles, languages, strict=True)]
        there = [i for i, text in enumerate(texts) if text]
        vectors = unpack_vectors(pack_vectors(self._encoder.encode([texts[i] or "" for i in there])), self._encoder.dim)
        decisions = self._bundle.decide(vectors, [languages[i] for i in there])
        given: dict[int, list[tuple[str, float]]] = {i: [] for i in range(len(titles))}
        for i, confidences, passed in zip(there, decisions.confidences, decisions.passed, strict=True):
            pairs = [(name, float(c)) for name, c, on in zip(self._bundle.categories, confidences, passed, strict=True) if on]
            given[i] = sorted(pairs, key=lambda pair: -pair[1])
        return [Answer(language, tuple(given[i])) for i, language in enumerate(languages)]


def champion(root: str) -> ModelVersion:
    """The champion of the lake at `root`, read without Spark.

    Raises:
        ModelError: there is none.
    """
    path = f"{root}/{MODELS.name}"
    if deltalake.DeltaTable.is_deltatable(path):
        events = deltalake.DeltaTable(path).to_pandas(columns=["event_number", "event", "model_version", "digest"])
        crowned = events[events.event == "champion"].sort_values("event_number")
        if len(crowned):
            newest = crowned.iloc[-1]
            return ModelVersion(newest.model_version, f"{root}/model_versions/{newest.model_version}", newest.digest)
    raise ModelError(f"the lake {root} has no champion model: run jobs/pipeline.py or jobs/train.py first")
