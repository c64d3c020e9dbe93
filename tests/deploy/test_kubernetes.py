"""conf/deploy/kubernetes: valid for Kubernetes and the spark-operator, with the sizes that `xlclass plan` prints and the image's paths."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT
from pinned_environment import environment

from xlclass.cli.main import main

pytestmark = pytest.mark.slow
FOLDER = ROOT / "conf" / "deploy" / "kubernetes"
# Fields of v1beta2 that the operator documents (kubeflow/spark-operator, api/v1beta2/sparkapplication_types.go): those that we might use.
FIELDS = """type sparkVersion mode image imagePullPolicy imagePullSecrets mainApplicationFile arguments sparkConf volumes driver executor deps
restartPolicy timeToLiveSeconds memoryOverheadFactor monitoring batchScheduler dynamicAllocation"""
POD_FIELDS = """cores coreLimit coreRequest memory memoryOverhead image env envFrom labels annotations volumeMounts affinity tolerations javaOptions
podSecurityContext securityContext nodeSelector terminationGracePeriodSeconds serviceAccount priorityClassName"""


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Validates files; returns their documents by kind."""
    python = environment(tmp_path_factory.mktemp("kubernetes") / "venv", Path(__file__).with_name("kubernetes.txt"))

    def read(*files: Path) -> dict[str, dict]:
        command = [python, Path(__file__).with_name("validate_kubernetes.py"), *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return {document["kind"]: document for document in json.loads(done.stdout)}

    return read


def planned(file: Path, capsys) -> dict[str, str]:
    """Spark's settings as printed by the `xlclass plan` command that stands in the file's comment."""
    command = re.search(r"^#\s+xlclass (plan .*)$", file.read_text(encoding="utf-8"), re.MULTILINE).group(1)
    assert main(shlex.split(command)) == 0
    return dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("spark."))


def megabytes(size: str) -> int:
    return int(re.fullmatch(r"(\d+)(?:m|Mi)", size).group(1))


def test_namespace_is_valid(documents):
    by_kind = documents(FOLDER / "namespace.yaml")
    assert by_kind["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert {"ServiceAccount", "Role", "RoleBinding"} < set(by_kind)


def test_cronjob_runs_one_at_a_time_and_retries_only_crashes(documents):
    job = documents(FOLDER / "cronjob.yaml")["CronJob"]["spec"]
    assert job["concurrencyPolicy"] == "Forbid"
    rule = job["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0]
    container = job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert (rule["action"], rule["onExitCodes"]) == ("FailJob", {"containerName": container["name"], "operator": "In", "values": [2, 3]})


def test_cronjob_requests_the_sizes_of_the_plan(documents, capsys):
    pod = documents(FOLDER / "cronjob.yaml")["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    container, plan = pod["containers"][0], planned(FOLDER / "cronjob.yaml", capsys)
    assert container["args"][container["args"].index("--driver-memory") + 1] == plan["spark.executor.memory"]
    assert f"local[{plan['spark.executor.cores']},4]" in container["args"]
    assert container["resources"]["requests"]["cpu"] == plan["spark.executor.cores"]
    needed = megabytes(plan["spark.executor.memory"]) + megabytes(plan["spark.executor.memoryOverhead"])
    assert megabytes(container["resources"]["limits"]["memory"]) == needed + 2048


def test_sparkapplication_has_only_fields_that_the_operator_documents(documents):
    application = documents(FOLDER / "sparkapplication.yaml")["SparkApplication"]
    assert application["apiVersion"] == "sparkoperator.k8s.io/v1beta2"
    spec = application["spec"]
    assert set(spec) <= set(FIELDS.split())
    assert {"type", "sparkVersion", "mainApplicationFile", "driver", "executor"} <= set(spec)
    assert (spec["type"], spec["mode"], spec["restartPolicy"]) == ("Python", "cluster", {"type": "Never"})
    assert set(spec["driver"]) <= set(POD_FIELDS.split())
    assert set(spec["executor"]) <= {*POD_FIELDS.split(), "instances"}
    assert all(isinstance(value, str) for value in spec["sparkConf"].values())


def test_sparkapplication_makes_valid_pods_without_root(documents, tmp_path):
    spec = documents(FOLDER / "sparkapplication.yaml")["SparkApplication"]["spec"]
    for part in ("driver", "executor"):
        container = {"name": part, "image": spec["image"], "securityContext": spec[part]["securityContext"], "volumeMounts": spec[part]["volumeMounts"]}
        pod = {"securityContext": spec[part]["podSecurityContext"], "volumes": spec["volumes"], "containers": [container]}
        file = tmp_path / f"{part}.json"
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": pod}))
        assert documents(file)["Pod"]["spec"]["securityContext"]["runAsNonRoot"]
        assert {"/lake", "/catalogue", "/tmp"} <= {mount["mountPath"] for mount in spec[part]["volumeMounts"]}
        assert {mount["name"] for mount in spec[part]["volumeMounts"]} <= {volume["name"] for volume in spec["volumes"]}


def test_sparkapplication_has_the_cores_and_memory_of_the_plan(documents, capsys):
    executor = documents(FOLDER / "sparkapplication.yaml")["SparkApplication"]["spec"]["executor"]
    plan = planned(FOLDER / "sparkapplication.yaml", capsys)
    assert {f"spark.executor.{name}": str(executor[name]) for name in ("instances", "cores", "memory", "memoryOverhead")} == plan
