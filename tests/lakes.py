"""Lakes and encoders that take long to make. Each is made once per test run; a module that changes one works on a copy."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from samples import ROWS, comparison_rows

from xlclass.config import Columns, SourceSettings

ODD_VIDEOS = [  # what the demo lacks and the cookbook's queries look for
    {"video_id": None, "title": "no identifier", "labels": []},
    {"video_id": "twice", "title": "the same video", "labels": [], "updated_at": "2026-01-01T00:00:00Z"},
    {"video_id": "twice", "title": "the same video, a week later", "labels": [], "updated_at": "2026-01-08T00:00:00Z"},
    {"video_id": "nothing", "title": "", "labels": [], "language": "de"},  # no text, no vector, no category
    {"video_id": "copy1", "title": "We play the newest game with all our friends", "labels": [], "language": "de"},  # wrong declaration, uploaded twice
    {"video_id": "copy2", "title": "We play the newest game with all our friends", "labels": [], "language": "en"},
]
PLAIN = Columns(tags="tags", labels="labels")


@pytest.fixture(scope="session")
def backfilled_system(made_once, new_run) -> Path:
    """A folder with settings, the catalogue ROWS and a lake that holds their videos and vectors."""
    from xlclass.encoders import resolve_encoders
    from xlclass.lake.sources import read_catalogue
    from xlclass.pipeline.backfill import backfill

    def fill(folder: Path) -> None:
        run = new_run(folder, ROWS)
        backfill(run, read_catalogue(run.lake.spark, run.settings), [resolve_encoders(run.settings)], None)

    return made_once("backfilled_system", fill)


@pytest.fixture(scope="session")
def classified_system(made_once, new_run, backfilled_system) -> Path:
    """The same folder with a champion, and a prediction of it for every video."""
    from xlclass.encoders import resolve_encoders
    from xlclass.pipeline.backfill import classify
    from xlclass.training.train import train

    def fill(folder: Path) -> None:
        run = new_run(Path(shutil.copytree(backfilled_system, folder, dirs_exist_ok=True)))
        classify(run, train(run, resolve_encoders(run.settings)))

    return made_once("classified_system", fill)


@pytest.fixture(scope="session")
def evaluated_copy(made_once, new_run, classified_system) -> Callable[[Path], tuple]:
    """Call it with a new folder: a run on a copy of `classified_system` whose champion has been evaluated, the champion, and the evaluation's id."""
    from xlclass.evaluation.evaluate import evaluate
    from xlclass.lake.registry import Registry

    def fill(folder: Path) -> None:
        run = new_run(Path(shutil.copytree(classified_system, folder, dirs_exist_ok=True)))
        (folder / "evaluation_id").write_text(evaluate(run, Registry(run.lake.root).champion()))

    def copy(folder: Path) -> tuple:
        run = new_run(Path(shutil.copytree(made_once("evaluated_system", fill), folder)))
        return run, Registry(run.lake.root).champion(), (folder / "evaluation_id").read_text()

    return copy


@pytest.fixture(scope="session")
def muse_cache(made_once) -> Path:
    """An encoder cache in which this checkout's code has built the embedded MUSE."""
    from xlclass.encoders.muse.build import muse_encoder

    return made_once("muse", muse_encoder)


@pytest.fixture(scope="session")
def pairs(made_once) -> Path:
    """A folder with small models of the signatures of m-BERT and XLM-R: `bert` and `xlm_r`, each with `preprocessor` and `encoder`."""
    from small_models import save_bert_pair, save_xlm_r_pair

    def fill(folder: Path) -> None:
        for name, save in (("bert", save_bert_pair), ("xlm_r", save_xlm_r_pair)):
            (folder / name).mkdir()
            save(folder / name)

    return made_once("pairs", fill)


@pytest.fixture(scope="session")
def pair_cache(pairs) -> Path:
    """An encoder cache in which tests compose the `pairs`."""
    return pairs / "cache"


@pytest.fixture(scope="session")
def demo_lake(made_once) -> tuple[Path, str]:
    """The lake of the main job on the demo with MUSE, run by spark-submit from an empty folder, and what the job printed."""
    from job_runs import DEMO_SETTINGS, submit

    def fill(folder: Path) -> None:
        done = submit("pipeline", "--conf", str(DEMO_SETTINGS), "--lake", "lake", cwd=folder)
        assert done.returncode == 0, done.stdout[-3000:]
        (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")

    folder = made_once("demo", fill)
    return folder / "lake", (folder / "printed.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def analyst_lake(spark, made_once, demo_lake) -> Path:
    """A copy of `demo_lake` after a second run with ODD_VIDEOS and another champion, and a third run that was refused; and a comparison of encoders."""
    from conftest import ROOT, write_catalogue
    from job_runs import demo_settings, run_in_session

    from xlclass.lake.registry import Registry
    from xlclass.lake.runs import utc_now
    from xlclass.lake.tables import Lake
    from xlclass.schemas import ENCODER_COMPARISON

    def pipeline(folder: Path, **changes: str) -> int:
        settings = demo_settings(folder, "[training]\nseed = 8\n", source="catalogue.jsonl")
        for old, new in changes.items():
            file = folder / settings
            file.write_text(file.read_text(encoding="utf-8").replace(f'"{old}"', f'"{new}"'), encoding="utf-8")
        return run_in_session(spark, "pipeline", "--conf", settings, cwd=folder).returncode

    def fill(folder: Path) -> None:
        demo = [json.loads(line) for file in sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
        write_catalogue(folder, demo + [dict.fromkeys(demo[0]) | row for row in ODD_VIDEOS])
        shutil.copytree(demo_lake[0], folder / "lake")
        champions = [Registry(str(folder / "lake")).champion().name]
        assert pipeline(folder) == 0
        champions.append(Registry(str(folder / "lake")).champion().name)
        assert champions[0] != champions[1]
        assert pipeline(folder, description="plot") == 2
        compared = [[(row | {"compared_at": utc_now()})[name] for name in ENCODER_COMPARISON.names] for row in comparison_rows()]
        Lake(spark, str(folder / "lake")).append_values(ENCODER_COMPARISON, compared)

    return made_once("analysts", fill) / "lake"


@pytest.fixture
def read(spark, settings_in, tmp_path):
    """Reads a file or folder of the test's folder, and gives its rows by id."""

    def read_rows(path, columns=PLAIN, **changes):
        return {row["video_id"]: row for row in catalogue(path, columns, **changes).rows.collect()}

    def catalogue(path, columns=PLAIN, **changes):
        from xlclass.lake.sources import read_catalogue

        source = dataclasses.replace(SourceSettings(str(tmp_path / path), columns=columns), **changes)
        return read_catalogue(spark, dataclasses.replace(settings_in(tmp_path), source=source))

    read_rows.catalogue = catalogue
    return read_rows
