"""conf/OWN_CATALOGUE.md: its commands run in order, in one shell that starts in an empty folder."""

import os
import re
import subprocess
import sys

import deltalake
import pytest
from conftest import ROOT

PAGE = ROOT / "conf" / "OWN_CATALOGUE.md"
pytestmark = [pytest.mark.deploy, pytest.mark.spark]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder of the catalogue, and what the commands printed."""
    folder = tmp_path_factory.mktemp("own")
    commands = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(commands) == 6
    checkout = folder / "checkout"  # this one, with the tests' environment as its .venv
    checkout.mkdir()
    for name in ("conf", "jobs", "tests", "xlclass"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / ".venv").symlink_to(sys.prefix)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK", "VIRTUAL_ENV"))}
    environment |= {"XLCLASS": str(checkout), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1_800
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return folder / "my-catalogue", done.stdout


def test_commands_categorise_every_video(walked):
    folder, printed = walked
    assert "settings.toml is valid: 5 categories" in printed
    predictions = deltalake.DeltaTable(str(folder / "lake" / "predictions")).to_pandas()
    assert len(predictions) == 340
    assert set(predictions.top_category.dropna()) == {"cooking", "football", "cars", "garden", "technology"}
    assert {"en", "fr", "es", "de", "it", "ja"} <= set(predictions.language)


def test_commands_classify_titles_in_languages_without_labels(walked):
    _, printed = walked
    lines = [line for line in printed.splitlines() if "tiramisù" in line or "燃費テスト" in line]
    assert [line.split()[0] for line in lines] == ["cooking", "cars"]


def test_commands_know_every_label_and_reject_no_row(walked):
    folder, _ = walked
    runs = deltalake.DeltaTable(str(folder / "lake" / "runs")).to_pandas()
    assert list(runs.outcome) == ["done", "done"]
    assert set(runs.rows_rejected) == {0}
    assert not any(dict(rules or {}).get("unknown_label") for rules in runs.rules)


def test_links_of_the_page_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (PAGE.parent / link).is_file()] == []
