"""Encoders: text to vector, every encoder behind one contract; which encoders a system has, and which a language goes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlclass.config import EncoderSettings, Settings
from xlclass.errors import EncoderError, SettingsError

if TYPE_CHECKING:  # they import numpy, too slow for `xlclass plan --help`
    from xlclass.encoders.contract import EncoderSpec
    from xlclass.encoders.pair import Encoders

_IDENTITY = ("model", "extension", "precision", "preprocessor", "pooling", "languages")  # what decides the vectors, and where a model lies
BOTH = "both"


def resolve_encoders(settings: Settings) -> Encoders:
    """The encoders of the settings, present on this machine's disk and checked. Call it once, on the driver.

    Raises:
        EncoderError: an encoder is missing, damaged, or breaks the contract.
        SettingsError: `encoder.precision`, `preprocessor` or `pooling` is set for an encoder that does not have it.
    """
    from xlclass.encoders.pair import Encoders

    encoder = settings.encoder
    specs = tuple(_with_batches(spec, encoder) for spec in _resolve(settings))
    places = {key: settings.resolve(getattr(encoder, key)) for key in ("model", "preprocessor") if getattr(encoder, key) not in ("", "embedded")}
    recorded = {key: getattr(encoder, key) for key in _IDENTITY} | places
    return Encoders(specs, recorded, is_centred=encoder.model == "embedded" and encoder.extension == BOTH)


def encoders_of(manifest: Mapping[str, Any], settings: Settings, resolved: Encoders | None = None) -> Encoders:
    """The encoders of a model version: those of the settings if they are the same, else those that its manifest records.

    `resolved` are the encoders of the settings, if they are known already.

    Raises:
        EncoderError: the version's encoders cannot be had, or have changed.
    """
    from xlclass.encoders.pair import Encoders, Route

    route = Route.of(manifest)
    resolved = resolved or resolve_encoders(settings)
    if resolved.route.encoder_ids == route.encoder_ids:
        return resolved
    if "encoder" in manifest:
        found = resolve_encoders(with_encoder(settings, manifest["encoder"]))
    else:  # trained before there were pairs: with one encoder, perhaps a part of today's
        found = Encoders(tuple(spec for spec in resolved.specs if spec.encoder_id == manifest["encoder_id"]), {})
    if not found.specs or found.route.encoder_ids != route.encoder_ids:
        missing = sorted(set(route.encoder_ids) - {spec.encoder_id for spec in found.specs})
        raise EncoderError(
            f"model version {manifest['model_version']} was trained on vectors of the encoder {', '.join(name[:16] for name in missing)}, which "
            f"{settings.file} does not give: set [encoder] back, or train a new version"
        )
    return found


def with_encoder(settings: Settings, recorded: Mapping[str, Any]) -> Settings:
    """The settings with the encoder that a manifest or a note records (`Encoders.recorded`, from JSON)."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in recorded.items()}
    return dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, **values))


def _with_batches(spec: EncoderSpec, encoder: EncoderSettings) -> EncoderSpec:
    texts, characters = encoder.batch_texts or spec.batch_texts, encoder.batch_characters or spec.batch_characters
    return dataclasses.replace(spec, batch_texts=texts, batch_characters=characters)


def _resolve(settings: Settings) -> tuple[EncoderSpec, ...]:
    """The encoders of the settings with their own batch sizes."""
    from xlclass.encoders.shipping import ARCHIVE, local_path, with_shipped_path

    encoder = settings.encoder
    _check(settings)
    if encoder.model == "embedded":
        cache = settings.resolve(encoder.cache)
        build = not cache.startswith(ARCHIVE)
        return tuple(with_shipped_path(part(local_path(cache), build), cache) for part in _embedded(encoder))
    from xlclass.encoders.bert import bert_encoder
    from xlclass.encoders.saved_model import saved_model_encoder

    def local(place: str) -> str:
        location = settings.resolve(place)
        return str(local_path(location)) if location.startswith(ARCHIVE) else location

    try:
        if encoder.preprocessor:
            cache, models = settings.resolve(encoder.cache), (local(encoder.preprocessor), local(encoder.model))
            spec = bert_encoder(*models, encoder.pooling, local_path(cache), encoder.languages, build=not cache.startswith(ARCHIVE))
            return (with_shipped_path(spec, cache),)
        return (with_shipped_path(saved_model_encoder(local(encoder.model), encoder.languages), settings.resolve(encoder.model)),)
    except EncoderError as error:
        raise EncoderError(f"{settings.file}: {error}") from error


def _check(settings: Settings) -> None:
    """Refuses settings of one kind of encoder that are set for another."""
    encoder = settings.encoder
    if encoder.precision != "float32" and encoder.model != "embedded":
        raise SettingsError(
            f'{settings.file}: encoder.precision = "{encoder.precision}" needs encoder.model = "embedded"; the SavedModel {encoder.model} brings its own'
        )
    if encoder.preprocessor and encoder.model == "embedded":
        raise SettingsError(f"{settings.file}: encoder.preprocessor is set: set encoder.model to the encoder that belongs to it, or remove it")
    if encoder.pooling != "mean" and not encoder.preprocessor:
        raise SettingsError(f'{settings.file}: encoder.pooling = "{encoder.pooling}" needs encoder.preprocessor; the encoder {encoder.model} pools by itself')


def _embedded(encoder: EncoderSettings) -> list[Callable[[Path, bool], EncoderSpec]]:
    """What gives each embedded encoder of the settings, from a cache and whether it may be built there."""
    from xlclass.encoders.e5.build import both_encoder, e5_encoder
    from xlclass.encoders.muse.build import muse_encoder

    def muse(cache: Path, build: bool) -> EncoderSpec:
        return muse_encoder(cache, encoder.precision, build)

    if encoder.extension == BOTH:
        return [lambda cache, build: both_encoder(cache, encoder.precision, build)]
    return [muse, e5_encoder] if encoder.extension == "e5" else [muse]
