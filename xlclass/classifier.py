"""Texts to categories on one machine, without Spark: the same preparation, encoder and model version as the jobs use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_all
from xlclass.config import Settings, lake_root
from xlclass.encoders import resolve_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.lake.registry import Registry
from xlclass.schemas import pack_vectors, unpack_vectors


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
        self._bundle = Registry(lake_root(settings, lake)).champion().load()
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
