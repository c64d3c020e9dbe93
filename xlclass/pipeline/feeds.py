"""Which encoders a run feeds: the champion's, by its manifest, and another one while a change of encoder is under way.

A change has no gap: `jobs/backfill.py --encoder FILE` encodes the lake with the encoder of that settings file beside the champion's, and
leaves a note in the lake, so that every later run feeds both. `jobs/train.py --conf FILE --promote` puts a head on the new vectors past
the gate. Then the champion's manifest names the new encoder, and `jobs/maintain.py` drops the old vectors. The settings' encoder
decides only what training uses, and what a lake without a champion is fed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from xlclass.config import EncoderSettings, Settings, load_settings
from xlclass.encoders import encoders_of, resolve_encoders, with_encoder
from xlclass.encoders.pair import Encoders, Route
from xlclass.errors import EncoderError, LakeError
from xlclass.lake.model_events import CANDIDATE
from xlclass.lake.notes import is_of, read_note
from xlclass.lake.registry import Registry, is_whole
from xlclass.lake.runs import Run
from xlclass.runtime.files import write_whole

log = logging.getLogger(__name__)
_NOTE = "_encoder.json"


def nightly_feeds(run: Run, file: str | None = None) -> list[Encoders]:
    """What a backfill feeds: the champion's encoders, and those under way; `file` is a settings file whose encoder is under way from now on.

    A file with the champion's own encoder ends the change.

    Raises:
        EncoderError: the champion's encoders cannot be had.
        ModelError: the lake has no champion.
        LakeError: the note of the encoder under way is damaged.
    """
    own = resolve_encoders(run.settings)
    champions = encoders_of(Registry(run.lake.root).champion().manifest(), run.settings, own)
    if file:
        begin_change(run.lake.root, file, champions)
    coming = _under_way(run.lake.root, run.settings)
    feeds = [champions] + ([coming] if coming and coming.route.encoder_ids != champions.route.encoder_ids else [])
    if own.route.encoder_ids not in [feed.route.encoder_ids for feed in feeds]:
        log.warning(
            "%s names another encoder than the champion's, which goes on being used; to change to it: run jobs/backfill.py with --encoder %s, "
            "then jobs/train.py with --promote",
            run.settings.file,
            run.settings.file,
        )
    return feeds


def main_job_feeds(run: Run, own: Encoders) -> list[Encoders]:
    """What the main job feeds: `own`, the settings' encoders, and the champion's, which stays in use if the gate refuses the new version."""
    registry = Registry(run.lake.root)
    history = registry.history()
    if history.champion is None:
        return [own]
    champion = registry.version(history, history.champion.model_version)
    if not is_whole(champion):
        return [own]
    try:
        champions = encoders_of(champion.manifest(), run.settings, own)
    except EncoderError as error:
        log.warning("%s", error)
        return [own]
    return [own] if champions.route.encoder_ids == own.route.encoder_ids else [own, champions]


def begin_change(root: str, file: str, champions: Encoders) -> None:
    """Notes in the lake that the encoder of the settings `file` is under way; removes the note if it is the champion's."""
    coming = resolve_encoders(load_settings(file))
    note = Path(root) / _NOTE
    if coming.route.encoder_ids == champions.route.encoder_ids:
        note.unlink(missing_ok=True)
    else:
        write_whole(note, json.dumps(dict(coming.recorded)))


def needed_encoders(root: str, settings: Settings) -> set[str]:
    """The encoder_ids whose vectors are needed: the champion's, those of newer candidates, and those under way; ends a change that is done.

    Empty if the lake has no champion.
    """
    registry = Registry(root)
    history = registry.history()
    if history.champion is None:
        return set()
    since = history.champion.event_number
    newer = {event.model_version for event in history.events if event.event == CANDIDATE and event.event_number > since}
    names = [history.champion.model_version, *sorted(newer)]
    versions = [registry.version(history, name) for name in names]
    routes = [Route.of(version.manifest()) for version in versions if is_whole(version)]
    coming = _under_way(root, settings)
    if coming and coming.route.encoder_ids == routes[0].encoder_ids:
        (Path(root) / _NOTE).unlink()
    return {encoder_id for route in (*routes, *([coming.route] if coming else [])) for encoder_id in route.encoder_ids}


def _under_way(root: str, settings: Settings) -> Encoders | None:
    """The encoders that the lake's note names; null if there is no note.

    Raises:
        LakeError: the note is damaged.
    """
    file = Path(root) / _NOTE
    try:
        note = read_note(file)
        if note is not None and not (is_of(note, dict[str, Any]) and note.keys() <= {field.name for field in dataclasses.fields(EncoderSettings)}):
            raise ValueError("it names no encoder")
    except ValueError as error:
        raise LakeError(f"{file}, the note of the encoder under way, cannot be read ({error}): delete it, then run jobs/backfill.py --encoder again") from error
    return resolve_encoders(with_encoder(settings, note)) if note else None
