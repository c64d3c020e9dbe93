"""One run at a time holds a lake."""

import json
import multiprocessing
import os
import time

import pytest

from xlclass.errors import LakeError
from xlclass.lake.lease import Lease


def _hold(root, ready, seconds):
    with Lease(root, "other", "backfill", seconds):
        ready.set()
        time.sleep(600)


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lease."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready, 60), daemon=True)
    process.start()
    assert ready.wait(60)
    yield process
    process.kill()
    process.join()


def test_a_held_lease_is_refused_by_name(tmp_path, other):
    with pytest.raises(LakeError, match=rf"changed by run other \(backfill, process {other.pid} on "), Lease(str(tmp_path), "mine", "backfill", 60):
        pass


def test_a_lease_of_a_killed_process_of_this_machine_is_free_at_once(tmp_path, other):
    other.kill()
    other.join()
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        lease.check()
    assert not (tmp_path / "_lease.json").exists()


def test_a_lease_of_another_machine_is_free_once_its_heart_stands_still(tmp_path):
    file = tmp_path / "_lease.json"
    file.write_text(json.dumps({"run_id": "far", "job": "backfill", "host": "far", "pid": 1, "place": "far"}))
    with pytest.raises(LakeError, match="run far"), Lease(str(tmp_path), "mine", "backfill", 60):
        pass
    before = time.time() - 61
    os.utime(file, (before, before))
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        lease.check()


def test_check_notices_that_another_run_took_over_and_leaves_its_lease_alone(tmp_path):
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        theirs = json.loads((tmp_path / "_lease.json").read_text()) | {"run_id": "theirs"}
        (tmp_path / "_lease.json").write_text(json.dumps(theirs))
        with pytest.raises(LakeError, match="taken over"):
            lease.check()
    assert json.loads((tmp_path / "_lease.json").read_text())["run_id"] == "theirs"


def test_the_heart_beats_while_the_lease_is_held(tmp_path):
    with Lease(str(tmp_path), "mine", "backfill", 1):
        first = (tmp_path / "_lease.json").stat().st_mtime_ns
        end = time.monotonic() + 30
        while (tmp_path / "_lease.json").stat().st_mtime_ns == first:
            assert time.monotonic() < end
            time.sleep(0.05)
