"""One Spark session per test process, a small literal catalogue, and a small encoder. `lakes.py` has the lakes that several modules read."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from xlclass.config import Settings, load_settings
from xlclass.encoders.contract import EncoderSpec

pytest_plugins = ["lakes"]
ROOT = Path(__file__).parent.parent
FAKE_DIM = 8
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=400m"  # JVM options; with the 48 MB of this level the JVM evicts compiled code all the time
LONGEST_FIRST = [  # pytest-xdist gives out whole files in this order: two processes end together if the long files come first
    "tests/test_newcomer.py",
    "tests/deploy/test_install.py",
    "tests/jobs/test_jobs.py",
    "tests/pipeline/test_backfill.py",
    "tests/faults/test_faults.py",
    "tests/deploy/test_airflow.py",
    "tests/cookbook/test_cookbook.py",
    "tests/evaluation/test_evaluate.py",
    "tests/training/test_promotion.py",
    "tests/evaluation/test_label_issues.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {ROOT / file: number for number, file in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Gives the folder of a name, filled once per test run: the first process that asks for it fills it, another one waits."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made_once"
    shared.mkdir(exist_ok=True)

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, is_filled = shared / name, shared / f"{name}.filled"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_filled.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a process whose attempt failed
                folder.mkdir()
                fill(folder)
                is_filled.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def spark():
    """The session of the jobs, small: two cores, two shuffle partitions."""
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f'--master local[2] --driver-memory 2g --driver-java-options "{SHORT_LIVED}" --conf spark.sql.shuffle.partitions=2 pyspark-shell'
    )
    from xlclass.lake.session import open_session

    session = open_session("tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def fake_encoder(made_once) -> EncoderSpec:
    """A SavedModel of the contract without trained weights: words counted by hash, L2 norm 1.

    It fails on a batch with "breaks the encoder" in a text, and gives NaN for a text with "is no number" in it.
    All processes use one, because two saves of one graph have different digests.
    """
    from xlclass.encoders.saved_model import saved_model_encoder
    from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

    with quiet_tensorflow_import():
        import tensorflow as tf

    class Fake(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            breaks = tf.reduce_any(tf.strings.regex_full_match(texts, "(?s).*breaks the encoder.*"))
            nowhere = tf.strings.regex_full_match(texts, "(?s).*is no number.*")
            with tf.control_dependencies([tf.debugging.Assert(~breaks, ["broken"])]):
                texts = tf.identity(texts)
            words = tf.strings.to_hash_bucket_fast(tf.strings.split(texts), FAKE_DIM)
            counts = tf.reduce_sum(tf.one_hot(words, FAKE_DIM), axis=1)
            return tf.where(nowhere[:, None], float("nan"), tf.math.l2_normalize(counts + 0.01, axis=1))

    folder = made_once("fake_encoder", lambda folder: tf.saved_model.save(Fake(), str(folder)))
    return saved_model_encoder(str(folder), ["en", "fr"])


VIDEOS = [
    {
        "video_id": "v1",
        "title": "Best Goals of the season",
        "tags": ["football", "goals"],
        "description": None,
        "channel": "c1",
        "language": "en-GB",
        "labels": ["sports"],
        "updated_at": "2026-01-01T00:00:00Z",
    },
    {
        "video_id": "v2",
        "title": "Recette de tarte",
        "tags": [],
        "description": "Une tarte aux pommes",
        "channel": "c2",
        "language": "fr",
        "labels": ["howto_style", "no such label"],
        "updated_at": "2026-01-02T00:00:00Z",
    },
    # an empty text: goes on, without a vector
    {"video_id": "v3", "title": "", "tags": [], "description": "", "channel": "c3", "language": "de", "labels": [], "updated_at": "2026-01-03T00:00:00Z"},
    # all nulls but the id: nothing may fail on a null
    {"video_id": "v4", "title": None, "tags": None, "description": None, "channel": None, "language": None, "labels": None, "updated_at": None},
    # emoji only: a text without a letter
    {
        "video_id": "v5",
        "title": "😀😀",
        "tags": None,
        "description": None,
        "channel": "c3",
        "language": "ja",
        "labels": ["music"],
        "updated_at": "2026-01-05T00:00:00Z",
    },
    # right to left
    {
        "video_id": "v6",
        "title": "أفضل أهداف الدوري",
        "tags": ["كرة القدم"],
        "description": None,
        "channel": "c4",
        "language": "ar",
        "labels": ["sports"],
        "updated_at": "2026-01-06T00:00:00Z",
    },
    # huge: must be cut, not fail
    {
        "video_id": "v7",
        "title": "long " * 20_000,
        "tags": ["x"] * 5_000,
        "description": "y " * 50_000,
        "channel": "c5",
        "language": "en",
        "labels": ["gaming"],
        "updated_at": "2026-01-07T00:00:00Z",
    },
    # twice the same video: the newer row is used
    {
        "video_id": "v8",
        "title": "כותרת ישנה של הסרטון",
        "tags": [],
        "description": None,
        "channel": "c6",
        "language": "iw",
        "labels": [],
        "updated_at": "2026-01-01T00:00:00Z",
    },
    {
        "video_id": "v8",
        "title": "כותרת חדשה של הסרטון",
        "tags": [],
        "description": None,
        "channel": "c6",
        "language": "iw",
        "labels": [],
        "updated_at": "2026-02-01T00:00:00Z",
    },
    # no identifier: cannot be used
    {"video_id": None, "title": "who am I", "tags": [], "description": None, "channel": "c7", "language": "en", "labels": [], "updated_at": None},
]


def write_catalogue(folder: Path, rows: list[dict[str, object]]) -> Path:
    """The rows as a file of JSON lines in `folder`."""
    file = folder / "catalogue.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


SETTINGS = """
[source]
path = "catalogue.jsonl"
[source.columns]
tags = "tags"
description = "description"
channel_id = "channel"
language = "language"
labels = "labels"
updated_at = "updated_at"
[lake]
path = "lake"
[encoder]
model = "{encoder}"
[taxonomy]
file = "{taxonomy}"
min_training_videos = 2
[calibration]
prototypes = 0  # else every training also trains a head per left-out language; tests/model/test_fit.py and the demo's tests cover that
"""


@pytest.fixture(scope="session")
def settings_in(fake_encoder: EncoderSpec) -> Callable[..., Settings]:
    """Settings of a system in a folder of its own: call it with the folder and, if wanted, more TOML."""

    def make(folder: Path, more: str = "") -> Settings:
        file = folder / "settings.toml"
        file.write_text(SETTINGS.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml") + more, encoding="utf-8")
        return load_settings(file)

    return make


@pytest.fixture(scope="session")
def empty_lake(spark, made_once) -> Path:
    """A lake with empty tables. A test with a catalogue starts from a copy, because creating the tables takes Spark ten seconds."""
    from xlclass.lake.tables import Lake
    from xlclass.schemas import TABLES

    return made_once("empty_lake", lambda folder: Lake(spark, str(folder)).ensure(*TABLES))


@pytest.fixture(scope="session")
def new_run(spark, settings_in, empty_lake) -> Callable[..., object]:
    """A run on the catalogue `rows` in `folder`; call it again with other rows for the next run on the same lake."""
    from xlclass.catalog import load_preparation
    from xlclass.catalog.taxonomy import load_taxonomy
    from xlclass.lake.runs import Run
    from xlclass.lake.tables import Lake

    def started(lake: Lake, settings: Settings) -> Run:
        return Run("test", lake, settings, load_preparation(settings), load_taxonomy(settings.resolve(settings.taxonomy.file)))

    def make(folder: Path, rows: list[dict[str, object]] | None = None, more: str = "") -> Run:
        settings = settings_in(folder, more)
        lake = Path(settings.resolve(settings.lake.path))
        if rows is not None:
            write_catalogue(folder, rows)
            if not lake.exists():
                shutil.copytree(empty_lake, lake)
        return started(Lake(spark, str(lake)), settings)

    def again(run: Run) -> Run:
        """Another run with the settings file as it is now."""
        return started(run.lake, load_settings(run.settings.file))

    make.again = again
    return make


@pytest.fixture(scope="session")
def classified_in(new_run) -> Callable[..., tuple]:
    """A run on the catalogue `rows` in `folder` whose videos are encoded and classified, and the model version trained on them."""
    from xlclass.encoders import resolve_encoders
    from xlclass.lake.sources import read_catalogue
    from xlclass.pipeline.backfill import backfill, classify
    from xlclass.training.train import train

    def make(folder: Path, rows: list[dict[str, object]]) -> tuple:
        run = new_run(folder, rows)
        encoders = resolve_encoders(run.settings)
        backfill(run, read_catalogue(run.lake.spark, run.settings), [encoders], None)
        version = train(run, encoders)
        classify(run, version)
        return run, version

    return make
