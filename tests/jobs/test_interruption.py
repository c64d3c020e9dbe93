"""Ctrl-C at a terminal: SIGINT reaches spark-submit's JVM and the job while Spark runs a job."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT, write_catalogue
from job_runs import BIN, run_in_session
from samples import ROWS

pytestmark = [pytest.mark.spark, pytest.mark.slow]
LIMIT = 300  # seconds
NEW = [{**ROWS[i % len(ROWS)], "video_id": f"new{i}", "title": f"video {i} of {ROWS[i % len(ROWS)]['title']}"} for i in range(2_000)]


def test_ctrl_c_leaves_a_row_one_sentence_and_no_lease_and_the_next_run_resumes(spark, classified_system, tmp_path):
    folder = Path(shutil.copytree(classified_system, tmp_path / "system"))
    write_catalogue(folder, [*ROWS, *NEW])
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(ROOT / "conf")}
    environment.pop("PYSPARK_SUBMIT_ARGS", None)
    command = [str(BIN / "spark-submit"), "--master", "local[2]", str(ROOT / "jobs" / "backfill.py"), "--conf", "settings.toml", "--log", "text"]
    printed = folder / "printed.txt"
    with printed.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
    end = time.monotonic() + LIMIT
    while "encode ..." not in printed.read_text():
        assert process.poll() is None, printed.read_text()[-2_000:]
        assert time.monotonic() < end, printed.read_text()[-2_000:]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the JVM too
    code, text = process.wait(LIMIT), printed.read_text()
    assert code == 130, text[-3_000:]
    assert "Traceback" not in text, text[-3_000:]
    assert text.splitlines()[-1].startswith("jobs/backfill.py: interrupted by Ctrl-C: run the same command again"), text[-3_000:]
    row = deltalake.DeltaTable(str(folder / "lake" / "runs")).to_pandas().sort_values("finished_at").iloc[-1]
    assert (row["job"], row["outcome"]) == ("backfill", "failed")
    assert row["message"].startswith("interrupted by Ctrl-C")
    assert not (folder / "lake" / "_lease.json").exists()
    assert (folder / "lake" / "_plan" / "plan.json").exists()
    resumed = run_in_session(spark, "backfill", "--conf", "settings.toml", "--log", "text", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr[-3_000:]
    assert "resuming plan" in resumed.stderr
    for name in ("videos", "predictions"):
        assert len(deltalake.DeltaTable(str(folder / "lake" / name)).to_pandas()) == len(ROWS) + len(NEW)
