"""Text to vector: every encoder behind one contract."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from xlclass.config import Settings
from xlclass.errors import EncoderError, SettingsError

if TYPE_CHECKING:
    from xlclass.encoders.contract import EncoderSpec  # imports numpy, too slow for `xlclass plan --help`


def resolve_encoder(settings: Settings) -> EncoderSpec:
    """The encoder that the settings name, on this machine's disk and checked. Call it on the driver, once.

    Raises:
        EncoderError: it is missing, damaged, or not of the contract.
        SettingsError: `encoder.precision` asks of a SavedModel what only the embedded encoder can do.
    """
    spec, wanted = _resolved(settings), settings.encoder
    texts, characters = wanted.batch_texts or spec.batch_texts, wanted.batch_characters or spec.batch_characters
    return dataclasses.replace(spec, batch_texts=texts, batch_characters=characters)


def _resolved(settings: Settings) -> EncoderSpec:
    from xlclass.encoders.shipping import ARCHIVE, as_shipped, located

    wanted = settings.encoder
    if wanted.model == "embedded":
        from xlclass.encoders.muse.build import embedded_encoder

        cache = settings.resolve(wanted.cache)
        return as_shipped(embedded_encoder(located(cache), wanted.precision, build=not cache.startswith(ARCHIVE)), cache)
    if wanted.precision != "float32":
        raise SettingsError(
            f'{settings.file}: encoder.precision = "{wanted.precision}" needs encoder.model = "embedded"; the SavedModel {wanted.model} brings its own'
        )
    from xlclass.encoders.saved_model import saved_model_encoder

    try:
        model = settings.resolve(wanted.model)
        shipped = model.startswith(ARCHIVE)
        return as_shipped(saved_model_encoder(str(located(model)) if shipped else model, wanted.languages), model)
    except EncoderError as error:
        raise EncoderError(f"{settings.file}: {error}") from error
