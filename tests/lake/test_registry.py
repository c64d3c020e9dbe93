"""The registry: the life of model versions, races and crashes of real processes, and Spark as a reader."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT

from xlclass.cli import main
from xlclass.errors import LakeError, ModelError
from xlclass.lake.registry import Registry, is_whole
from xlclass.lake.tables import _PROPERTIES, Lake
from xlclass.model.bundle import Bundle
from xlclass.model.calibration import Platt
from xlclass.model.chain import DecisionChain
from xlclass.schemas import MODELS

MANIFEST = {
    "training_fingerprint": "",
    "versions_read": {"videos": 3},
    "seed": 7,
    "metrics": {"loss": 0.5},
    "categories": ["music", "sports"],
    "languages": ["en"],
    "num_videos": {"train": 9},
    "encoder_id": "e",
    "dim": 8,
    "preparation_version": "p",
    "code_version": "0",
}
MAPPED = {"bigint": "long", "double": "double"}


class Head:
    """A head as far as it is saved."""

    def save(self, file):
        Path(file).write_bytes(b"head")


def bundle(name):
    chain = DecisionChain(Head(), Platt((1.0, 1.0), (0.0, 0.0)))
    return Bundle(chain, {**MANIFEST, "model_version": name, "training_fingerprint": f"{name}-print"})


def create_table(root):
    """The table `models` without Spark: the first entry of the log that Spark would write."""
    scalars = {"bigint": "long", "string": "string", "timestamp": "timestamp"}
    maps = {f"map<string, {kind}>": {"type": "map", "keyType": "string", "valueType": name, "valueContainsNull": True} for kind, name in MAPPED.items()}
    fields = [{"name": c.name, "type": (scalars | maps)[c.type], "nullable": not c.required, "metadata": {"comment": c.comment}} for c in MODELS.columns]
    configuration = {**_PROPERTIES, **{f"delta.constraints.{name}": check for name, check in MODELS.checks}}
    table = {"id": "0", "format": {"provider": "parquet", "options": {}}, "partitionColumns": [], "configuration": configuration}
    log = Path(root) / "models" / "_delta_log"
    log.mkdir(parents=True)
    entries = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 3}},
        {"metaData": {**table, "schemaString": json.dumps({"type": "struct", "fields": fields})}},
    ]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, entries)))


@pytest.fixture
def registry(tmp_path):
    create_table(tmp_path / "lake")
    return Registry(str(tmp_path / "lake"))


def lives(registry):
    return [(event.model_version, event.event) for event in registry.history().events]


def make_champion(registry, name):
    registry.make_champion(registry.history(), name, "r2", f"{name} is better")


def python(code, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
        text=True,
        **options,
    )


def test_register_makes_the_first_version_champion_and_later_ones_candidates(registry):
    first = registry.register(bundle("a"), "r1")
    registry.register(bundle("b"), "r1")
    assert lives(registry) == [("a", "candidate"), ("a", "champion"), ("b", "candidate")]
    assert registry.champion() == first
    assert registry.trained("b-print").name == "b"
    assert registry.trained("other") is None


def test_crown_retires_the_champion_in_a_table_that_spark_made_and_reads(spark, tmp_path):
    lake = Lake(spark, str(tmp_path))
    lake.ensure(MODELS)
    registry = Registry(lake.root)
    for name in "ab":
        registry.register(bundle(name), "r1")
    make_champion(registry, "b")
    rows = lake.read(MODELS).orderBy("event_number").collect()
    found = [(row["event_number"], row["model_version"], row["event"], row["run_id"], row["reason"]) for row in rows]
    assert found == [
        (1, "a", "candidate", "r1", None),
        (2, "a", "champion", "r1", "the lake's first"),
        (3, "b", "candidate", "r1", None),
        (4, "a", "retired", "r2", "for b: b is better"),
        (5, "b", "champion", "r2", "b is better"),
    ]
    assert rows[4]["metrics"] == {"loss": 0.5}
    assert rows[4]["versions_read"] == {"videos": 3}
    assert registry.champion().name == "b"
    with pytest.raises(Exception, match="validation check"):
        registry._write(registry.history(), [dataclasses.replace(registry.history().events[0], event="emperor")])


def test_crown_refuses_the_champion_and_unknown_names(registry):
    registry.register(bundle("a"), "r1")
    with pytest.raises(ModelError, match="a is the champion already, since event 2"):
        make_champion(registry, "a")
    with pytest.raises(ModelError, match="no model version 'x'; known here, newest first: a"):
        make_champion(registry, "x")


def test_crown_loses_to_any_event_since_the_history_that_it_knows(registry):
    for name in "abc":
        registry.register(bundle(name), "r1")
    known = registry.history()
    make_champion(registry, "b")
    with pytest.raises(ModelError, match=r"came first \(event 6: a became retired; b became champion\): nothing was changed"):
        registry.make_champion(known, "c", "r3", "late")
    assert lives(registry)[4:] == [("a", "retired"), ("b", "champion")]


def test_crown_is_not_beaten_by_a_commit_without_an_event(registry):
    for name in "ab":
        registry.register(bundle(name), "r1")
    known = registry.history()
    deltalake.DeltaTable(f"{registry.root}/models").optimize.compact()
    registry.make_champion(known, "b", "r2", "better")
    assert registry.champion().name == "b"
    assert lives(registry)[3:] == [("a", "retired"), ("b", "champion")]


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


def test_promote_of_two_processes_at_once_lets_one_win_and_the_other_leave_with_a_sentence(registry):
    for name in "abc":
        registry.register(bundle(name), "r1")
    racers = {name: python(WAITING, "models", "promote", name, "--force", "I say so", "--lake", registry.root) for name in "bc"}
    assert [racer.stdout.readline() for racer in racers.values()] == ["ready\n"] * 2  # both have read the same history
    for racer in racers.values():
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = {name: racer.communicate(timeout=60) for name, racer in racers.items()}
    codes = {name: racer.returncode for name, racer in racers.items()}
    assert sorted(codes.values()) == [0, 2], said
    winner, loser = sorted(codes, key=codes.get)
    assert lives(registry)[4:] == [("a", "retired"), (winner, "champion")]
    assert f"model version {winner} is the champion now: forced: I say so" in said[winner][0]
    assert said[loser][1].startswith(f"xlclass: another change of the models came first (event 6: a became retired; {winner} became champion)")
    assert len(said[loser][1].splitlines()) == 1


def test_rollback_twice_goes_back_twice_and_then_says_that_there_is_none(registry, capsys):
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
    assert "has no champion before the present one" in capsys.readouterr().err
    assert lives(registry)[-4:] == [("c", "retired"), ("b", "champion"), ("b", "retired"), ("a", "champion")]


@pytest.mark.parametrize(("line", "former"), [("", None), ("a", None), ("ab", "a"), ("abcb", "a"), ("abcba", None), ("abac", "a"), ("abca", "c"), ("abb", "a")])
def test_former_is_the_champion_before(line, former):
    from xlclass.lake.registry import Event, History

    events = tuple(Event(i, name, "champion", "", {}, 0, {}, "", "", None) for i, name in enumerate(line, 1))
    assert History(events, 0).former == former


DYING = """
import os, signal, sys
from test_registry import Head, bundle
from xlclass.lake.registry import Registry
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr({"folder": Head, "event": Registry}[sys.argv[1]], {"folder": "save", "event": "_write"}[sys.argv[1]], die)
Registry(sys.argv[2]).register(bundle("b"), "r2")
"""


@pytest.mark.parametrize("moment", ["folder", "event"])
def test_a_kill_before_the_event_leaves_the_champion_and_the_next_training_heals_it(registry, moment):
    champion = registry.register(bundle("a"), "r1")
    killed = python(DYING, moment, registry.root)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    folder = Path(registry.root) / "model_versions" / "b"
    assert folder.exists() == (moment == "event")
    assert registry.champion() == champion
    assert registry.trained("b-print") is None
    with pytest.raises(ModelError, match="no model version 'b'"):
        make_champion(registry, "b")
    healed = registry.register(bundle("b"), "r3")
    assert is_whole(healed)
    assert lives(registry) == [("a", "candidate"), ("a", "champion"), ("b", "candidate")]


@pytest.mark.parametrize("damage", ["head.keras", "manifest.json", "all"])
def test_crown_refuses_a_folder_that_is_not_whole(registry, damage):
    champion, half = (registry.register(bundle(name), "r1") for name in "ab")
    if damage == "all":
        shutil.rmtree(half.folder)
    else:
        (Path(half.folder) / damage).write_bytes(b"half")
    with pytest.raises(ModelError, match="there is no model version in" if damage == "all" else "is damaged"):
        make_champion(registry, "b")
    assert registry.champion() == champion


def test_register_keeps_a_whole_version_and_mends_a_damaged_champion_in_its_place(registry):
    first = registry.register(bundle("a"), "r1")
    assert registry.register(dataclasses.replace(bundle("a"), chain=None), "r2") == first  # another run was faster: nothing is saved
    (Path(first.folder) / "head.keras").unlink()
    assert is_whole(registry.register(bundle("a"), "r3"))
    assert is_whole(registry.champion())
    assert lives(registry) == [("a", "candidate"), ("a", "champion")] * 2


def test_events_are_added_to_a_table_of_before_the_reason(spark, tmp_path):
    lake = Lake(spark, str(tmp_path))
    lake.ensure(dataclasses.replace(MODELS, columns=MODELS.columns[:-1]))
    registry = Registry(lake.root)
    registry.register(bundle("a"), "r1")
    assert lake.read(MODELS).columns == MODELS.names
    assert registry.history().champion.reason == "the lake's first"


def test_register_without_the_table_says_what_to_run(tmp_path):
    with pytest.raises(LakeError, match="has no table models: run the pipeline"):
        Registry(str(tmp_path)).register(bundle("a"), "r1")


STARTED = """
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
    for words in (["list"], ["show", "b"]):
        command = python(STARTED, "models", *words, "--lake", registry.root)
        said, wrong = command.communicate(timeout=60)
        assert command.returncode == 0, wrong
        table = said[said.index("event  when") :].splitlines()
        numbers = [line.split()[0] for line in table[1:]]
        assert numbers == (["5", "4", "3", "2", "1"] if words == ["list"] else ["5", "3"])
        assert "champion" in table[1]
        assert r"better\x1b[2J\nnews" in table[1]
        assert "loss 0.5" in said
