"""latest_*: the champion's newest evaluation and nothing else, rewritten only when it is another."""

import pytest

from xlclass.evaluation.evaluate import evaluate
from xlclass.lake.evaluations import original, publish_latest
from xlclass.schemas import LANGUAGE_CONFIDENCE, LATEST, PREDICTIONS


@pytest.fixture(scope="module")
def evaluated(evaluated_copy, tmp_path_factory):
    """A run whose lake has an evaluation of its champion, the evaluation's id, and the champion."""
    run, version, evaluation_id = evaluated_copy(tmp_path_factory.mktemp("evaluated") / "copy")
    return run, evaluation_id, version


def _state(lake):
    return {table.name: (lake.version(table), sorted(map(str, lake.read(table).collect()))) for table in LATEST}


def test_evaluate_publishes_the_rows_of_the_evaluation(evaluated):
    run, evaluation_id, _ = evaluated
    for latest in LATEST:
        rows, expected = run.lake.read(latest), run.lake.read(original(latest)).where(f"evaluation_id = '{evaluation_id}'")
        assert rows.count() > 0
        assert sorted(map(str, rows.collect())) == sorted(map(str, expected.collect()))


def test_evaluate_again_adds_no_version(evaluated):
    run, evaluation_id, version = evaluated
    before = _state(run.lake)
    assert evaluate(run, version) == evaluation_id
    assert _state(run.lake) == before


def test_publish_latest_leaves_a_version_that_is_no_champion_out(evaluated):
    run, _, _ = evaluated
    before = _state(run.lake)
    publish_latest(run.lake, "another evaluation", "another version")
    assert _state(run.lake) == before


def test_evaluate_replaces_what_an_older_evaluation_published(evaluated):
    """Predictions that go make another evaluation; the one before stays in the table of all."""
    run, evaluation_id, version = evaluated
    run.lake.delete(PREDICTIONS, run.lake.read(PREDICTIONS).where("language = 'de'").select("video_id").localCheckpoint(), "gone")
    another = evaluate(run, version)
    assert another != evaluation_id
    for latest in LATEST:
        rows = run.lake.read(latest)
        assert [row[0] for row in rows.select("evaluation_id").distinct().collect()] == [another]
        assert [row[0] for row in rows.where("language = 'de'").select("language").collect()] == []
    assert run.lake.read(LANGUAGE_CONFIDENCE).select("evaluation_id").distinct().count() == 2
    assert {found[0] for found in _state(run.lake).values()} == {2}  # made, filled, replaced


def test_publish_latest_leaves_tables_without_rows_alone(evaluated):
    """A catalogue without labels has no accuracy: an empty table is no reason to write it again."""
    run, _, version = evaluated
    publish_latest(run.lake, "no rows at all", version.name)
    before = _state(run.lake)
    assert [rows for _, rows in before.values()] == [[]] * 3
    publish_latest(run.lake, "no rows at all", version.name)
    assert _state(run.lake) == before
