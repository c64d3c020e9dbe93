"""The tables `latest_*` hold the champion's newest evaluation only, and are written only if it is a new one."""

import pytest
from pyspark.sql import functions as F

from xlclass.evaluation.evaluate import evaluate
from xlclass.lake.evaluations import full_table, publish_latest
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
        rows, expected = run.lake.read(latest), run.lake.read(full_table(latest)).where(f"evaluation_id = '{evaluation_id}'")
        assert rows.count() > 0
        assert sorted(map(str, rows.collect())) == sorted(map(str, expected.collect()))


def test_evaluate_again_adds_no_version(evaluated):
    run, evaluation_id, version = evaluated
    before = _state(run.lake)
    assert evaluate(run, version) == evaluation_id
    assert _state(run.lake) == before


def test_publish_latest_ignores_a_version_that_is_not_the_champion(evaluated):
    run, _, _ = evaluated
    before = _state(run.lake)
    publish_latest(run.lake, "another evaluation", "another version")
    assert _state(run.lake) == before


def test_evaluate_replaces_the_published_rows_of_an_older_evaluation(evaluated):
    """Deleted predictions make another evaluation; the older one stays in the table of all evaluations."""
    run, evaluation_id, version = evaluated
    run.lake.delete_where(PREDICTIONS, F.col("language") == "de")
    another = evaluate(run, version)
    assert another != evaluation_id
    for latest in LATEST:
        rows = run.lake.read(latest)
        assert [row[0] for row in rows.select("evaluation_id").distinct().collect()] == [another]
        assert [row[0] for row in rows.where("language = 'de'").select("language").collect()] == []
    assert run.lake.read(LANGUAGE_CONFIDENCE).select("evaluation_id").distinct().count() == 2
    assert {delta_version for delta_version, _ in _state(run.lake).values()} == {2}  # created, filled, replaced


def test_publish_latest_does_not_write_an_empty_table_again(evaluated):
    """A catalogue without labels has no rows of accuracy, in any evaluation."""
    run, _, version = evaluated
    publish_latest(run.lake, "no rows at all", version.name)
    before = _state(run.lake)
    assert [rows for _, rows in before.values()] == [[]] * 3
    publish_latest(run.lake, "no rows at all", version.name)
    assert _state(run.lake) == before
