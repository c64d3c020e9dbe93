"""The events of model versions: their order, and what happens when two processes add some at once."""

import dataclasses
from datetime import UTC, datetime

import deltalake
import pytest
from deltalake.exceptions import CommitFailedError
from model_samples import create_models_table

from xlclass.errors import LakeError, ModelError
from xlclass.lake import model_events
from xlclass.lake.model_events import Event, History, append_events, read_history
from xlclass.lake.tables import Lake
from xlclass.schemas import MODELS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _event(name, event="candidate", number=0, reason=None):
    return Event(number, name, event, f"{name}-print", {"videos": 3}, 7, {"loss": 0.5}, "d", "r1", NOW, reason)


def _states(root):
    return [(event.event_number, event.model_version, event.event) for event in read_history(root).events]


@pytest.fixture
def root(tmp_path):
    """A lake with an empty table `models`."""
    create_models_table(tmp_path)
    return str(tmp_path)


def test_previous_champion_is_the_one_that_a_rollback_brings_back():
    cases = {"": None, "a": None, "ab": "a", "abcb": "a", "abcba": None, "abac": "a", "abca": "c", "abb": "a"}
    histories = {champions: History(tuple(_event(name, "champion", number) for number, name in enumerate(champions, 1)), 0) for champions in cases}
    assert {champions: history.previous_champion for champions, history in histories.items()} == cases


def test_newest_event_is_the_present_state_and_an_unknown_name_is_refused():
    history = History((_event("a", number=1), _event("b", number=2), _event("a", "champion", 3)), 0)
    assert history.newest_event("a").event == "champion"
    assert history.newest_event("b").event == "candidate"
    with pytest.raises(ModelError, match="the lake has no model version 'x'; it has, newest first: a, b$"):
        history.newest_event("x")
    with pytest.raises(ModelError, match="newest first: none"):
        History((), -1).newest_event("x")


def test_append_events_numbers_events_in_their_order(root):
    append_events(root, read_history(root), [_event("a"), _event("a", "champion", reason="first")])
    append_events(root, read_history(root), [_event("b")])
    assert read_history(root).events == (_event("a", number=1), _event("a", "champion", 2, "first"), _event("b", number=3))


def test_append_events_fails_if_another_event_came_first(root):
    old = read_history(root)
    append_events(root, old, [_event("a"), _event("a", "champion")])
    with pytest.raises(ModelError, match=r"changed the model versions first \(event 2: a became candidate; a became champion\), so nothing was changed"):
        append_events(root, old, [_event("b")])
    assert _states(root) == [(1, "a", "candidate"), (2, "a", "champion")]


def test_append_events_is_retried_after_a_commit_without_an_event(root):
    for name in "ab":
        append_events(root, read_history(root), [_event(name)])
    old = read_history(root)
    deltalake.DeltaTable(f"{root}/models").optimize.compact()
    append_events(root, old, [_event("c")])
    assert _states(root) == [(1, "a", "candidate"), (2, "b", "candidate"), (3, "c", "candidate")]


def test_append_events_gives_up_if_commits_without_an_event_never_stop(root, monkeypatch):
    def lose(*_, **__):
        raise CommitFailedError("another commit was faster")

    monkeypatch.setattr(model_events, "write_deltalake", lose)
    with pytest.raises(LakeError, match="models got a commit without an event during each of 4 attempts .* so nothing was changed"):
        append_events(root, read_history(root), [_event("a")])
    assert _states(root) == []


def test_append_events_without_the_table_names_the_job_that_creates_it(tmp_path):
    with pytest.raises(LakeError, match="has no table models: run the pipeline or jobs/train.py first"):
        append_events(str(tmp_path), read_history(str(tmp_path)), [_event("a")])


def test_append_events_writes_a_table_that_spark_creates_and_reads_under_its_constraints(spark, tmp_path):
    lake = Lake(spark, str(tmp_path))
    lake.ensure(MODELS)
    append_events(lake.root, read_history(lake.root), [_event("a"), _event("a", "champion", reason="first")])
    rows = lake.read(MODELS).orderBy("event_number").collect()
    assert [(row["event_number"], row["model_version"], row["event"], row["run_id"], row["reason"]) for row in rows] == [
        (1, "a", "candidate", "r1", None),
        (2, "a", "champion", "r1", "first"),
    ]
    assert (rows[1]["metrics"], rows[1]["versions_read"]) == ({"loss": 0.5}, {"videos": 3})
    with pytest.raises(Exception, match="validation check"):
        append_events(lake.root, read_history(lake.root), [_event("a", "emperor")])


def test_read_history_refuses_a_table_of_another_contract(spark, tmp_path):
    lake = Lake(spark, str(tmp_path))
    lake.ensure(dataclasses.replace(MODELS, columns=MODELS.columns[:-1]))
    with pytest.raises(LakeError, match=r"the table .*models is of another xlclass: it lacks the columns reason; make the lake anew"):
        read_history(lake.root)
