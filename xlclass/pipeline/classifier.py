"""Texts to categories on one machine, without Spark: with the preparation, encoder and model version of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_languages
from xlclass.config import Settings, lake_root
from xlclass.encoders import encoders_of
from xlclass.encoders.batches import FAILED, NOT_FINITE, embed_column
from xlclass.encoders.saved_model import load_encoder
from xlclass.lake.reading import require_lake
from xlclass.lake.registry import Registry


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
    """The champion of a lake, loaded once, with the preparation of the settings and the champion's encoders, each loaded when a text needs it.

    Raises:
        LakeError: the folder is no lake.
        ModelError: the lake has no champion, or the champion does not fit the preparation.
        EncoderError: the champion's encoders cannot be had.
    """

    def __init__(self, settings: Settings, lake: str | None = None) -> None:
        self._preparation = load_preparation(settings)
        self.lake = require_lake(lake_root(settings, lake))
        self.version = Registry(self.lake).champion()
        self.version.require(self._preparation.version)
        self.encoders = encoders_of(self.version.manifest(), settings)
        self.bundle = self.version.load()

    def classify(self, titles: Sequence[str]) -> list[Answer]:
        """One answer per title, in the order of the titles; vectors are rounded to float16, as in the tables."""
        nulls = [None] * len(titles)
        languages = [decision.language for decision in decide_languages(titles, nulls, nulls, nulls, nulls)]
        texts = [self._preparation.prepare(title, None, None, None, language).text for title, language in zip(titles, languages, strict=True)]
        encoder_ids = [self.encoders.route.encoder_of(language) for language in languages]
        packed = self._embedded(texts, encoder_ids)
        statuses = ["no_text" if vector is None else "failed" if vector in (FAILED, NOT_FINITE) else "ok" for vector in packed]
        encoded = [i for i, status in enumerate(statuses) if status == "ok"]
        known = [languages[i] for i in encoded]
        vectors = self.bundle.space.unpacked([packed[i] or b"" for i in encoded], [encoder_ids[i] for i in encoded], known)
        decisions = self.bundle.decide(vectors, known)
        answers = [Answer(language, status, None, None, (), self.version.name) for language, status in zip(languages, statuses, strict=True)]
        for i, top, confidences, passed in zip(encoded, decisions.top, decisions.confidences, decisions.passed, strict=True):
            pairs = [(name, float(value)) for name, value, has_passed in zip(self.bundle.categories, confidences, passed, strict=True) if has_passed]
            best_first = tuple(sorted(pairs, key=lambda pair: -pair[1]))
            status = "ok" if best_first else "abstained"
            answers[i] = Answer(languages[i], status, self.bundle.categories[top], float(confidences[top]), best_first, self.version.name)
        return answers

    def _embedded(self, texts: Sequence[str | None], encoder_ids: Sequence[str]) -> list[bytes | None]:
        """The packed vector of each text by its encoder, or a mark in place of it (`encoders/batches.py`)."""
        packed: list[bytes | None] = [None] * len(texts)
        for spec in self.encoders.specs:
            rows = [i for i, encoder_id in enumerate(encoder_ids) if encoder_id == spec.encoder_id and texts[i]]
            if rows:
                vectors = embed_column([texts[i] for i in rows], load_encoder(spec), spec.batch_texts, spec.batch_characters)
                for i, vector in zip(rows, vectors, strict=True):
                    packed[i] = vector
        return packed
