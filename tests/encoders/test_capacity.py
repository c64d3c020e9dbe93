"""The capacity plan of a backfill, computed and at the command line."""

import pytest
from conftest import ROOT
from refusals import message_of

from xlclass.cli import main
from xlclass.config import EncoderSettings
from xlclass.encoders.capacity import (
    GIB,
    MAX_CORES,
    MIB,
    SECONDS_PER_ROW,
    SECONDS_PER_ROW_E5,
    WORKER_E5,
    WORKER_LOADED,
    WORKER_PER_BATCH,
    WORKER_PER_CHARACTER,
    CapacityPlan,
    available_memory,
    parse_positive,
    parse_size,
    plan_capacity,
    require_memory,
    second_share,
    seconds_per_row,
    worker_bytes,
)
from xlclass.errors import MachineError, SettingsError


def test_worker_bytes_depend_on_the_encoder_and_its_batches():
    small, alone, other = EncoderSettings(batch_characters=1_000, extension="none"), EncoderSettings(extension="none"), EncoderSettings(model="/models/other")
    assert worker_bytes(small) == WORKER_LOADED + 1_000 * WORKER_PER_CHARACTER
    assert worker_bytes(alone) == WORKER_LOADED + WORKER_PER_BATCH
    assert worker_bytes(EncoderSettings()) == worker_bytes(EncoderSettings(batch_characters=10_000_000)) == worker_bytes(alone) + WORKER_E5
    assert worker_bytes(EncoderSettings(extension="both")) == worker_bytes(EncoderSettings())
    assert worker_bytes(other) == WORKER_LOADED + 24_000 * WORKER_PER_CHARACTER
    assert worker_bytes(EncoderSettings(model="/models/other", batch_characters=100_000)) == WORKER_LOADED + 100_000 * WORKER_PER_CHARACTER


def test_the_time_of_a_row_follows_the_share_of_the_languages_that_the_second_encoder_takes():
    assert second_share("en=30,fr=30,cs=40") == second_share(" cs=4 , en=6") == pytest.approx(0.4)
    assert second_share("en=1") == 0
    assert seconds_per_row(EncoderSettings(), 0) == SECONDS_PER_ROW
    assert seconds_per_row(EncoderSettings(), 1) == SECONDS_PER_ROW_E5
    assert seconds_per_row(EncoderSettings(extension="both"), 0) == SECONDS_PER_ROW + SECONDS_PER_ROW_E5
    assert seconds_per_row(EncoderSettings(extension="none"), 1) == seconds_per_row(EncoderSettings(model="/models/other"), 1) == SECONDS_PER_ROW
    for wrong in ("en", "en=x", "=3", "en=0", ""):
        with pytest.raises(SettingsError, match="--languages"):
            second_share(wrong)


def test_plan_capacity_agrees_with_a_calculation_by_hand():
    """Two workers: a heap of 2 + 2/2 GiB, an overhead of 384 MiB (a tenth of the heap is less), 2 x 1 GiB of Python."""
    plan = plan_capacity(2, 8 * GIB, 1_000_000, seconds_per_row=0.0036, cost_per_core_hour=0.5, bytes_per_worker=GIB)
    assert plan == CapacityPlan(1_000_000, 1, 2, 3 * GIB, 2 * GIB, 384 * MIB, pytest.approx(1_800), pytest.approx(0.5))
    assert plan.cost_per_million == pytest.approx(0.5)
    assert (plan.workers, plan.partitions, plan.chunk_videos) == (2, 8, 50_000)
    assert plan.spark_settings() == {
        "spark.executor.instances": "1",
        "spark.executor.cores": "2",
        "spark.executor.memory": "3072m",
        "spark.executor.memoryOverhead": "2432m",
    }


def test_plan_capacity_stays_within_the_machines():
    machines = [(1, 6), (3, 9), (16, 64), (17, 64), (40, 64), (64, 8), (320, 1_280), (1_000, 4_000)]
    plans = {(cores, gib): plan_capacity(cores, gib * GIB, 1_000) for cores, gib in machines}
    assert not {machine: plan for machine, plan in plans.items() if not 1 <= plan.workers <= machine[0]}
    totals = {machine: plan.executors * (plan.heap_bytes + plan.python_bytes + plan.overhead_bytes) for machine, plan in plans.items()}
    assert not {machine: total for machine, total in totals.items() if total > machine[1] * GIB}
    assert max(plan.workers_per_executor for plan in plans.values()) <= MAX_CORES


def test_plan_capacity_is_limited_by_memory_and_counts_the_cost_of_idle_cores():
    few, many = plan_capacity(16, 16 * GIB, 1_000_000), plan_capacity(16, 64 * GIB, 1_000_000)
    assert few.workers < many.workers == 16
    assert few.cost == pytest.approx(many.cost * 16 / few.workers)


