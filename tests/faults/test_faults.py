"""Faults that break a backfill: afterwards the same command leaves the tables as an undisturbed run does.

Half an hour: run by `make test-faults`. Each fault comes at a random moment in each third of the run. CI runs the second third of
each kind, which carries the mark `slow` instead of `fault`.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import deltalake
import numpy as np
import pytest
from conftest import ROOT, SETTINGS
from samples import ROWS
from standalone import Standalone, kill, members

pytestmark = pytest.mark.spark
BIN = Path(sys.executable).parent
CHUNK, COUNT = 100, 120
MOMENTS = 3
LIMIT = 600  # seconds
at_each_moment = pytest.mark.parametrize("part", [pytest.param(part, marks=pytest.mark.slow if part == 1 else pytest.mark.fault) for part in range(MOMENTS)])


class System:
    """A folder with a catalogue, settings and a lake with a champion; `start` and `finish` run the backfill on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake, self.settings = folder, folder / "lake", folder / "settings.toml"

    def copy(self, folder: Path) -> "System":
        shutil.copytree(self.folder, folder)
        return System(folder)

    def start(self, *arguments: str, job: str = "backfill", master: str = "local[2,4]") -> subprocess.Popen:
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
        environment.pop("PYSPARK_SUBMIT_ARGS", None)
        partitions = [] if master.startswith("local") else ["--conf", "spark.sql.shuffle.partitions=4"]  # the jobs' own default on a local master
        command = [str(BIN / "spark-submit"), "--master", master, *partitions, str(ROOT / "jobs" / f"{job}.py"), "--conf", str(self.settings), *arguments]
        log = (self.folder / "log.txt").open("ab")
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def finish(self, *arguments: str, job: str = "backfill") -> int:
        return self.start(*arguments, job=job).wait(LIMIT)

    def printed(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")

    def wait_for(self, words: str, process: subprocess.Popen) -> None:
        end = time.monotonic() + LIMIT
        while words not in self.printed():
            assert process.poll() is None, self.printed()[-3000:]
            assert time.monotonic() < end, self.printed()[-3000:]
            time.sleep(0.05)

    def table(self, name: str) -> dict[str, dict]:
        return {row["video_id"]: row for row in deltalake.DeltaTable(str(self.lake / name)).to_pandas().to_dict("records")}

    def num_rows(self, name: str) -> int:
        return len(deltalake.DeltaTable(str(self.lake / name)).to_pandas())


OF_A_RUN = {"run_id", "predicted_at", "rejected_at", "input_digest"}  # columns that differ from run to run
NUMBERS = {"vector", "visual_vector", "confidences", "categories", "top_confidence", "top_logit"}  # they depend on the batch by rounding


def assert_same_contents(system: System, expected: System) -> None:
    """The tables of two lakes as sets of rows, without the columns of a run; vectors, confidences and logits to 1e-3."""
    for name in ("videos", "embeddings", "predictions"):
        rows, expected_rows = system.table(name), expected.table(name)
        assert rows.keys() == expected_rows.keys(), name
        assert system.num_rows(name) == len(rows), f"a row twice in {name}"
        for video_id, expected_row in expected_rows.items():
            pair = (rows[video_id], expected_row)
            texts = [{key: str(value) for key, value in row.items() if key not in OF_A_RUN | NUMBERS} for row in pair]
            assert texts[0] == texts[1]
            np.testing.assert_allclose(*(_numbers(name, row) for row in pair), atol=1e-3)
    assert system.num_rows("prediction_log") == expected.num_rows("prediction_log")


def _numbers(name: str, row: dict) -> np.ndarray:
    """A row's vector, or its confidences by category and its logit."""
    if name == "embeddings":
        return np.frombuffer(row["vector"] or b"", "<f2")
    if name == "predictions" and row["confidences"] is not None:
        return np.array([row["top_logit"], row["top_confidence"], *(value for _, value in sorted(row["confidences"]))])
    return np.empty(0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, fake_encoder):
    """A system with a champion, and a catalogue with COUNT videos that are not in the lake yet."""
    system = System(tmp_path_factory.mktemp("prepared") / "system")
    system.folder.mkdir()
    text = SETTINGS.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml")
    system.settings.write_text(text + f"[backfill]\nchunk_videos = {CHUNK}\nlease_seconds = 8\nno_worker_seconds = 10\n")
    _write(system, ROWS)
    assert system.finish(job="pipeline") == 0, system.printed()[-3000:]
    new = [{**ROWS[i % len(ROWS)], "video_id": f"more{i}", "title": f"video number {i} of {ROWS[i % len(ROWS)]['title']}"} for i in range(COUNT)]
    _write(system, [*ROWS, *new])
    (system.folder / "log.txt").unlink()
    return system


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory):
    """A copy after an undisturbed backfill; `seconds` is the time from its plan to its end."""
    system = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "system")
    process = system.start()
    system.wait_for("plan ...", process)
    start = time.monotonic()
    assert process.wait(LIMIT) == 0, system.printed()[-3000:]
    system.seconds = time.monotonic() - start
    return system


