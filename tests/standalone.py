"""A real Spark standalone cluster on this machine: a master and worker processes, which tests may kill."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
_START_LIMIT = 120  # seconds until a master or worker must have said that it runs


def clean_environment(home: Path, conf: Path) -> dict[str, str]:
    """The environment of another machine's shell: nothing of this session's Python, Spark or home, but Spark's programs on the PATH."""
    ours = ("PYTHON", "PYSPARK", "SPARK", "VIRTUAL_ENV", "PYTEST", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"}


def members(session: int, word: str = "") -> list[int]:
    """Ids of the living processes of that session whose command line has `word`: a worker's executors, their Python daemons, all below."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, *numbers = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if int(numbers[2]) == session and state != "Z" and word in command:
            found.append(int(entry.name))
    return found


def kill(pids: list[int]) -> None:
    """Ends the processes at once, those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


class Standalone:
    """A master and workers of one core each, bound to 127.0.0.1, with logs and work folders in `folder`.

    Each runs in a session of its own, by which all that it started is found and ended; it ends with the tests, however they end.
    """

    def __init__(self, folder: Path, worker_memory: str = "2g") -> None:
        self.folder, self._worker_memory = folder, worker_memory
        self.workers: list[subprocess.Popen] = []
        for name in ("home", "conf"):
            (folder / name).mkdir(parents=True)
        self._master, said = self._start("master", ["org.apache.spark.deploy.master.Master", "--port", "0"], r"Starting Spark master at (spark://\S+)")
        self.master_url = said

    def start_worker(self) -> int:
        """Starts a worker, waits until the master knows it, and gives its number."""
        number = len(self.workers)
        arguments = ["--cores", "1", "--memory", self._worker_memory, "--work-dir", str(self.work(number)), self.master_url]
        process, _ = self._start(f"worker{number}", ["org.apache.spark.deploy.worker.Worker", *arguments], r"Successfully registered with (master)")
        self.workers.append(process)
        return number

    def work(self, number: int) -> Path:
        """The folder where the worker keeps what its executors are given and say."""
        return self.folder / f"work{number}"

    def executors(self, number: int) -> list[int]:
        """Process ids of the worker's executors."""
        return members(self.workers[number].pid, "CoarseGrainedExecutorBackend")

    def python_workers(self, number: int) -> list[int]:
        """Process ids of its executors' Python workers and their daemon."""
        return members(self.workers[number].pid, "pyspark")

    def kill_worker(self, number: int) -> None:
        """Ends the worker and all that it started at once, as when its machine goes."""
        self._end(self.workers[number])

    def stop(self) -> None:
        """Ends everything; the folder stays."""
        for process in [*self.workers, self._master]:
            self._end(process)

    def _start(self, name: str, command: list[str], sign: str) -> tuple[subprocess.Popen, str]:
        """The process and what `sign` found in its log, when it says that it runs."""
        log = self.folder / f"{name}.log"
        environment = {**clean_environment(self.folder / "home", self.folder / "conf"), "SPARK_DAEMON_MEMORY": "256m", "SPARK_NO_DAEMONIZE": "1"}
        program = ["setpriv", "--pdeathsig", "KILL", "spark-class", *command[:1], "--host", "127.0.0.1", "--webui-port", "0", *command[1:]]
        with log.open("wb") as output:
            process = subprocess.Popen(program, cwd=self.folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + _START_LIMIT
        while time.monotonic() < end and process.poll() is None:
            found = re.search(sign, log.read_text(errors="replace"))
            if found:
                return process, found.group(1)
            time.sleep(0.2)
        self._end(process)
        raise RuntimeError(f"the {name} did not start: {log.read_text(errors='replace')[-2000:]}")

    def _end(self, process: subprocess.Popen) -> None:
        while pids := members(process.pid):  # again for what was started meanwhile
            kill(pids)
            time.sleep(0.05)
        process.wait()
