"""What breaks a backfill, and that the same command afterwards leaves the tables as an undisturbed run does.

Half an hour: run by `make test-faults`. Each kill comes at three moments drawn anew every time, spread over the run; the seed is
printed by a failing test.
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

pytestmark = [pytest.mark.fault, pytest.mark.spark]
BIN = Path(sys.executable).parent
CHUNK, COUNT = 100, 120
MOMENTS = 3
LIMIT = 600  # seconds


class System:
    """A folder with a catalogue, settings and a lake whose champion is trained; `start` and `finish` run the backfill on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lake, self.settings = folder, folder / "lake", folder / "settings.toml"

    def copy(self, folder: Path) -> "System":
        shutil.copytree(self.folder, folder)
        return System(folder)

    def start(self, *arguments: str, job: str = "backfill", master: str = "local[2,4]") -> subprocess.Popen:
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
        environment.pop("PYSPARK_SUBMIT_ARGS", None)
        small = [] if master.startswith("local") else ["--conf", "spark.sql.shuffle.partitions=4"]  # as jobs have it on a local master
        command = [str(BIN / "spark-submit"), "--master", master, *small, str(ROOT / "jobs" / f"{job}.py"), "--conf", str(self.settings), *arguments]
        log = (self.folder / "log.txt").open("ab")
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def finish(self, *arguments: str, job: str = "backfill") -> int:
        return self.start(*arguments, job=job).wait(LIMIT)

    def said(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")

    def wait_for(self, words: str, process: subprocess.Popen) -> None:
        end = time.monotonic() + LIMIT
        while words not in self.said():
            assert process.poll() is None, self.said()[-3000:]
            assert time.monotonic() < end, self.said()[-3000:]
            time.sleep(0.05)

    def table(self, name: str) -> dict[str, dict]:
        return {row["video_id"]: row for row in deltalake.DeltaTable(str(self.lake / name)).to_pandas().to_dict("records")}

    def num_rows(self, name: str) -> int:
        return len(deltalake.DeltaTable(str(self.lake / name)).to_pandas())


STAMPS = {"run_id", "predicted_at", "rejected_at", "input_digest"}  # what a run stamps
NUMBERS = {"vector", "visual_vector", "confidences", "categories", "top_confidence", "top_logit"}  # which depend on the batch a little


def same_contents(found: System, expected: System) -> None:
    """The tables of two lakes as sets of rows, what a run stamps left out; vectors, confidences and logits to 1e-3."""
    for name in ("videos", "embeddings", "predictions"):
        ours, theirs = found.table(name), expected.table(name)
        assert ours.keys() == theirs.keys(), name
        assert found.num_rows(name) == len(ours), f"a row twice in {name}"
        for video_id, row in theirs.items():
            pair = (ours[video_id], row)
            plain = [{key: str(value) for key, value in side.items() if key not in STAMPS | NUMBERS} for side in pair]
            assert plain[0] == plain[1]
            np.testing.assert_allclose(*(_numbers(name, side) for side in pair), atol=1e-3)
    assert found.num_rows("prediction_log") == expected.num_rows("prediction_log")


def _numbers(name: str, row: dict) -> np.ndarray:
    """A row's vector, or its confidences by category and its logit."""
    if name == "embeddings":
        return np.frombuffer(row["vector"] or b"", "<f2")
    if name == "predictions" and row["confidences"] is not None:
        return np.array([row["top_logit"], row["top_confidence"], *(value for _, value in sorted(row["confidences"]))])
    return np.empty(0)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, fake_encoder):
    """A system that has a champion, and a catalogue of which nothing but the training videos is in the lake yet."""
    system = System(tmp_path_factory.mktemp("prepared") / "system")
    system.folder.mkdir()
    text = SETTINGS.format(encoder=fake_encoder.path, taxonomy=ROOT / "conf" / "taxonomy.toml")
    system.settings.write_text(text + f"[backfill]\nchunk_videos = {CHUNK}\nlease_seconds = 8\nno_worker_seconds = 10\n")
    _write(system, ROWS)
    assert system.finish(job="pipeline") == 0, system.said()[-3000:]
    more = [{**ROWS[i % len(ROWS)], "video_id": f"more{i}", "title": f"video number {i} of {ROWS[i % len(ROWS)]['title']}"} for i in range(COUNT)]
    _write(system, [*ROWS, *more])
    (system.folder / "log.txt").unlink()
    return system


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory):
    """The same after a backfill that nothing disturbed, and how long that took from its first chunk to its end, in seconds."""
    system = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "system")
    process = system.start()
    system.wait_for("plan ...", process)
    start = time.monotonic()
    assert process.wait(LIMIT) == 0, system.said()[-3000:]
    system.seconds = time.monotonic() - start
    return system


