"""A plan: what one backfill does, written down before it does it, so that it can be gone on with after a kill.

A plan fixes what decides its results (`intent`) and holds its input: the rows to prepare and the texts to encode, staged as
Parquet by chunk. What a chunk makes is staged as well, and only then committed, table by table, each commit with an id of
its own that Delta takes once. So a run that goes on encodes again at most what the killed one had not staged, a lost race is
retried from the staged rows, and neither a killed run nor a changed source leaves half a chunk.

    _plan/plan.json                     the plan that is under way
    _plan/<plan_id>/pending/chunk=3/    rows of the source to prepare
    _plan/<plan_id>/stale/chunk=3/      videos whose text is to be encoded, though the video itself is as it was
    _plan/<plan_id>/3/videos/ ...       what the chunk made
    _plan/<plan_id>/3/done              the chunk's last commit is in
    _plan/rescoring.json                the rescoring that is under way, with or without a plan
    _plan/<rescoring_id>/rescored/      what it scored, where that was not all
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, SparkSession

from xlclass.errors import LakeError
from xlclass.runtime.redaction import redacted_within


@dataclass(frozen=True)
class Plan:
    """`intent` names what decides the results; the counts are of the whole source, `num_pending` and `num_stale` of what is to do."""

    plan_id: str
    intent: dict[str, Any]
    num_chunks: int
    num_pending: int = 0
    num_stale: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    source: str | None = None
    source_version: str | None = None
    profile_version: str | None = None


@dataclass(frozen=True)
class Rescoring:
    """A model version scores what it has not scored: the rows that were staged before, or where none were all in one commit."""

    rescoring_id: str
    model_version: str

    @property
    def commit_id(self) -> str:
        """The id of its commits."""
        return f"{self.rescoring_id}/rescored"


@dataclass(frozen=True)
class Staged:
    """Rows written down, and sums over them."""

    rows: DataFrame
    sums: dict[str, int]

    @classmethod
    def of(cls, rows: DataFrame, sums: Mapping[str, Column]) -> Staged:
        """Staged rows, or some of them, with the sums by a look at them."""
        return cls(rows, rows.agg(*(column.alias(name) for name, column in sums.items())).first().asDict())


class Plans:
    """The plan of a lake, if one is under way, and its staged rows."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self._spark, self._folder = spark, Path(root) / "_plan"

    def unfinished(self) -> Plan | None:
        """The plan that a run left before its end."""
        try:
            return Plan(**json.loads((self._folder / "plan.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def begin(self, plan: Plan) -> None:
        """From now on `plan` is under way; its rows have been staged."""
        _write(self._folder / "plan.json", json.dumps(redacted_within(dataclasses.asdict(plan)), indent=1, default=str))

    def drop(self) -> None:
        """Forgets the plan, done or not, and what was staged."""
        (self._folder / "plan.json").unlink(missing_ok=True)  # first: without it the rest is rubbish
        shutil.rmtree(self._folder, ignore_errors=True)

    def staged(self, plan_id: str, *names: object) -> str:
        """Where rows of the plan lie."""
        return str(self._folder.joinpath(plan_id, *map(str, names)))

    def rows(self, plan_id: str, *names: object) -> DataFrame | None:
        """Staged rows; null when there are none."""
        path = Path(self.staged(plan_id, *names))
        return self._spark.read.parquet(str(path)) if path.is_dir() else None

    def stage(self, rows: DataFrame, plan_id: str, *names: object) -> DataFrame:
        """`rows` written down, unless they were before; what was written without its end is written anew."""
        path = self.staged(plan_id, *names)
        if self._is_staged(plan_id, *names):
            return self._spark.read.parquet(path)
        rows.write.mode("overwrite").parquet(path)
        return self._spark.read.schema(rows.schema).parquet(path)  # told: to find it out is a job of Spark's

    def stage_summed(self, rows: DataFrame, sums: Mapping[str, Column], plan_id: str, *names: object) -> Staged:
        """`stage`, and aggregates over the rows, `sums` by name: taken while they are written, so that they need not be read for them."""
        if self._is_staged(plan_id, *names):
            return Staged.of(self.stage(rows, plan_id, *names), sums)
        observation = Observation()
        staged = self.stage(rows.observe(observation, *(column.alias(name) for name, column in sums.items())), plan_id, *names)
        return Staged(staged, observation.get)

    def begin_rescoring(self, rescoring: Rescoring) -> None:
        """From now on `rescoring` is under way."""
        _write(self._folder / "rescoring.json", json.dumps(dataclasses.asdict(rescoring)))

    def unfinished_rescoring(self) -> Rescoring | None:
        """The rescoring that a run left before its end."""
        try:
            return Rescoring(**json.loads((self._folder / "rescoring.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def rescoring_done(self, rescoring: Rescoring) -> None:
        """Forgets the rescoring, and what was staged for it."""
        (self._folder / "rescoring.json").unlink()
        self.drop_rows(rescoring.rescoring_id)

    def drop_rows(self, plan_id: str) -> None:
        """Forgets what was staged for that plan, or rescoring, only."""
        shutil.rmtree(self._folder / plan_id, ignore_errors=True)

    def forget(self, plan_id: str, *names: object) -> None:
        """Forgets staged rows, so that they are made anew."""
        shutil.rmtree(self.staged(plan_id, *names), ignore_errors=True)

    def tally(self, plan: Plan, chunk: int) -> dict[str, int] | None:
        """What was counted in the chunk, null unless its last commit is in."""
        try:
            return json.loads(Path(self.staged(plan.plan_id, chunk, "done")).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def chunk_done(self, plan: Plan, chunk: int, tally: Mapping[str, int]) -> None:
        """Records that the chunk's last commit is in, and its counts; what was staged for it goes."""
        folder = Path(self.staged(plan.plan_id, chunk))
        _write(folder / "done", json.dumps(tally))
        for other in folder.iterdir():
            if other.is_dir():
                shutil.rmtree(other)

    def _is_staged(self, plan_id: str, *names: object) -> bool:
        return Path(self.staged(plan_id, *names), "_SUCCESS").exists()


def _write(path: Path, text: str) -> None:
    """The whole file or none of it, whenever the run is killed."""
    draft = path.with_name(f"{path.name}.draft")
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def require_same(plan: Plan, intent: Mapping[str, Any]) -> None:
    """Makes sure that a run wants what the unfinished plan does.

    Raises:
        LakeError: it does not; the sentence names what differs.
    """
    now = json.loads(json.dumps(redacted_within(dict(intent)), default=str))
    differing = [f"{key} was {plan.intent.get(key)!r}, is {now.get(key)!r}" for key in sorted({*plan.intent, *now}) if plan.intent.get(key) != now.get(key)]
    if differing:
        raise LakeError(
            f"a backfill of this lake was not finished (plan {plan.plan_id}), and this one differs: {'; '.join(differing[:5])}; "
            "run it with what it was begun with to finish it, or with --abandon to drop it and plan anew"
        )
