"""The registry: champions and their folders, races and crashes of real processes, `xlclass models` without Spark."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from model_samples import bundle, create_models_table

from xlclass.cli import main
from xlclass.errors import LakeError, ModelError
from xlclass.lake.registry import Registry, is_whole


@pytest.fixture
def registry(tmp_path):
    create_models_table(tmp_path / "lake")
    return Registry(str(tmp_path / "lake"))


def events_of(registry):
    return [(event.model_version, event.event) for event in registry.history().events]


def make_champion(registry, name):
    registry.make_champion(registry.history(), name, "r2", f"{name} is better")


def python(code, *arguments):
    """A Python process that runs `code`, with pipes to it."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_register_makes_the_first_version_champion_and_later_ones_candidates(registry):
    first = registry.register(bundle("a"), "r1")
    registry.register(bundle("b"), "r1")
    assert events_of(registry) == [("a", "candidate"), ("a", "champion"), ("b", "candidate")]
    assert registry.history().champion.reason == "the first model version of the lake"
    assert registry.champion() == first
    assert registry.trained_from("b-print").name == "b"
    assert registry.trained_from("other") is None


def test_make_champion_retires_the_present_one(registry):
    for name in "ab":
        registry.register(bundle(name), "r1")
    make_champion(registry, "b")
    events = [(event.event_number, event.model_version, event.event, event.run_id, event.reason) for event in registry.history().events[3:]]
    assert events == [(4, "a", "retired", "r2", "replaced by b: b is better"), (5, "b", "champion", "r2", "b is better")]
    assert registry.champion().name == "b"


def test_make_champion_refuses_the_present_champion_and_unknown_names(registry):
    registry.register(bundle("a"), "r1")
    with pytest.raises(ModelError, match="a is already the champion, since event 2: nothing was changed"):
        make_champion(registry, "a")
    with pytest.raises(ModelError, match="no model version 'x'; it has, newest first: a"):
        make_champion(registry, "x")
    assert events_of(registry) == [("a", "candidate"), ("a", "champion")]


def test_make_champion_fails_if_an_event_came_after_the_history_that_it_was_decided_on(registry):
    for name in "abc":
        registry.register(bundle(name), "r1")
    old = registry.history()
    make_champion(registry, "b")
    with pytest.raises(ModelError, match=r"first \(event 6: a became retired; b became champion\), so nothing was changed"):
        registry.make_champion(old, "c", "r3", "late")
    assert events_of(registry)[4:] == [("a", "retired"), ("b", "champion")]


WAITING = """
import sys
from xlclass.cli import main
from xlclass.lake.registry import Registry
make_champion = Registry.make_champion
def waiting(*arguments):
    print("ready", flush=True)
    sys.stdin.readline()
    make_champion(*arguments)
Registry.make_champion = waiting
sys.exit(main.main(sys.argv[1:]))
"""


def test_promote_of_two_processes_at_once_succeeds_in_one_and_ends_the_other_with_a_sentence(registry):
    for name in "abc":
        registry.register(bundle(name), "r1")
    racers = {name: python(WAITING, "models", "promote", name, "--force", "a drill", "--lake", registry.root) for name in "bc"}
    assert [racer.stdout.readline() for racer in racers.values()] == ["ready\n"] * 2  # both have read the same history
    for racer in racers.values():
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = {name: racer.communicate(timeout=60) for name, racer in racers.items()}
    codes = {name: racer.returncode for name, racer in racers.items()}
    assert sorted(codes.values()) == [0, 2], outputs
    winner, loser = sorted(codes, key=codes.get)
    assert events_of(registry)[4:] == [("a", "retired"), (winner, "champion")]
    assert f"model version {winner} is the champion now: forced: a drill" in outputs[winner][0]
    errors = outputs[loser][1]
    assert errors.startswith(f"xlclass: another process changed the model versions first (event 6: a became retired; {winner} became champion)")
    assert len(errors.splitlines()) == 1


