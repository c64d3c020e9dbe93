"""Prepares a catalogue for encoding: text, language, rules for rows, and the embedded demo."""

from xlclass.catalog.abbreviations import load_abbreviations
from xlclass.catalog.text import Preparation
from xlclass.config import Settings
from xlclass.errors import SettingsError


def load_preparation(settings: Settings) -> Preparation:
    """The preparation that the settings describe; training, backfill and command line share it.

    Raises:
        SettingsError: the abbreviations file is invalid, or `text.skip` names an unknown step.
    """
    file = settings.text.abbreviations
    try:
        return Preparation.from_settings(settings.text, load_abbreviations(settings.resolve(file)) if file else {})
    except SettingsError as error:
        raise SettingsError(f"{settings.file}: {error}") from error
