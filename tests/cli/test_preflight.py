"""`xlclass doctor`: each problem comes with what to do, and checks that need a failed one are skipped. tests/jobs runs all checks."""

import json

import pytest
from conftest import ROOT, SETTINGS

from xlclass.cli import main, preflight
from xlclass.cli.preflight import Finding, run_checks


@pytest.fixture
def no_java(monkeypatch, tmp_path):
    """Without Java no session starts, so these tests need no Spark."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))


def _findings(conf, lake=None):
    return {finding.name: finding for finding in run_checks(str(conf), lake and str(lake))}


@pytest.fixture
def settings(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(SETTINGS.format(encoder="no/such", taxonomy=ROOT / "conf" / "taxonomy.toml"), encoding="utf-8")
    return file


def test_run_checks_reports_problems_and_skips_the_checks_that_need_them(no_java, settings, tmp_path):
    findings = _findings(settings)
    assert findings["java"].state == "wrong"
    assert f"there is no Java in JAVA_HOME ({tmp_path}), Spark needs 17 or newer: install it" in findings["java"].text
    assert findings["encoder"].state == "wrong"
    assert "there is no SavedModel in" in findings["encoder"].text
    assert findings["session"] == Finding("session", "skipped", "not checked, it needs: java")
    assert findings["encoding"] == Finding("encoding", "skipped", "not checked, it needs: encoder, session")
    assert {name for name in findings if findings[name].state == "ok"} == {"packages", "jars", "settings", "lake", "clock", "disk"}
    assert findings["lake"].text == f"{tmp_path / 'lake'} does not exist yet, {tmp_path} is writable"
    assert list(tmp_path.iterdir()) == [settings]


def test_run_checks_names_a_folder_that_is_not_writable(no_java, settings):
    findings = _findings(settings, "/proc/xlclass/lake")
    assert findings["lake"].state == "wrong"
    assert findings["lake"].text.startswith("/proc cannot be written (")
    assert findings["clock"].state == "skipped"


def test_run_checks_names_packages_of_another_version(no_java, settings, monkeypatch, tmp_path):
    (tmp_path / "constraints.txt").write_text("# comment\nnumpy==0.1\nnot-installed==1\n")
    monkeypatch.setattr(preflight, "package_file", str(tmp_path / "xlclass" / "__init__.py"))
    finding = _findings(settings)["packages"]
    assert finding.state == "wrong"
    assert finding.text.startswith("numpy is ")
    assert "==0.1 is needed: run `pip install -c constraints.txt xlclass`" in finding.text


def test_run_checks_reports_a_full_disk(no_java, settings, monkeypatch):
    monkeypatch.setattr(preflight, "_MIN_FREE", 1 << 60)
    finding = _findings(settings)["disk"]
    assert finding.state == "wrong"
    assert "free for lake" in finding.text


def test_run_checks_continues_after_a_defect(no_java, settings, monkeypatch):
    monkeypatch.setattr(preflight, "load_taxonomy", lambda file: 1 / 0)
    findings = _findings(settings)
    assert findings["settings"].text == "ZeroDivisionError: division by zero"
    assert findings["jars"].state == "ok"


def test_doctor_prints_a_line_per_check_and_returns_2_for_a_problem(no_java, capsys):
    assert main.main(["doctor", "--conf", "none.toml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [["WRONG", "java"], ["ok", "packages"], ["ok", "jars"], ["WRONG", "settings"]]
    assert lines[4].split() == ["-", "lake", "not", "checked,", "it", "needs:", "settings"]


def test_doctor_prints_json(no_java, capsys):
    assert main.main(["doctor", "--conf", "none.toml", "--json"]) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["state"] for line in lines} == {"ok", "wrong", "skipped"}
