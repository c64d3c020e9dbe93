"""The main job on a real standalone cluster of two workers, with package and encoder shipped by spark-submit. Minutes: `make test-faults`."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT
from standalone import Standalone, clean_environment, members

from xlclass.encoders.e5.build import e5_id
from xlclass.encoders.e5.graph import GRAPH as E5_GRAPH
from xlclass.encoders.muse.build import muse_id
from xlclass.encoders.muse.graph import GRAPH as MUSE_GRAPH

pytestmark = [pytest.mark.spark, pytest.mark.fault]
SETTINGS = {  # conf/cluster.toml's lines -> those for the demo
    "/mnt/catalogue/videos": "{shared}/videos.jsonl",
    "/mnt/xlclass/lake": "{shared}/lake",
    'countries = "countries"': 'countries = "country"',
    "[encoder]": "[taxonomy]\nmin_training_videos = 10\n\n[encoder]",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A master and two workers, killed at the end with all that they started."""
    standalone = Standalone(tmp_path_factory.mktemp("cluster") / "nodes")
    try:
        standalone.start_worker()
        standalone.start_worker()
        yield standalone
    finally:
        standalone.stop()


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder that `make package` fills from this checkout, without another `make setup`."""
    folder = tmp_path_factory.mktemp("dist")
    command = ["make", "-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}", f"DIST={folder}", "package"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python with all packages of this one except xlclass: it does not follow the path file of the editable checkout."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    assert subprocess.run([python, "-I", "-c", "import tensorflow_text"], cwd=folder, check=False, capture_output=True).returncode == 0
    assert b"No module named 'xlclass'" in subprocess.run([python, "-I", "-c", "import xlclass"], cwd=folder, check=False, capture_output=True).stderr
    return python


def shared_folder(folder: Path) -> Path:
    """The folder that all nodes see, with the catalogue and copied settings; the lake will lie there too."""
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copytree(
        ROOT / "xlclass" / "catalog" / "demo", folder / "videos.jsonl", ignore=lambda _, names: [name for name in names if not name.endswith(".jsonl")]
    )
    settings = folder / "conf" / "cluster.toml"
    text = settings.read_text(encoding="utf-8")
    for old, new in SETTINGS.items():
        assert old in text
        text = text.replace(old, new.format(shared=folder))
    settings.write_text(text, encoding="utf-8")
    return folder


def submit(cluster, dist, python, folder, *options, job="pipeline") -> subprocess.CompletedProcess:
    """The job on the settings in `folder`, submitted from the empty folder there with an empty home; Spark settings for a small cluster."""
    shared, empty = folder / "shared", folder / "empty"
    package, encoder = next(dist.glob("xlclass-*.zip")), next(dist.glob("encoders-*.tar.gz"))
    settings = {
        "spark.pyspark.python": python,
        "spark.pyspark.driver.python": python,
        "spark.executor.cores": 1,
        "spark.executor.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
        "spark.sql.shuffle.partitions": 2,
        "spark.databricks.delta.snapshotPartitions": 2,
    }
    command = ["spark-submit", "--master", cluster.master_url, "--properties-file", str(ROOT / "conf" / "spark-defaults-cluster.conf")]
    command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    command += ["--py-files", str(package), "--archives", f"{encoder}#encoders", *options, str(ROOT / "jobs" / f"{job}.py")]
    command += ["--conf", str(shared / "conf" / "cluster.toml")]
    environment = clean_environment(cluster.folder / "home", shared / "conf")
    return subprocess.run(command, cwd=empty, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1_800)


def encoding_executors(events: Path) -> set[str]:
    """Ids of the executors that ran a Python task of a query with the UDF `embed`, from Spark's event log."""
    queries, stages, executors = set(), set(), set()
    for line in next(events.iterdir()).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        kind = event["Event"].rpartition(".")[2]
        if "embed(" in event.get("physicalPlanDescription", ""):
            queries.add(str(event["executionId"]))
        elif kind == "SparkListenerJobStart" and event["Properties"].get("spark.sql.execution.id") in queries:
            stages.update(event["Stage IDs"])
        elif kind == "SparkListenerTaskEnd" and event["Stage ID"] in stages:
            metrics = {metric.get("Name") for metric in event["Task Info"]["Accumulables"]}
            executors.update({event["Task Info"]["Executor ID"]} if "data sent to Python workers" in metrics else ())
    return executors


@pytest.fixture(scope="module")
def done(cluster, dist, bare_python, tmp_path_factory):
    """The folder of a run of the main job, and what the job printed."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("shared", "empty", "events"):
        (folder / name).mkdir()
    event_log = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": (folder / "events").as_uri(), "spark.eventLog.compress": "false"}
    event_log["spark.eventLog.rolling.enabled"] = "false"
    options = [word for name, value in event_log.items() for word in ("--conf", f"{name}={value}")]
    shared_folder(folder / "shared")
    submitted = submit(cluster, dist, bare_python, folder, *options)
    assert submitted.returncode == 0, submitted.stdout[-4000:]
    return folder, submitted.stdout


def test_pipeline_on_a_cluster_prints_the_table_of_languages_and_writes_the_lake(done):
    folder, printed = done
    assert len([line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]) >= 24
    predictions = deltalake.DeltaTable(str(folder / "shared" / "lake" / "predictions")).to_pandas()
    assert len(predictions) == 1_512
    assert set(predictions.status) == {"ok"}


def test_pipeline_on_a_cluster_encodes_on_both_workers(done):
    folder, _ = done
    assert encoding_executors(folder / "events") == {"0", "1"}


def test_pipeline_on_a_cluster_uses_the_shipped_encoders(done, cluster):
    """Each executor unpacked them, nothing was built, and their vectors carry the embedded encoders' ids."""
    folder, _ = done
    shipped = {f"muse-{muse_id('float32')[:16]}-{MUSE_GRAPH}", f"e5-{e5_id()[:16]}-{E5_GRAPH}"}
    for number in range(2):
        assert {record.parent.name for record in cluster.work(number).glob("app-*/*/encoders/*/model.sha256")} == shipped
    assert not (cluster.folder / "home" / ".cache" / "xlclass").exists()
    encoders = {key["encoder_id"] for key in deltalake.DeltaTable(str(folder / "shared" / "lake" / "embeddings")).to_pandas().encode_key}
    assert encoders == {muse_id("float32"), e5_id()}


def test_doctor_on_a_cluster_encodes_on_both_workers(done, cluster, dist, bare_python):
    folder, _ = done
    printed = submit(cluster, dist, bare_python, folder, job="doctor").stdout
    lines = {line.split()[1]: line for line in printed.splitlines() if line.startswith(("ok ", "WRONG ", "- "))}
    lines.pop("disk")  # depends on this machine
    assert {line.split()[0] for line in lines.values()} == {"ok"}, printed
    assert f"2 tasks on 1 host(s) see {folder}/shared/lake, their clocks agree" in lines["executors"]
    assert re.search(r"2 executor tasks encoded a sentence, cosine to the driver.s vector (1\.0|0\.9999)", lines["encoding"])


def test_kill_worker_kills_its_executors_and_stop_leaves_nothing_behind(tmp_path):
    nodes = Standalone(tmp_path / "nodes", worker_memory="1g")
    try:
        number = nodes.start_worker()
        sessions = [nodes.workers[number].pid, nodes._master.pid]
        assert members(sessions[0], "deploy.worker.Worker")
        nodes.kill_worker(number)
        assert not members(sessions[0])
        assert nodes.start_worker() == 1
    finally:
        nodes.stop()
    assert not any(members(process.pid) for process in [*nodes.workers, nodes._master])
