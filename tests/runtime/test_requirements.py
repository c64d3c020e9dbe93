"""Delta's jars and Java."""

import pytest
from refusals import message_of

from xlclass.errors import MachineError
from xlclass.runtime import requirements


def test_install_jars_keeps_jars_with_the_expected_digest():
    jars = requirements.install_jars()
    before = [jar.stat().st_mtime_ns for jar in jars]
    assert [jar.name for jar in jars] == ["delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
    assert [jar.stat().st_mtime_ns for jar in requirements.install_jars()] == before


def test_install_jars_refuses_a_jar_with_another_digest(monkeypatch):
    before = [(jar, jar.read_bytes()) for jar in requirements.install_jars()]
    monkeypatch.setattr(requirements, "JARS", {"delta-storage": "0" * 64})
    with pytest.raises(MachineError, match=r"fetched with sha256 .* expected 000000000000: it is not used|cannot fetch io\.delta:delta-storage"):
        requirements.install_jars()
    assert all(jar.read_bytes() == contents for jar, contents in before)


def test_install_jars_names_a_jar_that_cannot_be_fetched(monkeypatch):
    monkeypatch.setattr(requirements, "JARS", {"no-such-artifact": "0" * 64})
    with pytest.raises(MachineError, match=r"cannot fetch io\.delta:no-such-artifact:4\.4\.0 from Maven Central .*: check the network, or put"):
        requirements.install_jars()


def test_find_java_names_a_java_home_without_java(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MachineError, match=rf"there is no Java in JAVA_HOME \({tmp_path}\)"):
        requirements.find_java()


def test_check_machine_parses_every_format_of_javas_version(monkeypatch, tmp_path):
    outputs = {'openjdk version "17.0.9"': True, 'java version "21"': True, 'java version "1.8.0_402"': False, "nonsense": False}
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    messages = {}
    for output in outputs:
        java.write_text(f"#!/bin/sh\necho '{output}' >&2\n")
        java.chmod(0o755)
        messages[output] = message_of(requirements.check_machine)
    assert {output: message == "" for output, message in messages.items()} == outputs
    assert all("Spark needs 17 or newer" in message for message in messages.values() if message)


def test_missing_jars_searches_the_spark_of_the_jobs(monkeypatch, tmp_path):
    jars = requirements.install_jars()[0].parent
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert requirements.missing_jars() == list(requirements.JARS)
    (tmp_path / "jars").symlink_to(jars)
    assert requirements.missing_jars() == []
