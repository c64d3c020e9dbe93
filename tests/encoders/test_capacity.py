"""How big a backfill is, on paper and at the command line."""

import pytest
from conftest import ROOT

from xlclass.cli import main
from xlclass.config import EncoderSettings
from xlclass.encoders.capacity import (
    GIB,
    MIB,
    MOST_CORES,
    WORKER_LOADED,
    WORKER_PER_BATCH,
    WORKER_PER_CHARACTER,
    CapacityPlan,
    available_memory,
    capacity,
    positive,
    require_room,
    size,
    worker_bytes,
)
from xlclass.errors import MachineError, SettingsError


def test_worker_bytes_follow_the_encoder_and_its_batches():
    few, embedded, other = EncoderSettings(batch_characters=1_000), EncoderSettings(), EncoderSettings(model="/models/other")
    assert worker_bytes(few) == WORKER_LOADED + 1_000 * WORKER_PER_CHARACTER
    assert worker_bytes(embedded) == worker_bytes(EncoderSettings(batch_characters=10_000_000)) == WORKER_LOADED + WORKER_PER_BATCH
    assert worker_bytes(other) == WORKER_LOADED + 24_000 * WORKER_PER_CHARACTER
    assert worker_bytes(EncoderSettings(model="/models/other", batch_characters=100_000)) == WORKER_LOADED + 100_000 * WORKER_PER_CHARACTER


def test_capacity_is_worked_out_by_hand():
    """Two workers: a heap of 2 + 2/2 GiB, 384 MiB beside it (a tenth of the heap is less), 2 x 1 GiB of Python."""
    found = capacity(2, 8 * GIB, 1_000_000, seconds_per_row=0.0036, cost_per_core_hour=0.5, worker=GIB)
    assert found == CapacityPlan(1_000_000, 1, 2, 3 * GIB, 2 * GIB, 384 * MIB, pytest.approx(1_800), pytest.approx(0.5))
    assert found.cost_per_million == pytest.approx(0.5)
    assert (found.workers, found.partitions, found.chunk_videos) == (2, 8, 50_000)
    assert found.settings() == {
        "spark.executor.instances": "1",
        "spark.executor.cores": "2",
        "spark.executor.memory": "3072m",
        "spark.executor.memoryOverhead": "2432m",
    }


@pytest.mark.parametrize(("cores", "memory_gib"), [(1, 5), (3, 9), (16, 64), (17, 64), (40, 64), (64, 8), (320, 1_280), (1_000, 4_000)])
def test_capacity_stays_within_the_machines(cores, memory_gib):
    found = capacity(cores, memory_gib * GIB, 1_000)
    assert 1 <= found.workers <= cores
    assert found.executors * (found.heap_bytes + found.python_bytes + found.overhead_bytes) <= memory_gib * GIB
    assert found.workers_per_executor <= MOST_CORES


def test_capacity_is_limited_by_memory_and_pays_for_idle_cores():
    few, many = capacity(16, 16 * GIB, 1_000_000), capacity(16, 64 * GIB, 1_000_000)
    assert few.workers < many.workers == 16
    assert few.cost == pytest.approx(many.cost * 16 / few.workers)


def test_capacity_refuses_memory_without_room_for_one_worker():
    with pytest.raises(MachineError, match=r"3\.0 GiB of memory hold no Python worker with the encoder: the first takes 4\.8 GiB"):
        capacity(4, 3 * GIB, 1_000)


def test_require_room_names_what_fits():
    enough = 3 * GIB + 384 * MIB + 4 * worker_bytes(EncoderSettings())
    require_room(4, enough, 3 * GIB)
    require_room(4, None, 3 * GIB)  # not known: not checked
    with pytest.raises(MachineError, match=r"^4 Python workers .* run with spark\.master local\[3,4\] or free some memory$"):
        require_room(4, enough - 1, 3 * GIB)
    with pytest.raises(MachineError, match=r"lower spark\.driver\.memory or free"):
        require_room(1, 2 * GIB, 3 * GIB)


def test_available_memory_reads_the_kernels_word(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24000000 kB\nMemFree:          100 kB\nMemAvailable:   1048576 kB\n")
    assert available_memory(meminfo, tmp_path) == GIB
    meminfo.write_text("MemTotal:       24000000 kB\n")
    assert available_memory(meminfo, tmp_path) is None
    assert available_memory(tmp_path / "none", tmp_path) is None


def test_available_memory_of_a_container_is_what_its_limit_leaves(tmp_path):
    """4 GiB allowed, 3 GiB used, of which 1 GiB are cached files: 2 GiB are left, though the machine has 8."""
    (tmp_path / "meminfo").write_text("MemAvailable:   8388608 kB\n")
    for name, text in {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": f"anon 7\ninactive_file {GIB}\n"}.items():
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path / "meminfo", tmp_path) == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path / "meminfo", tmp_path) == 8 * GIB


@pytest.mark.parametrize(("text", "mib"), [("64g", 65_536), ("512m", 512), ("1T", 1_048_576), (" 2048k ", 2), ("1.5gb", 1_536), ("3GiB", 3_072)])
def test_size_takes_what_spark_takes(text, mib):
    assert size("--memory", text) == mib * MIB


@pytest.mark.parametrize("text", ["", "64", "g", "-1g", "0g", "64 apples", "1e3g", "٣g", "nan", "64g\n64g"])
def test_size_refuses_what_is_none(text):
    with pytest.raises(SettingsError, match="--memory must be a number and its unit"):
        size("--memory", text)


@pytest.mark.parametrize("text", ["", "0", "-1", "2.5", "many", "nan", "inf", "9" * 30])
def test_positive_refuses_what_is_none(text):
    with pytest.raises(SettingsError, match="--rows must be a whole number above 0"):
        positive("--rows", text, whole=True)


def test_plan_prints_workers_memory_time_and_cost(capsys):
    assert main.main(["plan", "--cores", "16", "--memory", "64g", "--rows", "500000000"]) == 0
    said = capsys.readouterr().out
    sizes = ("16 Python workers", "GiB an executor", "64 a chunk of 400,000 videos")
    for part in (*sizes, "19 hours 58 minutes for 500,000,000 videos", "0.03 per million videos"):
        assert part in said
    assert "spark.executor.memory           10240m\n" in said


def test_plan_takes_the_batches_of_the_settings(capsys, tmp_path):
    settings = tmp_path / "big.toml"
    settings.write_text('[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\nmodel = "elsewhere"\nbatch_characters = 256000\n')
    said = []
    for conf in (settings, ROOT / "conf" / "local.toml"):
        assert main.main(["plan", "--cores", "16", "--memory", "32g", "--rows", "1", "--conf", str(conf)]) == 0
        said.append(int(capsys.readouterr().out.split()[1]))
    assert said[0] < said[1]


@pytest.mark.parametrize("wrong", [{"--cores": "two"}, {"--memory": "64"}, {"--rows": "0"}, {"--cost-per-core-hour": "free"}, {"--memory": "1g"}])
def test_plan_refuses_with_one_sentence(wrong, capsys):
    given = {"--cores": "4", "--memory": "64g", "--rows": "1000", **wrong}
    assert main.main(["plan", *(word for pair in given.items() for word in pair)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("xlclass: ")
    assert said.err.count("\n") == 1