def _write(system: System, rows: list[dict]) -> None:
    (system.folder / "catalogue.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _moment(seconds: float, part: int) -> float:
    """A random moment in the given third of the run; a kill in its last second may come too late to be one."""
    return random.uniform(part, part + 1) / MOMENTS * max(seconds - 1, 1)


def _under_way(prepared: System, undisturbed: System, folder: Path, part: int, master: str = "local[2,4]") -> tuple[System, subprocess.Popen]:
    """A copy of the system in `folder`, and its backfill at a random moment in the given third of the run."""
    system = prepared.copy(folder / "system")
    process = system.start(master=master)
    system.wait_for("plan ...", process)
    time.sleep(_moment(undisturbed.seconds, part))
    return system, process


def _kill_all(process: subprocess.Popen) -> None:
    """Kills the driver: its Python and its JVM at once, as when its machine goes."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_killed_driver_is_gone_on_with(prepared, undisturbed, tmp_path, part):
    system, process = _under_way(prepared, undisturbed, tmp_path, part)
    if process.poll() is None:
        _kill_all(process)
    plan = system.lake / "_plan" / "plan.json"
    done = len(list(system.lake.glob("_plan/*/*/done")))
    planned = json.loads(plan.read_text()) if plan.exists() else None
    assert system.finish() == 0, system.said()[-3000:]
    same_contents(system, undisturbed)
    assert not plan.exists()
    if planned:  # what was done was not done again: the chunk under way is the only one encoded twice
        encoded = [int(num) for num in re.findall(r"encode: [\d.]+ s, (\d+) rows", system.said())][-1:]
        assert f"resuming plan {planned['plan_id']}" in system.said()
        assert sum(encoded) <= COUNT
        assert len(re.findall(r"chunk \d+ of", system.said())) <= planned["num_chunks"] + 1
        assert done <= planned["num_chunks"]


@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_killed_python_worker_does_not_end_the_run(prepared, undisturbed, tmp_path, part):
    system, process = _under_way(prepared, undisturbed, tmp_path, part)
    found = []
    while process.poll() is None and not found:
        found = members(process.pid, "pyspark.daemon")
        kill(random.sample(found, min(1, len(found))))
        time.sleep(0.02)
    assert process.wait(LIMIT) == 0, system.said()[-3000:]
    same_contents(system, undisturbed)


@pytest.fixture
def cluster(tmp_path):
    """A standalone master; tests start the workers that they break, and all ends with the test."""
    standalone = Standalone(tmp_path / "cluster")
    yield standalone
    standalone.stop()


@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_killed_executor_of_two_does_not_end_the_run(prepared, undisturbed, cluster, tmp_path, part):
    workers = [cluster.start_worker() for _ in range(2)]
    system, process = _under_way(prepared, undisturbed, tmp_path, part, cluster.master_url)
    kill(cluster.executors(random.choice(workers)))
    assert process.wait(LIMIT) == 0, system.said()[-3000:]
    same_contents(system, undisturbed)


@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_run_whose_only_worker_is_gone_ends_in_one_sentence_and_is_gone_on_with(prepared, undisturbed, cluster, tmp_path, part):
    worker = cluster.start_worker()
    system, process = _under_way(prepared, undisturbed, tmp_path, part, cluster.master_url)
    cluster.kill_worker(worker)
    assert process.wait(LIMIT) == 2, system.said()[-3000:]
    assert "there was no worker for 10 s" in system.said()
    assert "Traceback" not in system.said().split("there was no worker")[1]
    recorded = deltalake.DeltaTable(str(system.lake / "runs")).to_pandas().sort_values("finished_at").iloc[-1]
    assert recorded["outcome"] == "failed"
    assert "there was no worker for 10 s" in recorded["message"]
    assert system.finish() == 0, system.said()[-3000:]
    same_contents(system, undisturbed)


def test_a_second_backfill_leaves_at_once_and_names_the_first(prepared, undisturbed, tmp_path):
    system = prepared.copy(tmp_path / "system")
    first = system.start()
    system.wait_for("plan ...", first)
    holder = json.loads((system.lake / "_lease.json").read_text())["run_id"]
    second = System(system.folder)
    assert second.finish() == 2
    assert f"is being changed by run {holder}" in system.said()
    assert first.wait(LIMIT) == 0, system.said()[-3000:]
    same_contents(system, undisturbed)


@pytest.mark.parametrize("part", range(MOMENTS))
def test_a_full_disk_ends_in_one_sentence_and_leaves_no_half_version(prepared, undisturbed, tmp_path, part):
    disk = tmp_path / "disk"
    disk.mkdir()
    needed = sum(-(-file.stat().st_size // 4096) * 4096 for file in prepared.lake.rglob("*") if file.is_file())  # a tmpfs gives whole pages
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
        assert code == 2, system.said()[-3000:]
        assert "a disk is full" in system.said().splitlines()[-1], system.said()[-3000:]
        for name in ("videos", "embeddings", "predictions"):
            assert system.num_rows(name) >= len(ROWS)  # every version there is can be read
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        assert system.finish() == 0, system.said()[-3000:]
        same_contents(system, undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_settings_changed_between_kill_and_resume_are_refused_by_name(prepared, undisturbed, tmp_path):
    system = prepared.copy(tmp_path / "system")
    process = system.start()
    system.wait_for("encode ...", process)
    _kill_all(process)
    before = system.settings.read_text()
    system.settings.write_text(before + "[text]\nmin_letters = 21\n")
    assert system.finish() == 2
    assert "text.min_letters was 20, is 21" in system.said()
    system.settings.write_text(before)
    assert system.finish("--abandon") == 0, system.said()[-3000:]
    same_contents(system, undisturbed)


def test_a_truncated_encoder_stops_the_run_before_any_row_is_read(prepared, tmp_path):
    system = prepared.copy(tmp_path / "system")
    model = Path(re.search(r'model = "([^"]+)"', system.settings.read_text()).group(1))
    shutil.copytree(model, tmp_path / "model")
    graph = tmp_path / "model" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    system.settings.write_text(system.settings.read_text().replace(str(model), str(tmp_path / "model")))
    before = {name: deltalake.DeltaTable(str(system.lake / name)).version() for name in ("videos", "embeddings", "predictions")}
    assert system.finish() == 2
    assert "encoder.model" in system.said()
    assert "Traceback" not in system.said()
    assert "plan ..." not in system.said()
    assert before == {name: deltalake.DeltaTable(str(system.lake / name)).version() for name in before}
