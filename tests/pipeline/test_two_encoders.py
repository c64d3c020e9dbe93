"""Two encoders' vectors side by side: every consumer sees one row per video, and going back to the first encoder encodes nothing anew."""

import re

import duckdb
import pytest
from conftest import FAKE_DIM, write_catalogue
from pyspark.sql import functions as F
from samples import ROWS

from xlclass.config import GateSettings
from xlclass.cookbook import named
from xlclass.cookbook.dictionary import READING
from xlclass.encoders import resolve_encoders
from xlclass.encoders.pair import Part, Route
from xlclass.evaluation.evaluate import evaluate
from xlclass.evaluation.label_issues import judged_videos, unlabelled_videos
from xlclass.lake.reading import dataset, embeddings_on
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill, classify
from xlclass.pipeline.changes import stale_embeddings, up_to_date
from xlclass.schemas import EMBEDDINGS, LANGUAGE_ACCURACY, PREDICTION_LOG, PREDICTIONS, VIDEOS, unpack_vectors
from xlclass.training.promotion import compare, scored_videos
from xlclass.training.train import train

pytestmark = pytest.mark.slow  # two trainings and ten backfills
CATALOGUE = [
    *(row for row in ROWS if row["language"] in ("en", "fr") and row["labels"] != ["gaming"]),
    *({**ROWS[i], "video_id": f"unlabelled{i}", "channel": f"unlabelled{i}", "labels": []} for i in range(3)),
    {**ROWS[0], "video_id": "no text", "channel": "none", "title": "", "labels": []},
]
IDS = {row["video_id"] for row in CATALOGUE}