def test_rollback_twice_goes_back_two_champions_and_a_third_is_refused(registry, capsys):
    for name in "abc":
        registry.register(bundle(name), "r1")
    make_champion(registry, "b")
    make_champion(registry, "c")
    assert main.main(["models", "rollback", "--lake", registry.root, "--reason", "c\x1b[2J is bad"]) == 0
    assert "model version b is the champion again, c is retired" in capsys.readouterr().out
    assert registry.history().events[-1].reason == "rolled back from c: c\x1b[2J is bad"
    assert main.main(["models", "rollback", "--lake", registry.root]) == 0
    assert registry.champion().name == "a"
    assert main.main(["models", "rollback", "--lake", registry.root]) == 2
    assert "has no earlier champion to roll back to" in capsys.readouterr().err
    assert events_of(registry)[-4:] == [("c", "retired"), ("b", "champion"), ("b", "retired"), ("a", "champion")]


DYING = """
import os, signal, sys
import model_samples
from xlclass.lake import registry
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "folder":
    model_samples.FakeHead.save = die
else:
    registry.append_events = die
registry.Registry(sys.argv[2]).register(model_samples.bundle("b"), "r2")
"""


@pytest.mark.parametrize("moment", ["folder", "event"])
def test_register_killed_before_its_event_changes_nothing_and_the_next_training_repairs_it(registry, moment):
    champion = registry.register(bundle("a"), "r1")
    killed = python(DYING, moment, registry.root)
    _, errors = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, errors
    folder = Path(registry.root) / "model_versions" / "b"
    assert folder.exists() == (moment == "event")
    assert registry.champion() == champion
    assert registry.trained_from("b-print") is None
    with pytest.raises(ModelError, match="no model version 'b'"):
        make_champion(registry, "b")
    repaired = registry.register(bundle("b"), "r3")
    assert is_whole(repaired)
    assert events_of(registry) == [("a", "candidate"), ("a", "champion"), ("b", "candidate")]


@pytest.mark.parametrize("damage", ["head.keras", "manifest.json", "all"])
def test_make_champion_refuses_a_folder_that_is_not_whole(registry, damage):
    champion, half = (registry.register(bundle(name), "r1") for name in "ab")
    if damage == "all":
        shutil.rmtree(half.folder)
    else:
        (Path(half.folder) / damage).write_bytes(b"half")
    assert is_whole(champion)
    assert not is_whole(half)
    with pytest.raises(ModelError, match="there is no model version in" if damage == "all" else "is damaged"):
        make_champion(registry, "b")
    assert registry.champion() == champion


def test_register_keeps_a_whole_version_and_repairs_a_damaged_champion_which_stays_champion(registry):
    first = registry.register(bundle("a"), "r1")
    assert registry.register(dataclasses.replace(bundle("a"), chain=None), "r2") == first  # another run was faster: nothing is saved
    (Path(first.folder) / "head.keras").unlink()
    assert is_whole(registry.register(bundle("a"), "r3"))
    assert is_whole(registry.champion())
    assert events_of(registry) == [("a", "candidate"), ("a", "champion")] * 2
    assert registry.history().champion.reason == "trained again, because its folder was damaged"


def test_register_without_the_table_names_the_job_that_creates_it(tmp_path):
    with pytest.raises(LakeError, match="has no table models: run the pipeline"):
        Registry(str(tmp_path)).register(bundle("a"), "r1")


WITHOUT_SPARK = """
import sys
from xlclass.cli import main
code = main.main(sys.argv[1:])
assert not {"pyspark", "tensorflow"} & set(sys.modules)
sys.exit(code)
"""


def test_list_and_show_print_events_newest_first_without_spark_or_terminal_commands(registry):
    for name in "ab":
        registry.register(bundle(name), "r1")
    registry.make_champion(registry.history(), "b", "by hand", "better\x1b[2J\nnews")
    for arguments, numbers in ((["list"], ["5", "4", "3", "2", "1"]), (["show", "b"], ["5", "3"])):
        command = python(WITHOUT_SPARK, "models", *arguments, "--lake", registry.root)
        output, errors = command.communicate(timeout=60)
        assert command.returncode == 0, errors
        table = output[output.index("event  when") :].splitlines()
        assert [line.split()[0] for line in table[1:]] == numbers
        assert "champion" in table[1]
        assert r"better\x1b[2J\nnews" in table[1]
        assert "loss 0.5" in output
