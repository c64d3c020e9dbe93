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
        SettingsError: `encoder.precision` is set for a SavedModel; only the embedded encoder has it.
    """
    spec, encoder = _resolve(settings), settings.encoder
    texts, characters = encoder.batch_texts or spec.batch_texts, encoder.batch_characters or spec.batch_characters
    return dataclasses.replace(spec, batch_texts=texts, batch_characters=characters)


def _resolve(settings: Settings) -> EncoderSpec:
    """The encoder of the settings with its own batch sizes."""
    from xlclass.encoders.shipping import ARCHIVE, local_path, with_shipped_path

    encoder = settings.encoder
    if encoder.model == "embedded":
        from xlclass.encoders.muse.build import embedded_encoder

        cache = settings.resolve(encoder.cache)
        return with_shipped_path(embedded_encoder(local_path(cache), encoder.precision, build=not cache.startswith(ARCHIVE)), cache)
    if encoder.precision != "float32":
        raise SettingsError(
            f'{settings.file}: encoder.precision = "{encoder.precision}" needs encoder.model = "embedded"; the SavedModel {encoder.model} brings its own'
        )
    from xlclass.encoders.saved_model import saved_model_encoder

    try:
        model = settings.resolve(encoder.model)
        handle = str(local_path(model)) if model.startswith(ARCHIVE) else model
        return with_shipped_path(saved_model_encoder(handle, encoder.languages), model)
    except EncoderError as error:
        raise EncoderError(f"{settings.file}: {error}") from error
