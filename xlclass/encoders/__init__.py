"""Text to vector: every encoder behind one contract."""

from pathlib import Path

from xlclass.config import Settings
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import EncoderError, SettingsError


def resolve_encoder(settings: Settings) -> EncoderSpec:
    """The encoder that the settings name, on this machine's disk and checked. Call it on the driver, once.

    Raises:
        EncoderError: it is missing, damaged, or not of the contract.
        SettingsError: `encoder.precision` asks of a SavedModel what only the embedded encoder can do.
    """
    wanted = settings.encoder
    if wanted.model == "embedded":
        from xlclass.encoders.embedded import embedded_encoder

        return embedded_encoder(Path(settings.resolve(wanted.cache)), wanted.precision)
    if wanted.precision != "float32":
        raise SettingsError(
            f'{settings.file}: encoder.precision = "{wanted.precision}" needs encoder.model = "embedded"; the SavedModel {wanted.model} brings its own'
        )
    from xlclass.encoders.saved_model import saved_model_encoder

    try:
        return saved_model_encoder(settings.resolve(wanted.model), wanted.languages)
    except EncoderError as error:
        raise EncoderError(f"{settings.file}: {error}") from error
