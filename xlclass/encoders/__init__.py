"""Encoders: text to vector, every encoder behind one contract."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from xlclass.config import Settings
from xlclass.errors import EncoderError, SettingsError

if TYPE_CHECKING:
    from xlclass.encoders.contract import EncoderSpec  # imports numpy, too slow for `xlclass plan --help`


def resolve_encoder(settings: Settings) -> EncoderSpec:
    """The encoder of the settings, present on this machine's disk and checked. Call it once, on the driver.

    Raises:
        EncoderError: the encoder is missing, damaged, or breaks the contract.
        SettingsError: `encoder.precision`, `preprocessor` or `pooling` is set for an encoder that does not have it.
    """
    spec, encoder = _resolve(settings), settings.encoder
    texts, characters = encoder.batch_texts or spec.batch_texts, encoder.batch_characters or spec.batch_characters
    return dataclasses.replace(spec, batch_texts=texts, batch_characters=characters)


def _resolve(settings: Settings) -> EncoderSpec:
    """The encoder of the settings with its own batch sizes."""
    from xlclass.encoders.shipping import ARCHIVE, local_path, with_shipped_path

    encoder = settings.encoder
    _check_pair(settings)
    if encoder.model == "embedded":
        from xlclass.encoders.muse.build import embedded_encoder

        cache = settings.resolve(encoder.cache)
        return with_shipped_path(embedded_encoder(local_path(cache), encoder.precision, build=not cache.startswith(ARCHIVE)), cache)
    if encoder.precision != "float32":
        raise SettingsError(
            f'{settings.file}: encoder.precision = "{encoder.precision}" needs encoder.model = "embedded"; the SavedModel {encoder.model} brings its own'
        )
    from xlclass.encoders.bert import bert_encoder
    from xlclass.encoders.saved_model import saved_model_encoder

    def local(place: str) -> str:
        location = settings.resolve(place)
        return str(local_path(location)) if location.startswith(ARCHIVE) else location

    try:
        if encoder.preprocessor:
            cache, pair = settings.resolve(encoder.cache), (local(encoder.preprocessor), local(encoder.model))
            spec = bert_encoder(*pair, encoder.pooling, local_path(cache), encoder.languages, build=not cache.startswith(ARCHIVE))
            return with_shipped_path(spec, cache)
        return with_shipped_path(saved_model_encoder(local(encoder.model), encoder.languages), settings.resolve(encoder.model))
    except EncoderError as error:
        raise EncoderError(f"{settings.file}: {error}") from error


def _check_pair(settings: Settings) -> None:
    encoder = settings.encoder
    if encoder.preprocessor and encoder.model == "embedded":
        raise SettingsError(f"{settings.file}: encoder.preprocessor is set: set encoder.model to the encoder that belongs to it, or remove it")
    if encoder.pooling != "mean" and not encoder.preprocessor:
        raise SettingsError(f'{settings.file}: encoder.pooling = "{encoder.pooling}" needs encoder.preprocessor; the encoder {encoder.model} pools by itself')
