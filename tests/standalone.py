"""A Spark standalone cluster on this machine: a master and worker processes, which tests may kill."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
_START_LIMIT = 120  # seconds in which a master or worker must report that it runs


def clean_environment(home: Path, conf: Path) -> dict[str, str]:
    """The environment of a shell on another machine: no Python or Spark settings, another home, Spark's programs on the PATH."""
    hidden = ("PYTHON", "PYSPARK", "SPARK", "VIRTUAL_ENV", "PYTEST", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return {**environment, "HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"}


def members(session: int, word: str = "") -> list[int]:
    """Ids of the living processes of that session whose command line contains `word`, such as a worker's executors and their Python daemons."""
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, *numbers = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # the process has ended
            continue
        if int(numbers[2]) == session and state != "Z" and word in command:
            pids.append(int(entry.name))
    return pids


def kill(pids: list[int]) -> None:
    """Kills those of the processes that still exist."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


class Standalone:
    """A master and workers of one core each, bound to 127.0.0.1, with logs and work folders in `folder`.

    Each runs in a session of its own, which identifies all processes that it started; it dies with the test process.
    """

    def __init__(self, folder: Path, worker_memory: str = "2g") -> None:
        self.folder, self._worker_memory = folder, worker_memory
        self.workers: list[subprocess.Popen] = []
        for name in ("home", "conf"):
            (folder / name).mkdir(parents=True)
        self._master, self.master_url = self._start(
            "master", ["org.apache.spark.deploy.master.Master", "--port", "0"], r"Starting Spark master at (spark://\S+)"
        )

    def start_worker(self) -> int:
        """The number of a new worker, after the master has registered it."""
        number = len(self.workers)
        arguments = ["--cores", "1", "--memory", self._worker_memory, "--work-dir", str(self.work(number)), self.master_url]
        process, _ = self._start(f"worker{number}", ["org.apache.spark.deploy.worker.Worker", *arguments], r"Successfully registered with (master)")
        self.workers.append(process)
        return number

    def work(self, number: int) -> Path:
        """The folder with the files and logs of the worker's executors."""
        return self.folder / f"work{number}"

    def executors(self, number: int) -> list[int]:
        """Process ids of the worker's executors."""
        return members(self.workers[number].pid, "CoarseGrainedExecutorBackend")

    def python_workers(self, number: int) -> list[int]:
        """Process ids of its executors' Python workers and their daemons."""
        return members(self.workers[number].pid, "pyspark")

    def kill_worker(self, number: int) -> None:
        """Kills the worker and all processes that it started, as when its machine fails."""
        self._end(self.workers[number])

    def stop(self) -> None:
        """Kills everything; the folder stays."""
        for process in [*self.workers, self._master]:
            self._end(process)

    def _start(self, name: str, command: list[str], sign: str) -> tuple[subprocess.Popen, str]:
        """The process and the first group of `sign` in its log, after the log matches."""
        log = self.folder / f"{name}.log"
        environment = {**clean_environment(self.folder / "home", self.folder / "conf"), "SPARK_DAEMON_MEMORY": "256m", "SPARK_NO_DAEMONIZE": "1"}
        program = ["setpriv", "--pdeathsig", "KILL", "spark-class", *command[:1], "--host", "127.0.0.1", "--webui-port", "0", *command[1:]]
        with log.open("wb") as output:
            process = subprocess.Popen(program, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end and process.poll() is None:
            match = re.search(sign, log.read_text(errors="replace"))
            if match:
                return process, match.group(1)
            time.sleep(0.2)
        self._end(process)
        raise RuntimeError(f"the {name} did not start: {log.read_text(errors='replace')[-2000:]}")

    def _end(self, process: subprocess.Popen) -> None:
        while pids := members(process.pid):  # again for processes started meanwhile
            kill(pids)
            time.sleep(0.05)
        process.wait()
