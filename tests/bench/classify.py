"""How long `xlclass classify` takes: cold, warm, and the price of `xlclass --help`.

Bars: cold, from the command to its answer, <= 15 s (median of three starts; the machine's files are in memory after the first);
`xlclass --help` <= 0.4 s of processor time (the least of five). Milliseconds a text through `--serve`, one text at a time and many in a
pipe, are printed and not judged: they are the encoder's. What the cold start is spent on is printed too.

It needs a lake with a champion: `--lake`, or the demo's, which it makes with `jobs/pipeline.py` where it is not there yet.
`--quick` starts once, and sends 200 texts instead of 2,000.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BARS = {"cold_seconds": 15.0, "help_cpu_seconds": 0.4}
TEXT = "Les meilleurs buts de la Ligue des champions"
COMMAND = [sys.executable, "-m", "xlclass.cli.main"]
STAGES = {  # what the cold start does, in its order, each in one process after those before it
    "python and command": "from xlclass.cli.commands import classify",
    "deltalake, detector": "import xlclass.pipeline.classifier",
    "champion found": "from xlclass.lake.registry import Registry; version = Registry(lake).champion()",
    "encoder's digest": "import xlclass.encoders as e; from xlclass.config import load_settings; spec = e.resolve_encoder(load_settings(conf))",
    "TensorFlow": "from xlclass.runtime.tensorflow_import import quiet_tensorflow_import\nwith quiet_tensorflow_import(): import tensorflow, tensorflow_text",
    "head (Keras)": "bundle = version.load()",
    "encoder loaded": "from xlclass.encoders.saved_model import load_encoder; encoder = load_encoder(spec)",
    "first text": "encoder.encode(['one'])",
}


def main() -> int:
    """Measures, writes build/bench/classify.json and prints the verdict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conf", default=str(ROOT / "conf" / "local.toml"), help="settings file; conf/local.toml unless given")
    parser.add_argument("--lake", default=str(ROOT / "build" / "demo"), help="the lake of the champion; the demo's unless given")
    parser.add_argument("--quick", action="store_true", help="one start, 200 texts")
    given = parser.parse_args()
    os.environ |= {"PYTHONPATH": str(ROOT), "SPARK_CONF_DIR": str(ROOT / "conf"), "PYSPARK_PYTHON": sys.executable}
    if not (Path(given.lake) / "models").is_dir():
        submit = [str(Path(sys.executable).parent / "spark-submit"), str(ROOT / "jobs" / "pipeline.py"), "--conf", given.conf, "--lake", given.lake]
        subprocess.run(submit, check=True, stdout=subprocess.DEVNULL)
    where = ["classify", "--conf", given.conf, "--lake", given.lake]
    report: dict[str, object] = {"help_cpu_seconds": min(_cpu([*COMMAND, "--help"]) for _ in range(5))}
    colds = [_cold([*COMMAND, *where, TEXT]) for _ in range(1 if given.quick else 3)]
    report |= {"cold_seconds": statistics.median(seconds for seconds, _ in colds), "starts": [seconds for seconds, _ in colds], "answer": colds[0][1]}
    report["stages"] = _stages(given.conf, given.lake)
    report |= _warm([*COMMAND, *where, "--serve", "--json"], _titles(200 if given.quick else 2_000))
    return _verdict(report)


def _cpu(command: list[str]) -> float:
    """Processor seconds, user's and system's, of the command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _cold(command: list[str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, done.stdout.strip()


def _stages(conf: str, lake: str) -> dict[str, float]:
    """Wall seconds of each part of one cold start."""
    lines = ["import json, time, sys", f"conf, lake, took = {conf!r}, {lake!r}, {{}}", "start = time.perf_counter()"]
    for name, code in STAGES.items():
        lines += [code, f"took[{name!r}] = time.perf_counter() - start; start = time.perf_counter()"]
    done = subprocess.run([sys.executable, "-c", "\n".join([*lines, "print(json.dumps(took))"])], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _titles(number: int) -> list[str]:
    """Titles of the embedded catalogue, languages in turn, again from the start (with a number, so that none is like another) if need be."""
    files = sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl"))
    languages = [[json.loads(line)["title"] for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    rows = [language[i] for i in range(max(map(len, languages))) for language in languages if i < len(language)]
    return [f"{rows[i % len(rows)]} {i // len(rows) or ''}".strip() for i in range(number)]


def _warm(command: list[str], titles: list[str]) -> dict[str, float]:
    """Milliseconds a text: each asked after the answer to the one before (median and 99 of 100), and all in one pipe."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1)
    assert server.stdin
    assert server.stdout
    for title in titles[:20]:  # the first calls make TensorFlow plan
        _asked(server, title)
    times = sorted(_asked(server, title) for title in titles)
    seconds = [_piped(server, titles) for _ in range(2)][1]
    server.communicate()
    return {"one_ms": 1000 * statistics.median(times), "one_ms_p99": 1000 * times[int(0.99 * len(times))], "pipe_ms": 1000 * seconds / len(titles)}


def _piped(server: subprocess.Popen[str], titles: list[str]) -> float:
    """Seconds until the last of the titles, sent as fast as the pipe takes them, is answered."""
    start = time.perf_counter()
    sender = threading.Thread(target=lambda: (server.stdin.write("\n".join(titles) + "\n"), server.stdin.flush()))
    sender.start()
    for _ in titles:
        server.stdout.readline()
    sender.join()
    return time.perf_counter() - start


def _asked(server: subprocess.Popen[str], title: str) -> float:
    start = time.perf_counter()
    server.stdin.write(title + "\n")
    server.stdin.flush()
    server.stdout.readline()
    return time.perf_counter() - start


def _verdict(report: dict[str, object]) -> int:
    file = ROOT / "build" / "bench" / "classify.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**report, "bars": BARS}, indent=1, ensure_ascii=False))
    print(json.dumps(report, indent=1, ensure_ascii=False))
    said = [f"{name} {report[name]:.2f} (<= {bar}) {'ok' if report[name] <= bar else 'MISSED'}" for name, bar in BARS.items()]
    warm = [f"{name} {report[name]:.1f} (not judged)" for name in ("one_ms", "one_ms_p99", "pipe_ms")]
    print(f"classify: {'; '.join(said + warm)}")
    return 0 if all(report[name] <= bar for name, bar in BARS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
