"""conf/deploy/systemd: the units, checked by systemd itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FOLDER = ROOT / "conf" / "deploy" / "systemd"
pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze (Debian: apt-get install systemd)")


@pytest.fixture
def units(tmp_path):
    """The folder of the units, with this environment's programs in place of those in /opt/xlclass."""
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8").replace("/opt/xlclass/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run(["systemd-analyze", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_systemd_accepts_the_units(units):
    done = analyze("verify", "--man=no", "./xlclass-backfill.service", "./xlclass-backfill.timer", "./xlclass-alert@x.service", cwd=units)
    assert (done.returncode, done.stderr) == (0, "")


def test_service_drops_nearly_all_rights(units):
    done = analyze("security", "--offline=true", "--threshold=25", "--json=short", "./xlclass-backfill.service", cwd=units)
    assert done.returncode == 0, [row["description"] for row in json.loads(done.stdout) if row["exposure"]]


def test_service_retries_neither_a_users_mistake_nor_an_alert(units):
    lines = (units / "xlclass-backfill.service").read_text(encoding="utf-8").splitlines()
    assert {"Type=oneshot", "User=xlclass", "RestartPreventExitStatus=2 3", "SuccessExitStatus=143", "OnFailure=xlclass-alert@%n.service"} <= set(lines)
