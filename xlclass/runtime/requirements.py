"""Requirements of a machine: Java and Python's venv module before the installation, and Delta's jars after it.

`python3 -m xlclass.runtime.requirements` runs before any package is installed, so this module imports the standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from xlclass.errors import MachineError
from xlclass.runtime.files import sha256_of

MIN_JAVA = 17
DELTA = "4.4.0"
JARS = {  # artifact of the group io.delta on Maven Central: sha256 of its jar
    "delta-spark_4.2_2.13": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "delta-storage": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}


def check_machine() -> None:
    """Checks that xlclass can be installed on this machine.

    Raises:
        MachineError: Python's venv module or Java is missing, or Java is too old.
    """
    if importlib.util.find_spec("ensurepip") is None:
        raise MachineError("this Python cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)")
    require_java()


def require_java() -> str:
    """Version and path of the Java that Spark uses, as a text.

    Raises:
        MachineError: Java is missing or too old.
    """
    java = find_java()
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(?:1\.)?(\d+)', output)
    if not match or int(match[1]) < MIN_JAVA:
        raise MachineError(f"{java} is Java {match[1] if match else 'of an unknown version'}, Spark needs {MIN_JAVA} or newer: {_JAVA_HINT}")
    return f"Java {match[1]} ({java})"


_JAVA_HINT = "install it (Debian: apt-get install openjdk-17-jre-headless) and set JAVA_HOME to it if another one comes first"


def find_java() -> str:
    """Path of the Java that Spark uses.

    Raises:
        MachineError: Java is missing.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")
    if java is None:
        raise MachineError(f"there is no Java{f' in JAVA_HOME ({home})' if home else ''}, Spark needs {MIN_JAVA} or newer: {_JAVA_HINT}")
    return java


def install_jars() -> list[Path]:
    """Delta's jars in Spark's folder of jars; Spark's resolver fetches the missing ones from Maven Central.

    Raises:
        MachineError: pyspark is not installed, or a jar cannot be fetched or has another sha256.
    """
    for artifact in missing_jars():
        _fetch(artifact, _jar(artifact), JARS[artifact])
    return [_jar(artifact) for artifact in JARS]


def missing_jars() -> list[str]:
    """Artifacts whose jar is not in Spark's folder of jars, or has another digest.

    Raises:
        MachineError: pyspark is not installed.
    """
    return [artifact for artifact, sha256 in JARS.items() if not (_jar(artifact).is_file() and sha256_of(_jar(artifact)) == sha256)]


def _jar(artifact: str) -> Path:
    return _spark_home() / "jars" / f"{artifact}-{DELTA}.jar"


def _spark_home() -> Path:
    """The Spark of the jobs: SPARK_HOME, which spark-submit sets (pyspark is then in an archive), else the package pyspark."""
    home = os.environ.get("SPARK_HOME")
    if home:
        return Path(home)
    package = importlib.util.find_spec("pyspark")
    if package is None or not package.submodule_search_locations:
        raise MachineError("pyspark is not installed: run `pip install xlclass`")
    return Path(package.submodule_search_locations[0])


def _fetch(artifact: str, jar: Path, sha256: str) -> None:
    """Fetches the jar, checks its digest and renames it into place."""
    ivy = next(jar.parent.glob("ivy-*.jar"), None)
    if ivy is None:
        raise MachineError(f"pyspark has no ivy jar in {jar.parent}: reinstall pyspark")
    with tempfile.TemporaryDirectory(dir=jar.parent, prefix=".fetch-") as draft:
        command = [
            find_java(), "-cp", str(ivy), "org.apache.ivy.Main", "-cache", f"{draft}/cache", "-dependency", "io.delta", artifact, DELTA,
            "-notransitive", "-types", "jar", "-retrieve", f"{draft}/[artifact]-[revision].[ext]", "-warn",
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = Path(draft) / jar.name
        if not fetched.is_file():
            raise MachineError(
                f"cannot fetch io.delta:{artifact}:{DELTA} from Maven Central ({_last_line(result.stdout + result.stderr)}): check the network, "
                f"or put {jar.name} into {jar.parent} yourself"
            )
        if sha256_of(fetched) != sha256:
            raise MachineError(f"io.delta:{artifact}:{DELTA} was fetched with sha256 {sha256_of(fetched)[:12]}, expected {sha256[:12]}: it is not used")
        fetched.replace(jar)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")


if __name__ == "__main__":
    try:
        check_machine()
    except MachineError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
