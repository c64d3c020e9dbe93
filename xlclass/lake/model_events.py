"""The table `models`: the events in the life of the model versions, in order. A version becomes candidate, champion or retired.

Why delta-rs and not Spark, in the jobs too: the table is tiny, and a promotion or a rollback must not wait for a JVM. Spark
creates the table, like all others; delta-rs enforces its NOT NULL and CHECK constraints.

Why the Delta version: events are committed as the version right after the one that was read, or not at all. Of two concurrent
changes one fails, whatever machines they run on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

from xlclass.errors import LakeError, ModelError
from xlclass.lake.reading import dataset_of, opened, require_contract
from xlclass.schemas import MODELS

CANDIDATE, CHAMPION, RETIRED = "candidate", "champion", "retired"
BY_HAND = "by hand"  # the run_id of an event that no job wrote
_ATTEMPTS = 4


@dataclass(frozen=True)
class Event:
    """A row of `models`; `append_events` numbers it."""

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
    """The events of a lake in their order, as of a Delta version of `models`; -1 if there is no table."""

    events: tuple[Event, ...]
    delta_version: int

    @property
    def model_versions(self) -> list[str]:
        """Names of all model versions, the one with the newest event first."""
        return list(dict.fromkeys(event.model_version for event in reversed(self.events)))

    @property
    def champion(self) -> Event | None:
        """The event that made the present champion; null if the lake has none."""
        return next((event for event in reversed(self.events) if event.event == CHAMPION), None)

    @property
    def previous_champion(self) -> str | None:
        """The model version to roll back to; null if there is none.

        A rollback also undoes a step of this history: after the champions a, b, c and then b again, the previous champion is a.
        So two rollbacks go back two steps.
        """
        champions: list[str] = []
        for name in (event.model_version for event in self.events if event.event == CHAMPION):
            if champions[-2:-1] == [name]:
                champions.pop()
            elif champions[-1:] != [name]:
                champions.append(name)
        return champions[-2] if len(champions) > 1 else None

    def newest_event(self, name: str) -> Event:
        """The newest event of a model version: its present state.

        Raises:
            ModelError: there is no version of that name.
        """
        for event in reversed(self.events):
            if event.model_version == name:
                return event
        raise ModelError(f"the lake has no model version {name!r}; it has, newest first: {', '.join(self.model_versions) or 'none'}")


def read_history(root: str) -> History:
    """All events of the lake at `root`; an empty history if it has no table `models`.

    Raises:
        LakeError: the table is of another contract.
    """
    path = _path(root)
    if not DeltaTable.is_deltatable(path):
        return History((), -1)
    table = opened(path)
    events = dataset_of(table, path)
    require_contract(path, MODELS, events.schema.names)
    rows = events.to_table().sort_by("event_number").to_pylist(maps_as_pydicts="strict")
    return History(tuple(Event(**row) for row in rows), table.version())


def append_events(root: str, history: History, events: Sequence[Event]) -> None:
    """Numbers the events and commits them right after `history`.

    If another writer was faster, the commit is tried again, unless that writer added events.

    Raises:
        LakeError: there is no table `models`, or all attempts failed.
        ModelError: another process added events after `history` was read.
    """
    if history.delta_version < 0:
        raise LakeError(f"the lake {root} has no table {MODELS.name}: run the pipeline or jobs/train.py first")
    last_number = history.events[-1].event_number if history.events else 0
    rows = [vars(replace(event, event_number=number)) for number, event in enumerate(events, last_number + 1)]
    for _ in range(_ATTEMPTS):
        table = opened(_path(root), history.delta_version)
        try:
            write_deltalake(
                table,
                pa.Table.from_pylist(rows, schema=dataset_of(table, _path(root)).schema),
                mode="append",
                commit_properties=CommitProperties(max_commit_retries=0),  # put if absent: fails if the next version exists
            )
            return
        except CommitFailedError:
            history = _reread(root, history)
    raise LakeError(
        f"the table {_path(root)} got a commit without an event during each of {_ATTEMPTS} attempts to add events to it, so nothing was changed: "
        "find the process that writes to it, then try again"
    )


def _reread(root: str, history: History) -> History:
    """The history with its newest Delta version, after commits that added no event, such as OPTIMIZE.

    Raises:
        ModelError: events were added.
    """
    current = read_history(root)
    if current.events == history.events:
        return current
    added = current.events[len(history.events) :]
    changes = "; ".join(f"{event.model_version} became {event.event}" for event in added)
    raise ModelError(
        f"another process changed the model versions first (event {added[-1].event_number}: {changes}), so nothing was changed: "
        "look at `xlclass models list`, then repeat the command if you still want it"
    )


def _path(root: str) -> str:
    return f"{root}/{MODELS.name}"
