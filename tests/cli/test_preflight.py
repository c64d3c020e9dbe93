"""`xlclass doctor`: what is wrong is said with what to do, and what rests on it is not tried. The whole of it runs in tests/jobs."""

import json

import pytest
from conftest import ROOT, SETTINGS

from xlclass.cli import main, preflight
from xlclass.cli.preflight import Finding, examine


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """Without Java there is no session, so these tests need no Spark."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))


def _findings(conf, lake=None):
    return {finding.name: finding for finding in examine(str(conf), lake and str(lake))}


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS.format(encoder="no/such", taxonomy=ROOT / "conf" / "taxonomy.toml"), encoding="utf-8")
    return file


def test_examine_finds_what_is_wrong_and_leaves_what_rests_on_it(no_java, settings, tmp_path):
    found = _findings(settings)
    assert found["java"].state == "wrong"
    assert f"there is no Java in JAVA_HOME ({tmp_path}), Spark needs 17 or newer: install it" in found["java"].text
    assert found["encoder"].state == "wrong"
    assert "there is no SavedModel in" in found["encoder"].text
    assert found["session"] == Finding("session", "skipped", "not tried, as it rests on: java")
    assert found["encoding"] == Finding("encoding", "skipped", "not tried, as it rests on: encoder, session")
    assert {name for name in found if found[name].state == "ok"} == {"packages", "jars", "settings", "lake", "clock", "disk"}
    assert found["lake"].text == f"is not there yet and can be made under {tmp_path}"
    assert list(tmp_path.iterdir()) == [settings]


def test_examine_says_where_a_lake_cannot_be_written(no_java, settings):
    found = _findings(settings, "/proc/xlclass/lake")
    assert found["lake"].state == "wrong"
    assert found["lake"].text.startswith("/proc cannot be written (")
    assert found["clock"].state == "skipped"


def test_examine_names_packages_of_another_version(no_java, settings, monkeypatch, tmp_path):
    (tmp_path / "constraints.txt").write_text("# comment\nnumpy==0.1\nnot-installed==1\n")
    monkeypatch.setattr(preflight, "package_file", str(tmp_path / "xlclass" / "__init__.py"))
    found = _findings(settings)["packages"]
    assert found.state == "wrong"
    assert found.text.startswith("numpy is ")
    assert "==0.1 is needed: run `pip install -c constraints.txt xlclass`" in found.text


def test_examine_says_when_a_disk_is_full(no_java, settings, monkeypatch):
    monkeypatch.setattr(preflight, "_MIN_FREE", 1 << 60)
    found = _findings(settings)["disk"]
    assert found.state == "wrong"
    assert "are free for lake" in found.text


def test_examine_goes_on_after_a_defect(no_java, settings, monkeypatch):
    monkeypatch.setattr(preflight, "load_taxonomy", lambda file: 1 / 0)
    found = _findings(settings)
    assert found["settings"].text == "ZeroDivisionError: division by zero"
    assert found["jars"].state == "ok"


def test_doctor_prints_a_line_a_check_and_exits_with_2(no_java, capsys):
    assert main.main(["doctor", "--conf", "none.toml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [["WRONG", "java"], ["ok", "packages"], ["ok", "jars"], ["WRONG", "settings"]]
    assert lines[4].split() == ["-", "lake", "not", "tried,", "as", "it", "rests", "on:", "settings"]


def test_doctor_prints_json(no_java, capsys):
    assert main.main(["doctor", "--conf", "none.toml", "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["state"] for line in lines} == {"ok", "wrong", "skipped"}
