"""One Spark session for all tests, a small literal catalogue, and an encoder that costs nothing."""

import json
import os
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from xlclass.config import Settings, load_settings
from xlclass.encoders.contract import EncoderSpec

ROOT = Path(__file__).parent.parent
FAKE_DIM = 8
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=400m"  # a JVM's options: with the 48 MB of this level it would throw code away all the time

ANALYSTS = ("tests/cookbook/test_cookbook.py", "tests/lake/test_readers.py")  # both read `analyst_lake`, which takes two minutes: one worker makes it for both


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.spark)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, whose own groups do nothing with pytest 9
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Files are shared out whole, those of ANALYSTS as one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return ANALYSTS[0] if file in ANALYSTS else file

    return Scheduling(config, log)


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
def fake_encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
    """A real SavedModel of the contract that needs no model: words counted by hash, L2 norm 1.

    It fails on a batch with "breaks the encoder" in a text, and gives NaN for a text with "is no number" in it.
    """
    from xlclass.encoders.saved_model import saved_model_encoder
    from xlclass.runtime.tensorflow_import import tensorflow_starting

    with tensorflow_starting():
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

    folder = tmp_path_factory.mktemp("fake") / "encoder"
    fake = Fake()
    tf.saved_model.save(fake, str(folder))
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
def empty_lake(spark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose tables hold nothing: a test with a catalogue begins with a copy of it, for to make them takes Spark ten seconds."""
    from xlclass.lake.tables import Lake
    from xlclass.schemas import TABLES

    folder = tmp_path_factory.mktemp("empty") / "lake"
    Lake(spark, str(folder)).ensure(*TABLES)
    return folder


@pytest.fixture(scope="session")
def new_run(spark, settings_in, empty_lake) -> Callable[..., object]:
    """A run on the catalogue `rows` in `folder`; call it again with other rows for the next run on the same lake."""
    from xlclass.lake.runs import Run
    from xlclass.lake.tables import Lake

    def make(folder: Path, rows: list[dict[str, object]] | None = None, more: str = "") -> Run:
        settings = settings_in(folder, more)
        lake = Path(settings.resolve(settings.lake.path))
        if rows is not None:
            write_catalogue(folder, rows)
            if not lake.exists():
                shutil.copytree(empty_lake, lake)
        return Run("test", Lake(spark, str(lake)), settings)

    def again(run: Run) -> Run:
        """Another run with the settings file as it is now."""
        return Run("test", run.lake, load_settings(run.settings.file))

    make.again = again
    return make


@pytest.fixture(scope="session")
def classified_in(new_run) -> Callable[..., tuple]:
    """A run on the catalogue `rows` in `folder` whose videos are encoded and classified, and the model version trained on them."""
    from xlclass.encoders import resolve_encoder
    from xlclass.lake.sources import read_catalogue
    from xlclass.pipeline.backfill import backfill, classify
    from xlclass.training.train import train

    def make(folder: Path, rows: list[dict[str, object]]) -> tuple:
        run = new_run(folder, rows)
        encoder = resolve_encoder(run.settings)
        backfill(run, read_catalogue(run.lake.spark, run.settings), encoder, None)
        version = train(run, encoder)
        classify(run, version)
        return run, version

    return make


ODD_VIDEOS = [  # what the demo lacks and analysts ask about
    {"video_id": None, "title": "no identifier", "labels": []},
    {"video_id": "twice", "title": "the same video", "labels": [], "updated_at": "2026-01-01T00:00:00Z"},
    {"video_id": "twice", "title": "the same video, a week later", "labels": [], "updated_at": "2026-01-08T00:00:00Z"},
    {"video_id": "nothing", "title": "", "labels": [], "language": "de"},  # no text, no vector, no category
    {"video_id": "copy1", "title": "We play the newest game with all our friends", "labels": [], "language": "de"},  # declared wrongly, and uploaded twice
    {"video_id": "copy2", "title": "We play the newest game with all our friends", "labels": [], "language": "en"},
]


@pytest.fixture(scope="session")
def analyst_lake(spark, fake_encoder, tmp_path_factory):
    """The folder of a lake that the jobs made of the demo and ODD_VIDEOS: two champions, two evaluations, a run that was refused."""
    from xlclass.cli.job import run_job

    demo = [json.loads(line) for file in sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    folder = tmp_path_factory.mktemp("analysts")
    write_catalogue(folder, demo + [dict.fromkeys(demo[0]) | row for row in ODD_VIDEOS])
    columns = SETTINGS.replace('"channel"', '"channel_id"').replace('labels = "labels"', 'labels = "labels"\ncountries = "country"')
    settings = columns.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml").replace(
        "min_training_videos = 2", "min_training_videos = 10"
    )
    body = runpy.run_path(str(ROOT / "jobs" / "pipeline.py"))["body"]

    def pipeline(text: str) -> int:
        (folder / "settings.toml").write_text(text, encoding="utf-8")
        return run_job("pipeline", "", body, argv=["--conf", str(folder / "settings.toml")])

    assert [pipeline(f"{settings}[training]\nmax_epochs = {num}\n") for num in (1, 20)] == [0, 0]  # the second is better
    assert pipeline(settings.replace('"description"', '"plot"')) == 2
    return folder / "lake"
