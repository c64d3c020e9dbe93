"""Staged rows, and the notes that let the next run finish what a killed run began: the plan of a backfill, and a rescoring.

A plan fixes everything that decides its results (`intent`), and its input: the rows to prepare and the texts to encode, staged as
Parquet by chunk. The output of a chunk is staged too, and then committed table by table, each commit under an id that Delta accepts
once. Therefore a resumed run encodes again at most what the killed run had not staged, a commit that lost a race is retried from the
staged rows, and neither a kill nor a changed source leaves half a chunk.

    _plan/plan.json                     the unfinished plan
    _plan/<plan_id>/pending/chunk=3/    rows of the source to prepare
    _plan/<plan_id>/stale/chunk=3/      texts to encode of videos whose own row is up to date
    _plan/<plan_id>/3/videos/ ...       output of the chunk
    _plan/<plan_id>/3/done              the last commit of the chunk is in
    _plan/rescoring.json                the unfinished rescoring, with or without a plan
    _plan/<rescoring_id>/rescored/      its output, unless it replaces the whole table
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from xlclass.errors import LakeError
from xlclass.lake.notes import is_of, read_note, remove_within, require_own
from xlclass.runtime.files import write_whole
from xlclass.runtime.redaction import redacted_within

NUM_NEW, NUM_CHANGED = "num_new", "num_changed"  # the sums that `Lake.commit` needs
_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"  # the key of the Parquet footer under which Spark writes the schema, as JSON
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of a plan or rescoring: the name of a folder
_COUNTS = {"rows_in", "rows_ok", "rows_rejected", "rows_reused"}
_Note = TypeVar("_Note", "Plan", "Rescoring")


@dataclass(frozen=True)
class Plan:
    """`intent` names everything that decides the results. `counts` and `rules` count rows of the whole source, `num_*` the work to do."""

    plan_id: str
    intent: dict[str, Any]
    num_chunks: int
    num_pending: int = 0
    num_stale: int = 0
    num_gone: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    source: str | None = None
    source_version: str | None = None
    profile_version: str | None = None


@dataclass(frozen=True)
class Rescoring:
    """A model version scores rows that it has not scored: those that were staged before, or all in one commit if none were."""

    rescoring_id: str
    model_version: str

    @property
    def app_id(self) -> str:
        """The id of its commits."""
        return f"{self.rescoring_id}/rescored"


@dataclass(frozen=True)
class Staged:
    """Rows that lie as Parquet in the folder `path`, and sums over them by name."""

    path: str
    schema: StructType
    sums: Mapping[str, int]

    @property
    def num_rows(self) -> int:
        """The number of rows, from the sums of `change_sums`."""
        return self.sums[NUM_NEW] + self.sums[NUM_CHANGED]

    def rows(self, spark: SparkSession) -> DataFrame:
        """The rows, read in this session: a merge runs in a session of its own, and uses rows of that session only.

        No Spark job is needed, because the schema is known.
        """
        return spark.read.schema(self.schema).parquet(self.path)

    def without(self, column: str) -> Staged:
        """The same rows without a column."""
        return dataclasses.replace(self, schema=StructType([field for field in self.schema if field.name != column]))

    def summed(self, spark: SparkSession, sums: Mapping[str, Column]) -> Staged:
        """The same rows with `sums`, computed over them."""
        values = self.rows(spark).agg(*_aliased(sums)).first()
        assert values
        return dataclasses.replace(self, sums=values.asDict())


def change_sums() -> dict[str, Column]:
    """The sums over rows with `is_new` that a commit needs: how many are new, and how many replace a row."""
    return {NUM_NEW: F.count_if("is_new"), NUM_CHANGED: F.count_if(~F.col("is_new"))}


class Plans:
    """The unfinished plan and rescoring of a lake, if any, and their staged rows."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self._spark, self._root, self._folder = spark, Path(root), Path(root) / "_plan"
        require_own(self._folder)

    def unfinished(self) -> Plan | None:
        """The plan that a run left unfinished.

        Raises:
            LakeError: its note is damaged.
        """
        plan = self._noted("plan.json", Plan, "run jobs/backfill.py with --abandon, which drops that plan and makes a new one")
        if plan and not (_ID.fullmatch(plan.plan_id) and plan.num_chunks > 0 and plan.counts.keys() <= _COUNTS):
            raise self._damaged("plan.json", "it holds no plan", "run jobs/backfill.py with --abandon, which drops that plan and makes a new one")
        return plan

    def unfinished_ids(self) -> set[str]:
        """The ids of the unfinished plan and rescoring, whose staged rows must be kept."""
        plan, rescoring = self.unfinished(), self.unfinished_rescoring()
        return ({plan.plan_id} if plan else set()) | ({rescoring.rescoring_id} if rescoring else set())

    def begin(self, plan: Plan) -> None:
        """Records `plan` as unfinished; its rows have been staged."""
        write_whole(self._folder / "plan.json", json.dumps(redacted_within(dataclasses.asdict(plan)), indent=1, default=str))

    def drop(self) -> None:
        """Deletes the plan, finished or not, and everything staged."""
        (self._folder / "plan.json").unlink(missing_ok=True)  # first: without it the staged rows mean nothing
        remove_within(self._root, self._folder)

    def scored_chunks(self) -> Iterator[tuple[str, Staged]]:
        """Of each chunk whose last commit is not in: the id of its commits and its staged predictions, without sums.

        The folders say it, not the plan's note: an --abandon also drops a plan whose note is damaged.
        """
        for file in sorted(self._folder.glob("*/*/predictions/_SUCCESS")):
            plan_id, chunk = file.parts[-4:-2]
            staged = self.staged(plan_id, chunk, "predictions") if not Path(self.path(plan_id, chunk, "done")).exists() else None
            if staged:
                yield f"{plan_id}/{chunk}", staged

    def path(self, plan_id: str, *names: object) -> str:
        """The folder of the plan's staged rows of that name."""
        return str(self._folder.joinpath(plan_id, *map(str, names)))

    def staged(self, plan_id: str, *names: object) -> Staged | None:
        """Rows that were staged, without sums; null if there are none. No Spark job is needed."""
        folder = Path(self.path(plan_id, *names))
        file = next(folder.glob("*.parquet"), None)
        if file is None:
            return None
        return Staged(str(folder), StructType.fromJson(json.loads(pq.read_schema(file).metadata[_SPARK_SCHEMA])), {})

    def stage(self, rows: DataFrame, sums: Mapping[str, Column], plan_id: str, *names: object) -> Staged:
        """`rows`, staged, and `sums` over them by name, which are taken while the rows are written.

        Rows that a killed run staged to the end are kept, and summed by reading them; rows that it staged in part are written anew.
        """
        folder = Path(self.path(plan_id, *names))
        staged = self.staged(plan_id, *names) if (folder / "_SUCCESS").exists() else None
        if staged:
            return staged.summed(self._spark, sums) if sums else staged
        observation = Observation()
        observed = rows.observe(observation, *_aliased(sums)) if sums else rows
        observed.write.mode("overwrite").parquet(str(folder))
        return Staged(str(folder), rows.schema, observation.get if sums else {})

    def begin_rescoring(self, rescoring: Rescoring) -> None:
        """Records `rescoring` as unfinished."""
        write_whole(self._folder / "rescoring.json", json.dumps(dataclasses.asdict(rescoring)))

    def unfinished_rescoring(self) -> Rescoring | None:
        """The rescoring that a run left unfinished.

        Raises:
            LakeError: its note is damaged.
        """
        way_out = "delete it, then run this again; prediction_log may lack the predictions of the run that was killed"
        rescoring = self._noted("rescoring.json", Rescoring, way_out)
        if rescoring and not _ID.fullmatch(rescoring.rescoring_id):
            raise self._damaged("rescoring.json", "it holds no rescoring", way_out)
        return rescoring

    def rescoring_done(self, rescoring: Rescoring) -> None:
        """Deletes the record of the rescoring and its staged rows."""
        (self._folder / "rescoring.json").unlink()
        self.drop_rows(rescoring.rescoring_id)

    def drop_rows(self, plan_id: str, *names: object) -> None:
        """Deletes staged rows of a plan or rescoring: all, or those of one name, so that they are made anew."""
        remove_within(self._root, Path(self.path(plan_id, *names)))

    def tally(self, plan: Plan, chunk: int) -> dict[str, int] | None:
        """The counts of the chunk; null until its last commit is in."""
        try:
            return json.loads(Path(self.path(plan.plan_id, chunk, "done")).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def chunk_done(self, plan: Plan, chunk: int, tally: Mapping[str, int]) -> None:
        """Records that the last commit of the chunk is in, with its counts, and deletes its staged rows."""
        folder = Path(self.path(plan.plan_id, chunk))
        write_whole(folder / "done", json.dumps(tally))
        for entry in folder.iterdir():
            if entry.name != "done":
                remove_within(self._root, entry)

    def _noted(self, name: str, kind: type[_Note], way_out: str) -> _Note | None:
        """The note of that name; null if there is none."""
        try:
            values = read_note(self._folder / name)
        except ValueError as error:
            raise self._damaged(name, str(error), way_out) from error
        if values is None and not (self._folder / name).exists():
            return None
        hints = typing.get_type_hints(kind)
        if not isinstance(values, dict) or values.keys() != hints.keys() or not all(is_of(values[key], hint) for key, hint in hints.items()):
            raise self._damaged(name, f"it holds no {kind.__name__.lower()}", way_out)
        return kind(**values)

    def _damaged(self, name: str, found: str, way_out: str) -> LakeError:
        return LakeError(f"{self._folder / name}, the note of a run that did not finish, cannot be read ({found}): {way_out}")


def _aliased(sums: Mapping[str, Column]) -> list[Column]:
    return [column.alias(name) for name, column in sums.items()]


def require_same(plan: Plan, intent: Mapping[str, Any]) -> None:
    """Makes sure that a run would do what the unfinished plan does.

    Raises:
        LakeError: it would not; the sentence names the differences.
    """
    now = json.loads(json.dumps(redacted_within(dict(intent)), default=str))
    differing = [f"{key} was {plan.intent.get(key)!r}, is {now.get(key)!r}" for key in sorted({*plan.intent, *now}) if plan.intent.get(key) != now.get(key)]
    if differing:
        raise LakeError(
            f"a backfill of this lake did not finish (plan {plan.plan_id}), and this run differs from it: {'; '.join(differing[:5])}; "
            "run it with the former settings and arguments to finish that plan, or with --abandon to drop it and plan anew"
        )
