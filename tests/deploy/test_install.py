"""conf/deploy/install.sh, which is all that the Dockerfile runs, in a fresh Debian of the same release. Some six minutes."""

import re
import shutil
from pathlib import Path

import deltalake
import pytest
from conftest import ROOT
from debian_root import CannotMakeRoot, as_user, debian_root, in_root

from xlclass.cli.main import main

DEPLOY = ROOT / "conf" / "deploy"
RELEASES = {"12": "bookworm"}
USER = 10001


def dockerfile(word: str) -> list[str]:
    """The Dockerfile's lines that begin with `word`, without it."""
    return re.findall(rf"^{word} (.+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", ""), re.MULTILINE)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The root folder after the script: 4 GB, removed at the end."""
    folder = tmp_path_factory.mktemp("debian") / "root"
    release = RELEASES[re.fullmatch(r"debian:(\d+)\.\d+-slim", dockerfile("FROM")[0]).group(1)]
    try:
        debian_root(folder, release)
    except CannotMakeRoot as reason:
        pytest.skip(str(reason))
    done = in_root(folder, ["/source/conf/deploy/install.sh"])
    assert done.returncode == 0, done.stdout[-3000:]
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def demo(root, tmp_path_factory):
    """The lake of the main job, started as Spark on Kubernetes starts a driver in the image, and what the job printed."""
    lake = tmp_path_factory.mktemp("lake")
    shutil.chown(lake, USER, USER)
    for folder in (lake.parent, lake.parent.parent):
        folder.chmod(0o755)
    (lake / "spark.properties").write_text("spark.master=local[2]\nspark.driver.memory=2g\n")
    job = ["local:///opt/xlclass/jobs/pipeline.py", "--conf", "/opt/xlclass/conf/local.toml", "--lake", "/lake/demo"]
    driver = ["driver", "--properties-file", "/lake/spark.properties", "--class", "org.apache.spark.deploy.PythonRunner", *job]
    done = as_user(root, lake, USER, ["SPARK_DRIVER_BIND_ADDRESS=127.0.0.1", "/opt/xlclass/entrypoint.sh", *driver])
    assert done.returncode == 0, done.stdout[-3000:]
    return lake / "demo", done.stdout


def test_dockerfile_only_runs_the_script_and_switches_to_its_user():
    (run,) = dockerfile("RUN")
    assert run.split()[-1] == "/source/conf/deploy/install.sh"
    assert all(option.startswith("--mount=type=") for option in run.split()[:-1])
    assert dockerfile("USER") == [str(USER)]
    assert f"--uid {USER}" in (DEPLOY / "install.sh").read_text(encoding="utf-8")
    assert not dockerfile("COPY") + dockerfile("ADD") + dockerfile("ARG")


def test_settings_of_the_image_pass_the_check(tmp_path, capsys):
    for file in (DEPLOY / "settings.toml", ROOT / "conf" / "taxonomy.toml", ROOT / "conf" / "abbreviations.toml"):
        shutil.copy(file, tmp_path)
    assert main(["check", "--settings-only", "--conf", str(tmp_path / "settings.toml")]) == 0
    assert "15 categories" in capsys.readouterr().out


@pytest.mark.deploy
def test_pipeline_runs_in_the_image_as_a_user_without_network_on_a_read_only_root(demo):
    lake, printed = demo
    assert len([line for line in printed.splitlines() if re.search(r" \d\.\d{3} ", line)]) >= 24
    predictions = deltalake.DeltaTable(str(lake / "predictions")).to_pandas()
    assert len(predictions) == 1_512
    assert set(predictions.status) <= {"ok", "abstained"}


@pytest.mark.deploy
def test_classify_in_the_image_uses_the_model_of_the_lake(root, demo):
    lake, _ = demo
    command = ["/opt/xlclass/entrypoint.sh", "xlclass", "classify", "--conf", "/opt/xlclass/conf/local.toml", "--lake", "/lake/demo"]
    done = as_user(root, lake.parent, USER, [*command, "Les meilleurs buts de la Ligue des champions"])
    assert done.returncode == 0, done.stdout
    assert "sports" in done.stdout


@pytest.mark.deploy
def test_image_belongs_to_root_and_holds_the_encoders(root):
    assert {path.parent.name[:2] for path in Path(root, "var/lib/xlclass/.cache/xlclass").glob("*/model.sha256")} == {"mu", "e5"}
    owned_by_user = in_root(root, ["find", "/opt", "/usr", "/etc", "/var/lib/xlclass/.cache", "-user", str(USER)])
    assert (owned_by_user.returncode, owned_by_user.stdout) == (0, "")
    assert not [name for name in (".cache/pip", "root/.cache/pip") if (root / name).exists()]


@pytest.mark.deploy
def test_executor_of_the_image_starts_sparks_executor_backend(root, tmp_path):
    """Up to the connection to a driver, which does not exist here: the class is found and takes the options."""
    environment = {"DRIVER_URL": "spark://nobody@127.0.0.1:1", "EXECUTOR_ID": "1", "EXECUTOR_CORES": "1", "EXECUTOR_MEMORY": "512m", "APPLICATION_ID": "app"}
    environment |= {"EXECUTOR_POD_IP": "127.0.0.1", "EXECUTOR_POD_NAME": "pod", "RESOURCE_PROFILE_ID": "0", "JAVA_OPT_0": "-Dspark.driver.port=1"}
    shutil.chown(tmp_path, USER, USER)
    done = as_user(root, tmp_path, USER, [*(f"SPARK_{name}={value}" for name, value in environment.items()), "/opt/xlclass/entrypoint.sh", "executor"])
    assert done.returncode != 0
    assert "Failed to connect to /127.0.0.1:1" in done.stdout, done.stdout[-2000:]
