"""Model versions: their folders, and the events of their lives in the table `models`: candidate, champion, retired.

Why deltalake and not Spark, in the jobs too: the table is tiny, and promoting and rolling back must not wait for a JVM. An event
is written at the Delta version after the one that was read, or not at all: of two changes at once one is refused. deltalake
keeps the table's NOT NULL and CHECK constraints; Spark creates the table, like all others.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from xlclass.errors import LakeError, ModelError
from xlclass.lake.reading import dataset_of
from xlclass.model.bundle import Bundle, ModelVersion, save_bundle
from xlclass.schemas import MODELS

CANDIDATE, CHAMPION, RETIRED = "candidate", "champion", "retired"
_TRIES = 4
BY_HAND = "by hand"  # the run_id of an event that no job wrote


@dataclass(frozen=True)
class Event:
    """A row of `models`."""

    event_number: int
    model_version: str
    event: str
    training_fingerprint: str
    versions_read: dict[str, int]
    seed: int
    metrics: dict[str, float]
    digest: str
    run_id: str
    happened_at: datetime
    reason: str | None = None


@dataclass(frozen=True)
class History:
    """The events of a lake up to a Delta version of `models`, in their order."""

    events: tuple[Event, ...]
    delta_version: int

    @property
    def champion(self) -> Event | None:
        """The event that made the version that serves the champion; null when there is none."""
        return next((event for event in reversed(self.events) if event.event == CHAMPION), None)

    @property
    def former(self) -> str | None:
        """The champion before the present one; null when there was none.

        One that came back is where it was before: champions a, b, c and then b again have a before them, so that rolling
        back twice goes back twice.
        """
        line: list[str] = []
        for name in (event.model_version for event in self.events if event.event == CHAMPION):
            if line[-2:-1] == [name]:
                line.pop()
            elif line[-1:] != [name]:
                line.append(name)
        return line[-2] if len(line) > 1 else None

    def newest(self, name: str) -> Event | None:
        """The newest event of a version, which says what it is now; null for an unknown one."""
        return next((event for event in reversed(self.events) if event.model_version == name), None)

    def require(self, name: str) -> Event:
        """The newest event of a version.

        Raises:
            ModelError: there is no version of that name.
        """
        found = self.newest(name)
        if found is None:
            known = ", ".join(dict.fromkeys(event.model_version for event in reversed(self.events))) or "none"
            raise ModelError(f"there is no model version {name!r}; known here, newest first: {known}")
        return found


class Registry:
    """The model versions of the lake at `root`."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._table = f"{root}/{MODELS.name}"

    def history(self) -> History:
        """All events so far."""
        if not DeltaTable.is_deltatable(self._table):
            return History((), -1)
        table = DeltaTable(self._table)
        rows = [
            {**row, "versions_read": dict(row["versions_read"]), "metrics": dict(row["metrics"])}
            for row in dataset_of(table, self._table).to_table().to_pylist()
        ]
        return History(tuple(sorted((Event(**row) for row in rows), key=lambda event: event.event_number)), table.version())

    def champion(self) -> ModelVersion:
        """The version that serves.

        Raises:
            ModelError: there is none.
        """
        history = self.history()
        if history.champion is None:
            raise ModelError(f"the lake {self.root} has no champion model: run jobs/pipeline.py or jobs/train.py first")
        return self.version(history, history.champion.model_version)

    def version(self, history: History, name: str) -> ModelVersion:
        """The version of that name, its folder as its newest event has it.

        Raises:
            ModelError: there is none.
        """
        return ModelVersion(name, str(self._folder(name)), history.require(name).digest)

    def trained(self, fingerprint: str) -> ModelVersion | None:
        """The version that was trained from just this, null if there is none."""
        history = self.history()
        found = next((event for event in reversed(history.events) if event.training_fingerprint == fingerprint), None)
        return self.version(history, found.model_version) if found else None

    def register(self, bundle: Bundle, run_id: str) -> ModelVersion:
        """Writes the bundle's folder, then its event: candidate, and champion too where the lake has none or it is itself the one.

        A version of the same name that is whole is kept: another run was faster.
        """
        name, manifest = bundle.manifest["model_version"], bundle.manifest
        with self._alone():
            history = self.history()
            if history.newest(name) and is_whole(self.version(history, name)):
                return self.version(history, name)
            digest = save_bundle(bundle, self._folder(name))
            metrics = {key: float(value) for key, value in manifest["metrics"].items()}
            trained = (manifest["training_fingerprint"], manifest["versions_read"], manifest["seed"], metrics, digest, run_id, datetime.now(UTC))
            event = Event(0, name, CANDIDATE, *trained)
            serves = history.champion is None or history.champion.model_version == name
            first = replace(event, event=CHAMPION, reason="the lake's first" if history.champion is None else "trained anew: its folder was damaged")
            self._write(history, [event, first] if serves else [event])
        return ModelVersion(name, str(self._folder(name)), digest)

    def make_champion(self, history: History, name: str, run_id: str, reason: str) -> None:
        """Makes a version the champion, and retires the one before it, if no event came after `history`.

        Raises:
            ModelError: there is no version of that name, its folder is not whole, it is the champion already, or an event came
                in between.
        """
        newest, champion = history.require(name), history.champion
        if champion and champion.model_version == name:
            raise ModelError(f"model version {name} is the champion already, since event {champion.event_number}")
        self.version(history, name).manifest()  # refuses a damaged folder
        made: dict[str, Any] = {"run_id": run_id, "happened_at": datetime.now(UTC)}
        retired = [replace(history.require(champion.model_version), event=RETIRED, reason=f"for {name}: {reason}", **made)] if champion else []
        with self._alone():
            self._write(history, [*retired, replace(newest, event=CHAMPION, reason=reason, **made)])

    def _write(self, history: History, events: Sequence[Event]) -> None:
        """Adds events, numbered, right after `history`.

        Raises:
            LakeError: the table is not there.
            ModelError: others were written since.
        """
        if history.delta_version < 0:
            raise LakeError(f"the lake {self.root} has no table {MODELS.name}: run the pipeline or jobs/train.py first")
        last = history.events[-1].event_number if history.events else 0
        rows = [vars(replace(event, event_number=last + i)) for i, event in enumerate(events, 1)]
        for _ in range(_TRIES):
            table = DeltaTable(self._table, version=history.delta_version)
            try:
                write_deltalake(
                    table,
                    pa.Table.from_pylist(rows, schema=_with_reason(dataset_of(table, self._table).schema)),
                    mode="append",
                    schema_mode="merge",
                    commit_properties=CommitProperties(max_commit_retries=0),  # put if absent: never after somebody else's event
                )
                return
            except CommitFailedError:
                history = self._unmoved(history)
        raise LakeError(f"the table {self._table} is being changed without end, though no event comes: nothing was changed; run it again")

    def _unmoved(self, history: History) -> History:
        """The history as it is now, where only the table's files moved, as by OPTIMIZE.

        Raises:
            ModelError: events came.
        """
        now = self.history()
        if now.events == history.events:
            return now
        new = "; ".join(f"{event.model_version} became {event.event}" for event in now.events[len(history.events) :])
        raise ModelError(
            f"another change of the models came first (event {now.events[-1].event_number}: {new}): "
            "nothing was changed; look at `xlclass models list` and run it again if it is still wanted"
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A moment in which no other process of this machine writes a folder or an event; the commit itself guards against others."""
        folder = Path(self.root) / "model_versions"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _folder(self, name: str) -> Path:
        return Path(self.root) / "model_versions" / name


def is_whole(version: ModelVersion) -> bool:
    """Whether its folder is as training wrote it."""
    try:
        version.manifest()
    except ModelError:
        return False
    return True


def _with_reason(schema: Any) -> Any:
    """The table's Arrow schema, with the column that lakes of before do not have."""
    if "reason" in schema.names:
        return schema
    comment = next(column.comment for column in MODELS.columns if column.name == "reason")
    return schema.append(pa.field("reason", pa.string(), True, {"comment": comment}))
