"""A pair of encoders in a lake: each video by the encoder for its language, one head for both, and no vector made twice."""

import dataclasses
import json

import pytest
from conftest import write_catalogue
from pyspark.sql import functions as F
from samples import LABELS, ROWS, TITLES

from xlclass.encoders import resolve_encoders
from xlclass.encoders.pair import Encoders
from xlclass.encoders.saved_model import saved_model_encoder
from xlclass.errors import LakeError
from xlclass.evaluation.evaluate import evaluate
from xlclass.evaluation.label_issues import judged_videos, unlabelled_videos
from xlclass.lake.lease import Lease
from xlclass.lake.maintenance import maintain
from xlclass.lake.registry import Registry
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import BackfillOptions, backfill, classify
from xlclass.pipeline.feeds import main_job_feeds, needed_encoders, nightly_feeds
from xlclass.quality.splits import TRAIN, Split
from xlclass.schemas import EMBEDDINGS, PREDICTIONS, VIDEOS
from xlclass.training.promotion import compare
from xlclass.training.train import train

pytestmark = pytest.mark.slow
DIM = 12
MOVED = "de7"


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A second encoder: letters counted by hash, vectors of 12 numbers."""
    import tensorflow as tf

    class Letters(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            counts = tf.one_hot(tf.strings.to_hash_bucket_fast(tf.strings.unicode_split(texts, "UTF-8"), DIM), DIM)
            return tf.math.l2_normalize(tf.reduce_sum(counts, axis=1) + 0.01, axis=1)

    folder = tmp_path_factory.mktemp("letters") / "encoder"
    tf.saved_model.save(Letters(), str(folder))
    return saved_model_encoder(str(folder), ["en", "fr", "de"])


@dataclasses.dataclass
class System:
    """A lake whose champion is of a pair: the fake encoder for English and French, letters for German."""

    new_run: object
    folder: object
    first: object
    pair: Encoders
    alone: Encoders

    def run(self):
        return self.new_run.again(self.first)

    def fill(self, feeds, version=None, rows=None, **options):
        """How many embeddings a backfill encoded."""
        if rows is not None:
            write_catalogue(self.folder, rows)
        run = self.run()
        backfill(run, read_catalogue(run.lake.spark, run.settings), feeds, version, BackfillOptions(**options))
        return next((step.num_rows for step in run.steps if step.name == "encode"), 0)

    def embeddings(self):
        """language, text_hash and vector by video_id and encoder, which is main or second."""
        names = {self.pair.specs[0].encoder_id: "main", self.pair.specs[1].encoder_id: "second"}
        return {(row["video_id"], names[row["encoder_id"]]): row for row in self.first.lake.read(EMBEDDINGS).collect()}

    def predictions(self):
        rows = self.first.lake.read(PREDICTIONS).collect()
        assert len({row["video_id"] for row in rows}) == len(rows)
        return {row["video_id"]: row for row in rows}


@pytest.fixture(scope="module")
def system(new_run, letters, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    first = new_run(folder, ROWS, "[training]\nalignment_texts = 30\n")
    alone = resolve_encoders(first.settings)
    alone = dataclasses.replace(alone, specs=(dataclasses.replace(alone.main, languages=("en", "fr")),))
    pair = Encoders((alone.main, dataclasses.replace(letters, task_texts=10)), {})
    system = System(new_run, folder, first, pair, alone)
    assert system.fill([pair]) == len(ROWS)
    run = system.run()
    classify(run, train(run, pair))
    return system


def champion(system):
    return Registry(system.first.lake.root).champion()


def test_each_video_has_the_vector_of_the_encoder_for_its_language(system):
    rows = system.embeddings()
    assert {key for key in rows if key[1] == "main"} == {(row["video_id"], "main") for row in ROWS if row["language"] != "de"}
    assert {(row["video_id"], "second") for row in ROWS if row["language"] == "de"} <= set(rows)
    assert all(len(row["vector"]) == 2 * (DIM if encoder == "second" else system.pair.main.dim) for (_, encoder), row in rows.items())
    predictions = system.predictions()
    assert set(predictions) == {row["video_id"] for row in ROWS}
    assert {(row["language"], row["encoder_id"]) for row in predictions.values()} == {
        *((language, system.pair.specs[0].encoder_id) for language in ("en", "fr")),
        ("de", system.pair.specs[1].encoder_id),
    }


def test_the_alignment_read_texts_of_the_training_side_in_languages_of_both_encoders_only(system):
    manifest = champion(system).manifest()
    taught = {video for video, encoder in system.embeddings() if encoder == "second" and not video.startswith("de")}
    assert len(taught) == manifest["alignment"]["texts_read"][0] == manifest["alignment"]["texts"] == 30
    split = Split(**manifest["split"])
    sides = {row["video_id"]: split.of(row["channel"]) for row in ROWS}
    assert {sides[video] for video in taught} == {TRAIN}
    num_english = sum(video.startswith("en") for video in taught)
    assert abs(num_english - 15) <= 1
    assert manifest["alignment"]["alignment"] == "own"
    assert [part["dim"] for part in manifest["parts"]] == [system.pair.main.dim, DIM]
    assert champion(system).space().alignments.keys() == {system.pair.specs[1].encoder_id}


def test_training_again_encodes_nothing_and_is_refused_to_encode_while_another_run_holds_the_lake(system):
    run, before = system.run(), system.first.lake.version(EMBEDDINGS)
    assert train(run, system.pair) == champion(system)
    assert run.lake.version(EMBEDDINGS) == before
    run.settings = dataclasses.replace(run.settings, training=dataclasses.replace(run.settings.training, alignment_texts=31))
    with Lease(run.lake.root, "another", "backfill", 60), pytest.raises(LakeError, match="another"):
        train(run, system.pair)
    assert run.lake.version(EMBEDDINGS) == before


def test_evaluation_label_issues_and_gate_count_each_video_once(system):
    run, version = system.run(), champion(system)
    evaluate(run, version)
    for rows in (judged_videos(run, version), unlabelled_videos(run, version)):
        names = [row["video_id"] for row in rows.collect()]
        assert len(names) == len(set(names))
    verdict = compare(run.lake.root, version, version, run.settings.gate)
    assert verdict.groups[0].num_videos > 10
    assert verdict.groups[0].accuracy.amount == 0


def test_a_video_that_moves_to_the_other_encoders_language_is_encoded_by_it_once(system):
    """And back; a row that is left behind keeps its vector, follows the metadata and is no second prediction."""
    before, version = system.embeddings(), champion(system)
    title = TITLES["fr", LABELS[0]]
    french = [{**row, "title": f"{title} encore", "language": "fr"} if row["video_id"] == MOVED else row for row in ROWS]
    assert system.fill([system.pair], version, french) == 1
    after = system.embeddings()
    assert after.keys() - before.keys() == {(MOVED, "main")}
    assert after[MOVED, "second"]["vector"] == before[MOVED, "second"]["vector"]
    assert {after[MOVED, encoder]["language"] for encoder in ("main", "second")} == {"fr"}
    assert system.predictions()[MOVED]["encoder_id"] == system.pair.specs[0].encoder_id
    assert system.fill([system.pair], version, french) == 0
    assert system.fill([system.pair], version, ROWS) == 0  # its German text is encoded already
    assert system.embeddings()[MOVED, "second"]["encode_key"] == before[MOVED, "second"]["encode_key"]
    assert system.predictions()[MOVED]["encoder_id"] == system.pair.specs[1].encoder_id
    assert set(system.predictions()) == {row["video_id"] for row in ROWS}


def test_a_change_of_encoder_has_no_gap(system):
    """From the pair to the first encoder alone: both are fed while it is under way, the champion serves on, and then the old vectors go."""
    lake, pairs_version = system.first.lake, champion(system)
    file = system.folder / "alone.toml"
    file.write_text(system.first.settings.file.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xlclass.pipeline.feeds.encoders_of", lambda manifest, *_: system.alone if len(manifest["parts"]) == 1 else system.pair)
        assert nightly_feeds(system.run()) == [system.pair]  # the manifest's word, though the settings name the first encoder alone
        feeds = nightly_feeds(system.run(), str(file))
        assert [feed.route.encoder_ids for feed in feeds] == [system.pair.route.encoder_ids, system.alone.route.encoder_ids]
        assert json.loads((system.folder / "lake" / "_encoder.json").read_text())["model"] == system.alone.recorded["model"]
        num_german = sum(row["language"] == "de" for row in ROWS)
        assert system.fill(feeds, pairs_version) == num_german  # the vector that the moved video left behind is of another text
        late = {**ROWS[0], "video_id": "late", "language": "de", "title": TITLES["de", LABELS[0]], "channel": "late"}
        assert system.fill(nightly_feeds(system.run()), pairs_version, [*ROWS, late]) == 2
        assert system.predictions()["late"]["model_version"] == pairs_version.name
        run = system.run()
        new = train(run, system.alone)
        assert needed_encoders(lake.root, run.settings) == set(system.pair.route.encoder_ids)
        registry = Registry(lake.root)
        registry.make_champion(registry.history(), new.name, "r", "for the test")
        assert system.fill(nightly_feeds(system.run()), new) == 0
        assert {row["model_version"] for row in system.predictions().values()} == {new.name}
        assert main_job_feeds(system.run(), system.alone) == [system.alone]
        needed = needed_encoders(lake.root, run.settings)
        assert needed == {system.alone.main.encoder_id}
        assert not (system.folder / "lake" / "_encoder.json").exists()
        num_old = lake.read(EMBEDDINGS).where(F.col("encoder_id") != system.alone.main.encoder_id).count()
        assert maintain(system.run(), needed).vectors == num_old > num_german
    assert {row["encoder_id"] for row in lake.read(EMBEDDINGS).select("encoder_id").distinct().collect()} == needed
    assert lake.num_rows(VIDEOS) == lake.num_rows(EMBEDDINGS) == len(ROWS) + 1


def test_a_damaged_note_of_a_change_is_refused_by_name(system):
    note = system.folder / "lake" / "_encoder.json"
    for text in ("{", '{"nothing": 1}', "[]"):
        note.write_text(text)
        with pytest.raises(LakeError, match=r"_encoder\.json, the note of the encoder under way, cannot be read .* --encoder again"):
            needed_encoders(system.first.lake.root, system.first.settings)
    note.unlink()