def test_plan_capacity_refuses_memory_for_less_than_one_worker():
    with pytest.raises(MachineError, match=r"a Python worker with the encoder and its JVM need 5\.2 GiB, but there are 3\.0 GiB"):
        plan_capacity(4, 3 * GIB, 1_000)


def test_require_memory_names_the_number_of_workers_that_fit():
    enough = 3 * GIB + 384 * MIB + 4 * worker_bytes(EncoderSettings())
    require_memory(4, enough, 3 * GIB)
    require_memory(4, None, 3 * GIB)  # unknown memory is not checked
    with pytest.raises(MachineError, match=r"^4 Python workers .* run with spark\.master local\[3,4\] or free some memory$"):
        require_memory(4, enough - 1, 3 * GIB)
    with pytest.raises(MachineError, match=r"lower spark\.driver\.memory or free"):
        require_memory(1, 2 * GIB, 3 * GIB)


def test_available_memory_is_that_of_the_kernel(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       24000000 kB\nMemFree:          100 kB\nMemAvailable:   1048576 kB\n")
    assert available_memory(meminfo, tmp_path) == GIB
    meminfo.write_text("MemTotal:       24000000 kB\n")
    assert available_memory(meminfo, tmp_path) is None
    assert available_memory(tmp_path / "none", tmp_path) is None


def test_available_memory_of_a_container_stays_below_its_limit(tmp_path):
    """4 GiB allowed, 3 GiB used, 1 GiB of those for cached files: 2 GiB are free, although the machine has 8."""
    (tmp_path / "meminfo").write_text("MemAvailable:   8388608 kB\n")
    for name, text in {"memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n", "memory.stat": f"anon 7\ninactive_file {GIB}\n"}.items():
        (tmp_path / name).write_text(text)
    assert available_memory(tmp_path / "meminfo", tmp_path) == 2 * GIB
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path / "meminfo", tmp_path) == 8 * GIB


def test_parse_size_accepts_sparks_notation():
    sizes = {"64g": 65_536, "512m": 512, "1T": 1_048_576, " 2048k ": 2, "1.5gb": 1_536, "3GiB": 3_072}
    assert {text: parse_size("--memory", text) for text in sizes} == {text: mib * MIB for text, mib in sizes.items()}


def test_parse_size_refuses_other_text():
    texts = ["", "64", "g", "-1g", "0g", "64 apples", "1e3g", "٣g", "nan", "64g\n64g"]
    messages = {text: message_of(parse_size, "--memory", text) for text in texts}
    assert not {text: message for text, message in messages.items() if "--memory must be a number and its unit" not in message}


def test_parse_positive_refuses_other_text():
    texts = ["", "0", "-1", "2.5", "many", "nan", "inf", "9" * 30]
    messages = {text: message_of(parse_positive, "--rows", text, True) for text in texts}
    assert not {text: message for text, message in messages.items() if "--rows must be a whole number above 0" not in message}


def test_plan_prints_workers_memory_time_and_cost(capsys):
    assert main.main(["plan", "--cores", "16", "--memory", "64g", "--rows", "500000000"]) == 0
    output = capsys.readouterr().out
    parts = [
        "16 Python workers",
        "GiB per executor",
        "64 per chunk of 400,000 videos",
        "1 d 19 h for 500,000,000 videos",
        "0.07 per million videos",
        "10% of the videos",
    ]
    assert [part for part in parts if part not in output] == []
    assert "spark.executor.memory           10240m\n" in output


def test_plan_uses_the_batch_sizes_of_the_settings(capsys, tmp_path):
    settings = tmp_path / "big.toml"
    settings.write_text('[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\nmodel = "elsewhere"\nbatch_characters = 256000\n')
    num_workers = []
    for conf in (settings, ROOT / "conf" / "local.toml"):
        assert main.main(["plan", "--cores", "16", "--memory", "32g", "--rows", "1", "--conf", str(conf)]) == 0
        num_workers.append(int(capsys.readouterr().out.split()[1]))
    assert num_workers[0] < num_workers[1]


def test_plan_refuses_a_wrong_option_with_one_sentence(capsys):
    failures = []
    for wrong in ({"--cores": "two"}, {"--memory": "64"}, {"--rows": "0"}, {"--cost-per-core-hour": "free"}, {"--memory": "1g"}):
        options = {"--cores": "4", "--memory": "64g", "--rows": "1000", **wrong}
        exit_code = main.main(["plan", *(word for pair in options.items() for word in pair)])
        output = capsys.readouterr()
        if exit_code != 2 or output.out or not output.err.startswith("xlclass: ") or output.err.count("\n") != 1:
            failures.append((wrong, exit_code, output))
    assert failures == []