def _write(system: System, rows: list[dict]) -> None:
    (system.folder / "catalogue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _moment(seconds: float, part: int) -> float:
    """Seconds from the plan to a random moment in that third of the run, without its last second, when a kill may come too late."""
    return random.uniform(part, part + 1) / MOMENTS * max(seconds - 1, 1)


def _started(prepared: System, undisturbed: System, folder: Path, part: int, master: str = "local[2,4]") -> tuple[System, subprocess.Popen]:
    """A copy of the system in `folder`, and its backfill at a random moment in that third of the run."""
    system = prepared.copy(folder / "system")
    process = system.start(master=master)
    system.wait_for("plan ...", process)
    time.sleep(_moment(undisturbed.seconds, part))
    return system, process


def _kill_all(process: subprocess.Popen) -> None:
    """Kills the driver, Python and JVM at once, as when its machine fails."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@at_each_moment
def test_backfill_resumes_after_its_driver_was_killed(prepared, undisturbed, tmp_path, part):
    system, process = _started(prepared, undisturbed, tmp_path, part)
    if process.poll() is None:
        _kill_all(process)
    plan = system.lake / "_plan" / "plan.json"
    done = len(list(system.lake.glob("_plan/*/*/done")))
    planned = json.loads(plan.read_text()) if plan.exists() else None
    assert system.finish() == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)
    assert not plan.exists()
    if planned:  # only the chunk under way is encoded twice
        encoded = [int(num) for num in re.findall(r"encode: [\d.]+ s, (\d+) rows", system.printed())][-1:]
        assert f"resuming plan {planned['plan_id']}" in system.printed()
        assert sum(encoded) <= COUNT
        assert len(re.findall(r"chunk \d+ of", system.printed())) <= planned["num_chunks"] + 1
        assert done <= planned["num_chunks"]


@at_each_moment
def test_backfill_survives_a_killed_python_worker(prepared, undisturbed, tmp_path, part):
    system, process = _started(prepared, undisturbed, tmp_path, part)
    workers = []
    while process.poll() is None and not workers:
        workers = members(process.pid, "pyspark.daemon")
        kill(random.sample(workers, min(1, len(workers))))
        time.sleep(0.02)
    assert process.wait(LIMIT) == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)


@pytest.fixture
def cluster(tmp_path):
    """A standalone master; tests start the workers that they kill, and everything ends with the test."""
    standalone = Standalone(tmp_path / "cluster")
    yield standalone
    standalone.stop()


@at_each_moment
def test_backfill_survives_one_killed_executor_of_two(prepared, undisturbed, cluster, tmp_path, part):
    workers = [cluster.start_worker() for _ in range(2)]
    system, process = _started(prepared, undisturbed, tmp_path, part, cluster.master_url)
    kill(cluster.executors(random.choice(workers)))
    assert process.wait(LIMIT) == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)


@at_each_moment
def test_backfill_without_any_worker_ends_in_one_sentence_and_resumes(prepared, undisturbed, cluster, tmp_path, part):
    worker = cluster.start_worker()
    system, process = _started(prepared, undisturbed, tmp_path, part, cluster.master_url)
    cluster.kill_worker(worker)
    assert process.wait(LIMIT) == 2, system.printed()[-3000:]
    assert "there was no worker for 10 s" in system.printed()
    assert "Traceback" not in system.printed().split("there was no worker")[1]
    row = deltalake.DeltaTable(str(system.lake / "runs")).to_pandas().sort_values("finished_at").iloc[-1]
    assert row["outcome"] == "failed"
    assert "there was no worker for 10 s" in row["message"]
    assert system.finish() == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)


@pytest.mark.fault
def test_a_second_backfill_ends_at_once_and_names_the_first(prepared, undisturbed, tmp_path):
    system = prepared.copy(tmp_path / "system")
    first = system.start()
    system.wait_for("plan ...", first)
    holder = json.loads((system.lake / "_lease.json").read_text())["run_id"]
    second = System(system.folder)
    assert second.finish() == 2
    assert f"is being changed by run {holder}" in system.printed()
    assert first.wait(LIMIT) == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)


@at_each_moment
def test_a_full_disk_ends_in_one_sentence_and_leaves_whole_tables(prepared, undisturbed, tmp_path, part):
    disk = tmp_path / "disk"
    disk.mkdir()
    needed = sum(-(-file.stat().st_size // 4096) * 4096 for file in prepared.lake.rglob("*") if file.is_file())  # a tmpfs allocates whole pages
    size = int(needed + 400_000 + part * random.randint(100_000, 300_000))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        shutil.copytree(prepared.lake, disk / "lake")
        system = prepared.copy(tmp_path / "system")
        shutil.rmtree(system.lake)
        system.lake = disk / "lake"
        system.settings.write_text(system.settings.read_text().replace('path = "lake"', f'path = "{disk / "lake"}"'))
        code = system.finish()
        assert code == 2, system.printed()[-3000:]
        assert "a disk is full" in system.printed().splitlines()[-1], system.printed()[-3000:]
        for name in ("videos", "embeddings", "predictions"):
            assert system.num_rows(name) >= len(ROWS)  # the newest version can be read
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        assert system.finish() == 0, system.printed()[-3000:]
        assert_same_contents(system, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.fault
def test_settings_changed_between_kill_and_resume_are_refused_by_name(prepared, undisturbed, tmp_path):
    system = prepared.copy(tmp_path / "system")
    process = system.start()
    system.wait_for("encode ...", process)
    _kill_all(process)
    before = system.settings.read_text()
    system.settings.write_text(before + "[text]\nmin_letters = 21\n")
    assert system.finish() == 2
    assert "text.min_letters was 20, is 21" in system.printed()
    system.settings.write_text(before)
    assert system.finish("--abandon") == 0, system.printed()[-3000:]
    assert_same_contents(system, undisturbed)
