"""A run of a job: its steps, and the one row that it adds to `runs`."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import pyarrow.compute as pc

from xlclass import __version__
from xlclass.catalog.taxonomy import Taxonomy
from xlclass.catalog.text import Preparation
from xlclass.config import Settings, settings_digest
from xlclass.lake.tables import Lake
from xlclass.runtime.redaction import redacted, redacted_within
from xlclass.schemas import RUNS

log = logging.getLogger(__name__)
_MAX_MESSAGE = 1_000  # characters; cut after secrets are removed, because half a secret is not recognised


@dataclass
class Step:
    """A step of a run; the code of the step sets the number of rows that it made."""

    name: str
    seconds: float = 0.0
    num_rows: int = 0
    num_expected: int = 0  # videos that the step will process, for the progress line
    started: float = 0.0  # monotonic, in seconds


@dataclass
class Counts:
    """Rows of the source by outcome: `rows_in` is the sum of the others."""

    rows_in: int = 0
    rows_ok: int = 0
    rows_rejected: int = 0
    rows_reused: int = 0


@dataclass
class Run:
    """The lake and the settings of a job, the preparation and the taxonomy that the settings name, and the record of the job's steps."""

    job: str
    lake: Lake
    settings: Settings
    preparation: Preparation
    taxonomy: Taxonomy
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    started_at: datetime = field(default_factory=lambda: utc_now())
    source: str | None = None
    source_version: str | None = None
    counts: Counts | None = None
    rules: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step that is timed while the block runs; the seconds of steps of one name add up."""
        step = next((earlier for earlier in self.steps if earlier.name == name), None)
        if step is None:
            step = Step(name)
            self.steps.append(step)
        log.info("%s ...", name)
        step.started = time.monotonic()
        yield step
        step.num_expected, seconds = 0, time.monotonic() - step.started
        step.seconds += seconds
        log.info("%s: %.1f s%s", name, seconds, f", {step.num_rows:,} rows" if step.num_rows else "")

    def record(self, outcome: str, message: str | None = None) -> None:
        """Adds the run's row to `runs`; the outcome is done, refused or failed."""
        row = self._row(outcome, message)
        self.lake.append_values(RUNS, [[row.get(name) for name in RUNS.names]])

    def _row(self, outcome: str, message: str | None) -> dict[str, Any]:
        settings = json.dumps(redacted_within(dataclasses.asdict(self.settings)), default=str, sort_keys=True)
        return {
            "run_id": self.run_id,
            "job": self.job,
            "outcome": outcome,
            "message": redacted(message)[:_MAX_MESSAGE] if message else None,
            "started_at": self.started_at,
            "finished_at": utc_now(),
            "settings": settings,
            "settings_fingerprint": settings_digest(self.settings),
            "source": redacted(self.source) if self.source else None,
            "source_version": self.source_version,
            **(dataclasses.asdict(self.counts) if self.counts else {}),
            "rules": list(self.rules.items()) or None,
            "steps": [{"name": step.name, "seconds": step.seconds, "num_rows": step.num_rows} for step in self.steps],
            "code_version": __version__,
        }


def last_source_version(lake: Lake, source: str) -> str | None:
    """The version of `source` that the last successful run read; null if there was no such run."""
    if not lake.exists(RUNS):
        return None
    done = lake.scan(RUNS, "finished_at", "source_version", where=(pc.field("outcome") == "done") & (pc.field("source") == source))
    return max(done, key=itemgetter("finished_at"))["source_version"] if done else None


def seconds_per_video(lake: Lake) -> float | None:
    """Seconds per encoded video of the last run that encoded at least 1,000; null if there was no such run."""
    runs = lake.scan(RUNS, "finished_at", "steps") if lake.exists(RUNS) else []
    for run in sorted(runs, key=itemgetter("finished_at"), reverse=True):
        for step in run["steps"] or []:
            if step["name"] == "encode" and step["num_rows"] >= 1_000:
                return float(step["seconds"]) / int(step["num_rows"])
    return None


def utc_now() -> datetime:
    """Now, with its zone: PySpark reads a time without one as local time of the driver."""
    return datetime.now(UTC)
