"""Jars and Java."""

import pytest

from xlclass.errors import MachineError
from xlclass.runtime import requirements


def test_install_jars_keeps_jars_of_the_right_digest():
    jars = requirements.install_jars()
    before = [jar.stat().st_mtime_ns for jar in jars]
    assert [jar.name for jar in jars] == ["delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"]
    assert [jar.stat().st_mtime_ns for jar in requirements.install_jars()] == before


def test_install_jars_uses_no_jar_of_another_digest(monkeypatch):
    before = [(jar, jar.read_bytes()) for jar in requirements.install_jars()]
    monkeypatch.setattr(requirements, "JARS", {"delta-storage": "0" * 64})
    with pytest.raises(MachineError, match=r"fetched with sha256 .* expected 000000000000: it is not used|cannot fetch io\.delta:delta-storage"):
        requirements.install_jars()
    assert all(jar.read_bytes() == contents for jar, contents in before)


def test_install_jars_says_what_cannot_be_fetched(monkeypatch):
    monkeypatch.setattr(requirements, "JARS", {"no-such-artifact": "0" * 64})
    with pytest.raises(MachineError, match=r"cannot fetch io\.delta:no-such-artifact:4\.4\.0 from Maven Central .*: check the network, or put"):
        requirements.install_jars()


def test_find_java_names_the_java_home_without_one(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MachineError, match=rf"there is no Java in JAVA_HOME \({tmp_path}\)"):
        requirements.find_java()


@pytest.mark.parametrize(
    ("said", "fits"), [('openjdk version "17.0.9"', True), ('java version "21"', True), ('java version "1.8.0_402"', False), ("nonsense", False)]
)
def test_check_machine_reads_every_form_of_javas_version(monkeypatch, tmp_path, said, fits):
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if fits:
        requirements.check_machine()
    else:
        with pytest.raises(MachineError, match="Spark needs 17 or newer"):
            requirements.check_machine()


def test_jars_are_looked_for_in_the_spark_that_jobs_run_on(monkeypatch, tmp_path):
    own = requirements.install_jars()[0].parent
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    assert requirements.lacking_jars() == list(requirements.JARS)
    (tmp_path / "jars").symlink_to(own)
    assert requirements.lacking_jars() == []
