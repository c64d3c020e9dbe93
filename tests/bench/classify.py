"""How long `xlclass classify` takes, cold and warm, and what `xlclass --help` costs.

Bars: cold, from the command to its answer, <= 15 s (median of three starts; after the first one the machine's files are in memory);
`xlclass --help` <= 0.4 s of processor time (the lowest of five). Milliseconds a text through `--serve`, one text at a time and many in
one pipe, are printed and not judged, as they are the encoder's. The parts of a cold start are printed too.

It needs a lake with a champion: `--lake`, or the demo's, which `jobs/pipeline.py` makes in two minutes if it is missing.
`--quick` starts once and sends 200 texts instead of 2,000; same bars.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from _checkout import ROOT, bench_parser, job_command
from _verdict import verdict

BARS = {"cold_seconds": 15.0, "help_cpu_seconds": 0.4}
TEXT = "Les meilleurs buts de la Ligue des champions"
COMMAND = [sys.executable, "-m", "xlclass.cli.main"]
STAGES = {  # the parts of a cold start, in their order, each in one process after those before it
    "python and command": "from xlclass.cli.commands import classify",
    "deltalake, detector": "import xlclass.pipeline.classifier",
    "champion found": "from xlclass.lake.registry import Registry; version = Registry(lake).champion()",
    "encoder's digest": "import xlclass.encoders as e; from xlclass.config import load_settings; spec = e.resolve_encoders(load_settings(conf))",
    "TensorFlow": "from xlclass.runtime.tensorflow_import import quiet_tensorflow_import\nwith quiet_tensorflow_import(): import tensorflow, tensorflow_text",
    "head (Keras)": "bundle = version.load()",
    "encoder loaded": "from xlclass.encoders.saved_model import load_encoder; encoder = load_encoder(spec)",
    "first text": "encoder.encode(['one'])",
}


def main() -> int:
    """Measures, writes build/bench/classify.json and prints the verdict."""
    parser = bench_parser(__doc__, "one start, 200 texts", needs_catalogue=False)
    parser.add_argument("--conf", default=str(ROOT / "conf" / "local.toml"), help="settings file; conf/local.toml unless given")
    parser.add_argument("--lake", default=str(ROOT / "build" / "demo"), help="the lake of the champion; the demo's unless given")
    arguments = parser.parse_args()
    if not (Path(arguments.lake) / "models").is_dir():
        subprocess.run(job_command("pipeline", "--conf", arguments.conf, "--lake", arguments.lake), check=True, stdout=subprocess.DEVNULL)
    classify = [*COMMAND, "classify", "--conf", arguments.conf, "--lake", arguments.lake]
    starts = [_cold([*classify, TEXT]) for _ in range(1 if arguments.quick else 3)]
    figures = {
        "help_cpu_seconds": min(_processor_seconds([*COMMAND, "--help"]) for _ in range(5)),
        "cold_seconds": statistics.median(seconds for seconds, _ in starts),
        **_warm([*classify, "--serve", "--json"], _titles(200 if arguments.quick else 2_000)),
    }
    stages = _stages(arguments.conf, arguments.lake)
    print("\n".join([starts[0][1], *(f"{name:<20} {seconds:6.2f} s" for name, seconds in stages.items())]))
    print("not judged: " + ", ".join(f"{name} {figures[name]:.1f}" for name in ("one_ms", "one_ms_p99", "pipe_ms")))
    return verdict("classify", figures, BARS, BARS, stages=stages, starts=[seconds for seconds, _ in starts], answer=starts[0][1])


def _processor_seconds(command: list[str]) -> float:
    """Processor seconds, user's and system's, of the command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _cold(command: list[str]) -> tuple[float, str]:
    """Seconds from the command to its answer, and the answer."""
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, done.stdout.strip()


def _stages(conf: str, lake: str) -> dict[str, float]:
    """Seconds of each part of one cold start."""
    lines = ["import json, time, sys", f"conf, lake, took = {conf!r}, {lake!r}, {{}}", "start = time.perf_counter()"]
    for name, code in STAGES.items():
        lines += [code, f"took[{name!r}] = time.perf_counter() - start; start = time.perf_counter()"]
    done = subprocess.run([sys.executable, "-c", "\n".join([*lines, "print(json.dumps(took))"])], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _titles(number: int) -> list[str]:
    """Titles of the embedded catalogue, languages in turn; repeated titles get a number, so that no two are equal."""
    files = sorted((ROOT / "xlclass" / "catalog" / "demo").glob("*.jsonl"))
    languages = [[json.loads(line)["title"] for line in file.read_text(encoding="utf-8").splitlines()] for file in files]
    rows = [language[i] for i in range(max(map(len, languages))) for language in languages if i < len(language)]
    return [f"{rows[i % len(rows)]} {i // len(rows) or ''}".strip() for i in range(number)]


def _warm(command: list[str], titles: list[str]) -> dict[str, float]:
    """Milliseconds a text: each sent after the answer to the one before (median and 99th percentile), and all in one pipe."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", bufsize=1)
    for title in titles[:20]:  # TensorFlow plans during the first calls
        _one_by_one(server, title)
    times = sorted(_one_by_one(server, title) for title in titles)
    _piped(server, titles)
    seconds = _piped(server, titles)
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


def _one_by_one(server: subprocess.Popen[str], title: str) -> float:
    """Seconds until the title is answered."""
    start = time.perf_counter()
    server.stdin.write(title + "\n")
    server.stdin.flush()
    server.stdout.readline()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
