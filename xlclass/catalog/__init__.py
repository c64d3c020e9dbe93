"""Prepares a catalogue for encoding: text, language, rules for rows, and the embedded demo."""

from xlclass.catalog.abbreviations import load_abbreviations
from xlclass.catalog.language_codes import UNKNOWN, base_language
from xlclass.catalog.text import Preparation
from xlclass.config import Settings
from xlclass.errors import SettingsError


def load_preparation(settings: Settings) -> Preparation:
    """The preparation that the settings describe; training, backfill and command line share it.

    Raises:
        SettingsError: the abbreviations file is invalid, `text.skip` names an unknown step, or `training.languages` a code that no video gets.
    """
    for code in settings.training.languages:
        language = base_language(code)[0]
        if language != code:
            raise SettingsError(f"{settings.file}: training.languages: {code!r} names no language" + (f"; write {language}" if language != UNKNOWN else ""))
    file = settings.text.abbreviations
    try:
        return Preparation.from_settings(settings.text, load_abbreviations(settings.resolve(file)) if file else {})
    except SettingsError as error:
        raise SettingsError(f"{settings.file}: {error}") from error