@pytest.fixture(scope="module")
def second_encoder(tmp_path_factory):
    """Like the fake encoder, but it counts letters."""
    import tensorflow as tf

    class Letters(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            letters = tf.strings.to_hash_bucket_fast(tf.strings.unicode_split(texts, "UTF-8"), FAKE_DIM)
            return tf.math.l2_normalize(tf.reduce_sum(tf.one_hot(letters, FAKE_DIM), axis=1) + 0.01, axis=1)

    folder = tmp_path_factory.mktemp("letters") / "encoder"
    tf.saved_model.save(Letters(), str(folder))
    return str(folder)


class System:
    """A lake and its catalogue; `run` is a run with the first or the second encoder in its settings."""

    def __init__(self, new_run, folder, second):
        self.new_run, self.folder, self.first_run, self.second = new_run, folder, new_run(folder, CATALOGUE), second
        self.first_settings = self.first_run.settings.file.read_text()
        self.lake = self.first_run.lake

    def run(self, encoder):
        text = self.first_settings if encoder == "first" else re.sub(r'model = ".*"', f'model = "{self.second}"', self.first_settings)
        self.first_run.settings.file.write_text(text)
        return self.new_run.again(self.first_run)

    def fill(self, encoder, version=None, **options):
        """The run, after its backfill."""
        run = self.run(encoder)
        backfill(run, read_catalogue(self.lake.spark, run.settings), [resolve_encoders(run.settings)], version, BackfillOptions(**options))
        return run

    def encoder_id(self, encoder):
        return resolve_encoders(self.run(encoder).settings).main.encoder_id

    def route(self, encoder):
        return Route((Part(self.encoder_id(encoder), FAKE_DIM),))

    def rows(self, encoder):
        """The encoder's rows by video_id."""
        rows = self.lake.embeddings_on(self.route(encoder)).collect()
        assert len({row["video_id"] for row in rows}) == len(rows)
        return {row["video_id"]: row for row in rows}

    def predictions(self):
        rows = self.lake.read(PREDICTIONS).collect()
        assert len({row["video_id"] for row in rows}) == len(rows)
        return {row["video_id"]: row for row in rows}


def _num_encoded(run):
    return next((step.num_rows for step in run.steps if step.name == "encode"), 0)


@pytest.fixture(scope="module")
def system(new_run, second_encoder, tmp_path_factory):
    """A lake whose champion is of the first encoder, and whose second version, of the second encoder, has scored all videos."""
    system = System(new_run, tmp_path_factory.mktemp("two"), second_encoder)
    system.versions = {}
    for encoder in ("first", "second"):
        run = system.fill(encoder)
        system.versions[encoder] = train(run, resolve_encoders(run.settings))
        classify(run, system.versions[encoder])
        assert _num_encoded(run) == len(CATALOGUE)
    return system


def test_rows_of_both_encoders_lie_side_by_side(system):
    first, second = system.rows("first"), system.rows("second")
    assert set(first) == set(second) == IDS
    assert system.lake.num_rows(EMBEDDINGS) == 2 * len(IDS)
    assert all(first[name]["vector"] != second[name]["vector"] for name in IDS - {"no text"})
    for encoder, rows in (("first", first), ("second", second)):
        encoder_id, route = system.encoder_id(encoder), system.route(encoder)
        assert {row["encoder_id"] for row in rows.values()} == {row["encode_key"]["encoder_id"] for row in rows.values()} == {encoder_id}
        assert sorted(embeddings_on(system.lake.root, route).to_table(columns=["video_id"])["video_id"].to_pylist()) == sorted(IDS)
        assert stale_embeddings(system.lake, [route]).isEmpty()
        assert up_to_date(system.lake, [route, system.route("second")], system.versions["second"]) == (True, True)


def test_training_takes_one_vector_of_each_video(system):
    manifests = {encoder: version.manifest() for encoder, version in system.versions.items()}
    assert manifests["first"]["num_videos"] == manifests["second"]["num_videos"]
    assert sum(manifests["first"]["num_videos"].values()) <= len(IDS)
    assert {encoder: manifest["encoder_id"] for encoder, manifest in manifests.items()} == {name: system.encoder_id(name) for name in manifests}
    run = system.run("first")
    assert train(run, resolve_encoders(run.settings)) == system.versions["first"]  # the same sample as before the second encoder came


def test_a_version_scores_the_rows_of_its_own_encoder_only(system):
    predictions = system.predictions()
    assert set(predictions) == IDS
    assert {(row["encoder_id"], row["model_version"]) for row in predictions.values()} == {(system.encoder_id("second"), system.versions["second"].name)}
    logged = system.lake.read(PREDICTION_LOG).groupBy("model_version").count().collect()
    assert {row["model_version"]: row["count"] for row in logged} == {version.name: len(IDS) for version in system.versions.values()}
    bundle = system.versions["second"].load()
    vectors = {name: row["vector"] for name, row in system.rows("second").items() if row["vector"]}
    names = sorted(vectors)
    decisions = bundle.decide(unpack_vectors([vectors[name] for name in names], FAKE_DIM), [predictions[name]["language"] for name in names])
    assert [predictions[name]["top_category"] for name in names] == [bundle.categories[top] for top in decisions.top]


def test_the_gate_compares_each_version_on_its_own_vectors(system):
    versions = list(system.versions.values())
    videos = scored_videos(system.lake.root, [version.manifest() for version in versions], 5_000)
    assert not videos.video_id.duplicated().any()
    verdict = compare(system.lake.root, *versions, GateSettings(min_videos=5))
    assert verdict.groups[0].num_videos == len(videos) > 0


def test_evaluation_and_label_issues_count_each_video_once(system):
    run, version = system.run("second"), system.versions["second"]
    evaluate(run, version)
    support = sum(row["support"] for row in system.lake.read(LANGUAGE_ACCURACY).collect())
    assert support == len(scored_videos(system.lake.root, [version.manifest()], 5_000))
    for rows in (judged_videos(run, version), unlabelled_videos(run, version)):
        names = [row["video_id"] for row in rows.collect()]
        assert len(names) == len(set(names)) > 0


def test_cookbook_compares_vectors_of_the_predictions_encoder_only(system):
    database = duckdb.connect()
    for table in (VIDEOS, EMBEDDINGS, PREDICTIONS):
        database.register(table.name, dataset(system.lake.root, table))
    database.execute(READING.split("```sql\n")[1].split(";")[0])
    (query,) = named("alike")
    rows = database.execute(query.sql).fetchall()
    assert len(rows) == len({row[0] for row in rows}) == 10


def test_going_back_to_the_first_encoder_encodes_only_what_changed_meanwhile(system):
    """The last test of the module: it changes the lake."""
    first, second = system.versions["first"], system.versions["second"]
    before = system.lake.version(EMBEDDINGS)
    run = system.fill("first", first)
    assert _num_encoded(run) == 0
    assert system.lake.version(EMBEDDINGS) == before
    assert {row["model_version"] for row in system.predictions().values()} == {first.name}

    edited = scored_videos(system.lake.root, [first.manifest(), second.manifest()], 5_000).video_id[0]
    rows = [{**row, "title": row["title"] + " once more"} if row["video_id"] == edited else row for row in CATALOGUE]
    write_catalogue(system.folder, [*rows, {**ROWS[2], "video_id": "late"}])
    run = system.fill("second", second)
    assert _num_encoded(run) == 2
    assert {row["model_version"] for row in system.predictions().values()} == {second.name}
    assert set(system.rows("second")) == set(system.predictions()) == IDS | {"late"}
    assert set(system.rows("first")) == IDS
    assert system.rows("first")[edited]["encode_key"]["text_hash"] != system.rows("second")[edited]["encode_key"]["text_hash"]  # stale, and says so
    scored = set(scored_videos(system.lake.root, [first.manifest(), second.manifest()], 5_000).video_id)
    assert compare(system.lake.root, first, second, GateSettings(min_videos=5)).groups[0].num_videos == len(scored - {edited, "late"}) > 0

    run = system.fill("first", first)
    assert _num_encoded(run) == 2  # the edited text, and the one that this encoder never saw, which has a prediction by the other version
    assert {row["model_version"] for row in system.predictions().values()} == {first.name}
    assert set(system.rows("first")) == set(system.predictions()) == IDS | {"late"}

    write_catalogue(system.folder, rows[2:])
    system.fill("first", first, full=True, allow_deletes=True)
    remaining = {row["video_id"] for row in rows[2:]}
    assert set(system.rows("first")) == set(system.rows("second")) == set(system.predictions()) == remaining
    assert system.lake.read(EMBEDDINGS).where(~F.col("video_id").isin(*remaining)).isEmpty()
