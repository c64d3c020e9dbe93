"""A backfill that ends between two commits: maintenance, --abandon and the next backfill leave prediction_log whole.

A backfill runs to its end, and its lake is copied after each commit and after each note under `_plan`: such a copy is what a kill at that
moment leaves. No process is killed, so every boundary is tried and not a random one. `make test-faults` tries them all; the quick suite
tries one of each kind.
"""

import contextlib
import shutil
from collections import Counter
from pathlib import Path

import deltalake
import pytest
from conftest import write_catalogue
from pyspark.sql import functions as F
from samples import ROWS

from xlclass.encoders import resolve_encoders
from xlclass.lake import staging, tables
from xlclass.lake.maintenance import maintain
from xlclass.lake.registry import Registry
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill
from xlclass.schemas import PREDICTIONS

pytestmark = pytest.mark.spark
MORE = "[backfill]\nchunk_videos = 20\n"
LOG_KEY = ["video_id", "run_id", "predicted_at"]
CHANGED = [{**row, "title": f"{row['title']} again"} for row in ROWS[:8]]
NEW = [{**row, "video_id": f"new{i}", "channel": f"channel{i}", "title": f"{row['title']} anew"} for i, row in enumerate(ROWS[20:44])]
CATALOGUE = [*CHANGED, *ROWS[8:], *NEW, {**ROWS[0], "video_id": None, "channel": None}]  # no channel has two videos: a profile would change all rows
UNSCORED = [row["video_id"] for row in ROWS[50:60]]  # their predictions are deleted before the backfill
SCENARIOS = {"chunks": (CATALOGUE, UNSCORED), "all": (ROWS, [row["video_id"] for row in ROWS])}  # the catalogue, and the videos without predictions
STEPS = {"chunks": 21, "all": 3}  # commits and notes of the backfill of each scenario


class Recorded:
    """A backfill of a scenario that has run to its end in `folder`, and a copy of its lake after each commit and note."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, []

    def add(self, name: str) -> None:
        """Copies the lake as it is; files that a thread in the background moves meanwhile are left out."""

        def copy_if_there(source, target):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy2(source, target)

        target = self.folder / "copies" / str(len(self.names))
        shutil.copytree(self.folder / "lake", target, ignore=shutil.ignore_patterns("_lease.*", "_temporary"), copy_function=copy_if_there)
        self.names.append(name)

    def copy(self, number: int, folder: Path) -> Path:
        """A folder with the settings, the catalogue, and the lake as it was after that commit or note."""
        folder.mkdir()
        for name in ("settings.toml", "catalogue.jsonl"):
            shutil.copy2(self.folder / name, folder)
        shutil.copytree(self.folder / "copies" / str(number), folder / "lake")
        return folder


def _backfill(run, **options):
    source = read_catalogue(run.lake.spark, run.settings)
    backfill(run, source, [resolve_encoders(run.settings)], Registry(run.lake.root).champion(), BackfillOptions(**options))


@pytest.fixture(scope="module")
def recorded(new_run, classified_system, tmp_path_factory):
    """Gives the `Recorded` of a scenario; each runs once."""
    done = {}

    def record(scenario):
        if scenario not in done:
            recording = Recorded(Path(shutil.copytree(classified_system, tmp_path_factory.mktemp("recorded") / scenario)))
            rows, missing = SCENARIOS[scenario]
            write_catalogue(recording.folder, rows)
            run = new_run(recording.folder, more=MORE)
            run.lake.delete_where(PREDICTIONS, F.col("video_id").isin(missing))
            with _each_write_noted(recording.add):
                _backfill(run)
            done[scenario] = recording
        return done[scenario]

    return record


@contextlib.contextmanager
def _each_write_noted(note):
    def noted(write, name_of):
        def wrapped(*args, **kwargs):
            write(*args, **kwargs)
            note(name_of(*args))

        return wrapped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables.Lake, "_write", noted(tables.Lake._write, lambda _, table, rows, mode, *more: f"{table.name} {mode}"))
        patch.setattr(tables.Lake, "_merge", noted(tables.Lake._merge, lambda _, table, *more: f"{table.name} merge"))
        patch.setattr(staging, "write_whole", noted(staging.write_whole, lambda file, text: file.name))
        yield


def _table(folder, name):
    return deltalake.DeltaTable(str(folder / "lake" / name)).to_pandas()


def _not_logged_once(folder):
    """Predictions without exactly one row in the log, and rows that the log has twice."""
    logged = Counter(map(tuple, _table(folder, "prediction_log")[LOG_KEY].to_numpy().tolist()))
    made = map(tuple, _table(folder, "predictions")[LOG_KEY].to_numpy().tolist())
    return [row for row in made if logged[row] != 1], [row for row, number in logged.items() if number > 1]


def _contents(folder):
    """What a backfill leaves, without the times and runs: predictions by video, and how often the log has each of them."""
    columns = ["video_id", "language", "top_category", "model_version"]
    predictions, log = (_table(folder, name)[columns].fillna("").to_numpy().tolist() for name in ("predictions", "prediction_log"))
    return sorted(predictions), Counter(map(tuple, log))


def _check(new_run, recorded, tmp_path, scenario, number, job, goes_on):
    recording = recorded(scenario)
    folder = recording.copy(number, tmp_path / "copy")
    if job == "maintain":
        maintain(new_run(folder, more=MORE))
    else:
        _backfill(new_run(folder, more=MORE), abandon=True)
    assert _not_logged_once(folder) == ([], []), f"after {recording.names[number]}"
    if goes_on:
        _backfill(new_run(folder, more=MORE))
        assert _not_logged_once(folder) == ([], [])
    if goes_on or job == "abandon":
        assert _contents(folder) == _contents(recording.folder), f"after {recording.names[number]}"


ONE_OF_EACH = [  # the last commit or note before the kill: each has predictions without their log, or a part of them
    ("chunks", "predictions append", "abandon"),
    ("chunks", "predictions merge", "maintain"),
    ("all", "predictions overwrite", "abandon"),
    ("all", "predictions overwrite", "maintain"),
]


@pytest.mark.parametrize(("scenario", "name", "job"), [ONE_OF_EACH[0], *(pytest.param(*one, marks=pytest.mark.slow) for one in ONE_OF_EACH[1:])])
def test_log_is_whole_after_a_backfill_that_ended_before_it(new_run, recorded, tmp_path, scenario, name, job):
    _check(new_run, recorded, tmp_path, scenario, recorded(scenario).names.index(name), job, goes_on=False)


@pytest.mark.fault
@pytest.mark.parametrize("job", ["abandon", "maintain"])
@pytest.mark.parametrize(("scenario", "number"), [(scenario, number) for scenario, steps in STEPS.items() for number in range(steps)])
def test_log_is_whole_at_every_boundary(new_run, recorded, tmp_path, scenario, number, job):
    assert len(recorded(scenario).names) == STEPS[scenario], recorded(scenario).names
    _check(new_run, recorded, tmp_path, scenario, number, job, goes_on=True)


def test_abandon_of_a_dry_run_changes_nothing(new_run, recorded, tmp_path):
    folder = recorded("chunks").copy(recorded("chunks").names.index("predictions append"), tmp_path / "copy")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (folder / "lake" / "_plan").rglob("*"))
    _backfill(new_run(folder, more=MORE), abandon=True, dry_run=True)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (folder / "lake" / "_plan").rglob("*")) == before
