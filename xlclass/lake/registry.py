"""The model versions of a lake: a folder for each, and which of them is the champion.

A training writes the folder before the event. A run that is killed between the two leaves a folder without an event: readers ignore
that folder, and the next training replaces it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xlclass.errors import ModelError
from xlclass.lake.model_events import CANDIDATE, CHAMPION, RETIRED, Event, History, append_events, read_history
from xlclass.model.bundle import Bundle, ModelVersion, save_bundle
from xlclass.runtime.redaction import redacted


class Registry:
    """The model versions of the lake at `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._folders = Path(root) / "model_versions"

    def history(self) -> History:
        """All events so far."""
        return read_history(self.root)

    def champion(self) -> ModelVersion:
        """The present champion.

        Raises:
            ModelError: there is none.
        """
        history = self.history()
        if history.champion is None:
            raise ModelError(f"the lake {self.root} has no champion model: run jobs/pipeline.py or jobs/train.py first")
        return self.version(history, history.champion.model_version)

    def version(self, history: History, name: str) -> ModelVersion:
        """The version of that name, with the digest that its newest event has for its folder.

        Raises:
            ModelError: there is none.
        """
        return ModelVersion(name, str(self._folders / name), history.newest_event(name).digest)

    def trained_from(self, fingerprint: str) -> ModelVersion | None:
        """The version whose training had this fingerprint; null if there is none."""
        history = self.history()
        event = next((event for event in reversed(history.events) if event.training_fingerprint == fingerprint), None)
        return self.version(history, event.model_version) if event else None

    def register(self, bundle: Bundle, run_id: str) -> ModelVersion:
        """Saves the bundle as a candidate, which becomes the champion at once if the lake has none.

        A version of the same name is kept if its folder is whole: another run was faster. A damaged folder is replaced; if the version
        is the champion, it stays the champion.
        """
        manifest = bundle.manifest
        name = manifest["model_version"]
        with self._locked():
            history = self.history()
            if name in history.model_versions and is_whole(self.version(history, name)):
                return self.version(history, name)
            digest = save_bundle(bundle, self._folders / name)
            candidate = Event(
                event_number=0,
                model_version=name,
                event=CANDIDATE,
                training_fingerprint=manifest["training_fingerprint"],
                versions_read=manifest["versions_read"],
                seed=manifest["seed"],
                metrics={key: float(value) for key, value in manifest["metrics"].items()},
                digest=digest,
                run_id=run_id,
                happened_at=datetime.now(UTC),
            )
            append_events(self.root, history, [candidate, *_champion_at_once(history, candidate)])
        return ModelVersion(name, str(self._folders / name), digest)

    def make_champion(self, history: History, name: str, run_id: str, reason: str) -> None:
        """Makes a version the champion and retires the present one.

        Raises:
            ModelError: there is no version of that name, its folder is not whole, it is already the champion, or another process
                added events after `history` was read.
        """
        newest, champion = history.newest_event(name), history.champion
        if champion and champion.model_version == name:
            raise ModelError(f"model version {name} is already the champion, since event {champion.event_number}: nothing was changed")
        self.version(history, name).manifest()  # checks all files
        origin: dict[str, Any] = {"run_id": run_id, "happened_at": datetime.now(UTC)}
        events = [replace(champion, event=RETIRED, reason=f"replaced by {name}: {redacted(reason)}", **origin)] if champion else []
        events.append(replace(newest, event=CHAMPION, reason=redacted(reason), **origin))
        with self._locked():
            append_events(self.root, history, events)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other processes of this machine from writing a folder or an event; `append_events` detects those of other machines."""
        self._folders.mkdir(parents=True, exist_ok=True)
        with (self._folders / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def is_whole(version: ModelVersion) -> bool:
    """True if the version's folder holds exactly the files that training wrote."""
    try:
        version.manifest()
    except ModelError:
        return False
    return True


def _champion_at_once(history: History, candidate: Event) -> list[Event]:
    """The event that makes a new candidate the champion without a gate; none if it has to pass the gate."""
    if history.champion is None:
        return [replace(candidate, event=CHAMPION, reason="the first model version of the lake")]
    if history.champion.model_version == candidate.model_version:
        return [replace(candidate, event=CHAMPION, reason="trained again, because its folder was damaged")]
    return []
