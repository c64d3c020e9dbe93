"""The lease: one run at a time holds a lake."""

import json
import multiprocessing
import os
import time

import pytest

from xlclass.errors import LakeError
from xlclass.lake.lease import Lease


def _hold(root, is_held, seconds):
    with Lease(root, "other", "backfill", seconds):
        is_held.set()
        time.sleep(600)


@pytest.fixture
def other_process(tmp_path):
    """Another process that holds the lease."""
    context = multiprocessing.get_context("spawn")
    is_held = context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), is_held, 60), daemon=True)
    process.start()
    assert is_held.wait(60)
    yield process
    process.kill()
    process.join()


def test_lease_is_refused_while_another_process_holds_it(tmp_path, other_process):
    sentence = rf"is being changed by run other \(backfill, process {other_process.pid} on .*its lease expires within 60 s"
    with pytest.raises(LakeError, match=sentence), Lease(str(tmp_path), "mine", "backfill", 60):
        pass


def test_lease_of_a_killed_process_of_this_machine_is_taken_over_at_once(tmp_path, other_process):
    other_process.kill()
    other_process.join()
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        lease.check()
    assert not (tmp_path / "_lease.json").exists()


def test_lease_of_another_machine_is_taken_over_only_after_its_length_without_a_heartbeat(tmp_path):
    file = tmp_path / "_lease.json"
    file.write_text(json.dumps({"run_id": "far", "job": "backfill", "host": "far", "pid": 1, "pid_namespace": "far"}))
    with pytest.raises(LakeError, match="run far"), Lease(str(tmp_path), "mine", "backfill", 60):
        pass
    expired = time.time() - 61
    os.utime(file, (expired, expired))
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        lease.check()


def test_check_fails_after_a_takeover_and_the_new_holder_keeps_its_lease(tmp_path):
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        new_holder = json.loads((tmp_path / "_lease.json").read_text()) | {"run_id": "theirs"}
        (tmp_path / "_lease.json").write_text(json.dumps(new_holder))
        with pytest.raises(LakeError, match="was taken over by another run, because this run did not renew its lease for 60 s"):
            lease.check()
    assert json.loads((tmp_path / "_lease.json").read_text())["run_id"] == "theirs"


def test_lease_renews_itself_while_it_is_held(tmp_path):
    with Lease(str(tmp_path), "mine", "backfill", 1):
        first = (tmp_path / "_lease.json").stat().st_mtime_ns
        deadline = time.monotonic() + 30
        while (tmp_path / "_lease.json").stat().st_mtime_ns == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)


BROKEN = {
    "empty": "",
    "cut": '{"run_id": "far", "jo',
    "no JSON": "lease",
    "a list": "[1]",
    "null": "null",
    "another form": '{"run_id": 5}',
    "nested": "[" * 100_000,
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_lease_that_cannot_be_read_is_refused_in_its_time_and_taken_over_after_it(tmp_path, text):
    file = tmp_path / "_lease.json"
    file.write_text(text)
    with (
        pytest.raises(LakeError, match=r"_lease.json, the lease of a run, cannot be read.* within 60 s .*delete it"),
        Lease(str(tmp_path), "mine", "backfill", 60),
    ):
        pass
    expired = time.time() - 61
    os.utime(file, (expired, expired))
    with Lease(str(tmp_path), "mine", "backfill", 60) as lease:
        lease.check()
    assert not file.exists()


def test_lease_dated_in_the_future_expires_within_its_length_from_now(tmp_path):
    file = tmp_path / "_lease.json"
    file.write_text(json.dumps({"run_id": "far", "job": "backfill", "host": "far", "pid": 1, "pid_namespace": "far"}))
    future = time.time() + 1_000_000
    os.utime(file, (future, future))
    with pytest.raises(LakeError, match="run far"), Lease(str(tmp_path), "mine", "backfill", 60):
        pass
    assert abs(file.stat().st_mtime - time.time()) < 30


@pytest.mark.parametrize("name", ["_lease.lock", "_lease.json"])
@pytest.mark.parametrize("target", ["file", "nothing"])
def test_a_link_in_place_of_the_lease_or_its_lock_is_refused_and_its_target_unchanged(tmp_path, name, target):
    (tmp_path / "file").write_text("precious")
    lake = tmp_path / "lake"
    lake.mkdir()
    (lake / name).symlink_to(tmp_path / target)
    before = (tmp_path / "file").stat().st_mtime_ns
    with pytest.raises(LakeError, match=rf"{name} is a (symbolic )?link.*remove"), Lease(str(lake), "mine", "backfill", 60):
        pass
    assert ((tmp_path / "file").read_text(), (tmp_path / "file").stat().st_mtime_ns) == ("precious", before)
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["_lease.lock", "_lease.json"])
def test_a_folder_in_place_of_the_lease_or_its_lock_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(LakeError, match=name), Lease(str(tmp_path), "mine", "backfill", 60):
        pass
