"""Texts to categories on one machine, without Spark: with the preparation, encoder and model version of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_languages
from xlclass.config import Settings, lake_root
from xlclass.encoders import resolve_encoder
from xlclass.encoders.batches import FAILED, NOT_FINITE, embed_column
from xlclass.encoders.saved_model import load_encoder
from xlclass.lake.reading import require_lake
from xlclass.lake.registry import Registry
from xlclass.schemas import unpack_vectors


@dataclass(frozen=True)
class Answer:
    """The prediction for one text, with the columns of `predictions`; `status` can also be failed: the encoder failed on the text.

    `categories` are those that pass their threshold, with their confidences, highest first. A text without a vector has no
    categories and no top category.
    """

    language: str
    status: str
    top_category: str | None
    top_confidence: float | None
    categories: tuple[tuple[str, float], ...]
    model_version: str


class Classifier:
    """The champion of a lake, loaded once, with the preparation and the encoder of the settings.

    Raises:
        LakeError: the folder is no lake.
        ModelError: the lake has no champion, or the champion does not fit the encoder or the preparation.
    """

    def __init__(self, settings: Settings, lake: str | None = None) -> None:
        self._preparation = load_preparation(settings)
        self.lake = require_lake(lake_root(settings, lake))
        self.version = Registry(self.lake).champion()
        self.spec = resolve_encoder(settings)
        self.version.require(self.spec.encoder_id, self._preparation.version)
        self.bundle = self.version.load()
        self._encoder = load_encoder(self.spec)

    def classify(self, titles: Sequence[str]) -> list[Answer]:
        """One answer per title, in the order of the titles; vectors are rounded to float16, as in the tables."""
        nulls = [None] * len(titles)
        languages = [decision.language for decision in decide_languages(titles, nulls, nulls, nulls, nulls)]
        texts = [self._preparation.prepare(title, None, None, None, language).text for title, language in zip(titles, languages, strict=True)]
        packed = embed_column(texts, self._encoder, self.spec.batch_texts, self.spec.batch_characters)
        statuses = ["no_text" if vector is None else "failed" if vector in (FAILED, NOT_FINITE) else "ok" for vector in packed]
        encoded = [i for i, status in enumerate(statuses) if status == "ok"]
        vectors = unpack_vectors([packed[i] or b"" for i in encoded], self._encoder.dim)
        decisions = self.bundle.decide(vectors, [languages[i] for i in encoded])
        answers = [Answer(language, status, None, None, (), self.version.name) for language, status in zip(languages, statuses, strict=True)]
        for i, top, confidences, passed in zip(encoded, decisions.top, decisions.confidences, decisions.passed, strict=True):
            pairs = [(name, float(value)) for name, value, has_passed in zip(self.bundle.categories, confidences, passed, strict=True) if has_passed]
            best_first = tuple(sorted(pairs, key=lambda pair: -pair[1]))
            status = "ok" if best_first else "abstained"
            answers[i] = Answer(languages[i], status, self.bundle.categories[top], float(confidences[top]), best_first, self.version.name)
        return answers
