"""Messages of a job: text lines for a terminal, JSON lines for a log collector; whatever a process prints or logs is without secrets.

The driver passes the log format and the run's id to the Python workers in a local property, which Spark attaches to every
task; `encoders/udf.py` reads it. A worker writes to the standard error of its executor.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import stat
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from xlclass.runtime.redaction import redacted
from xlclass.runtime.terminal import printable

FORMATS = ("auto", "text", "json")
LOCAL_PROPERTY = "xlclass.log"
_WIDTH = 79  # of a terminal; spark-submit's pipe hides the true width
_PSEUDO_TERMINALS = range(136, 144)  # their major device numbers on Linux
_MAX_LINE = 4_000  # characters
_CLEAR = "\r\x1b[K"


@dataclass(frozen=True)
class LogFormat:
    """The format of a run's messages: `kind` is text or json; every JSON line contains `job` and `run_id`."""

    kind: str
    job: str
    run_id: str

    def to_text(self) -> str:
        """The value of `LOCAL_PROPERTY`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> LogFormat:
        """The format that `to_text` wrote."""
        return cls(**json.loads(text))


def choose_format(option: str, job: str, run_id: str) -> LogFormat:
    """The format for the value of `--log`; auto is text at a terminal and JSON elsewhere."""
    return LogFormat(("text" if is_terminal() else "json") if option == "auto" else option, job, run_id)


def configure(log_format: LogFormat, **task: int | str) -> None:
    """Makes this process write its messages to standard error in `log_format`; a worker adds the numbers of its `task`.

    A record with the attribute `for_collectors` appears in JSON only, because a person reads it elsewhere.
    """
    root = logging.getLogger()
    for previous in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(previous)
    handler = _Handler(log_format.kind)
    handler.setFormatter(_JsonFormatter(log_format, task) if log_format.kind == "json" else _TextFormatter(task))
    root.addHandler(handler)
    logging.getLogger("xlclass").setLevel(logging.INFO)


@contextmanager
def without_secrets(but_output: bool = False) -> Iterator[None]:
    """While the block runs, secrets are removed from all that is written to standard output, unless `but_output`, and to standard error."""
    output = sys.stdout if but_output else cast(TextIO, _WithoutSecrets(sys.stdout))
    with redirect_stdout(output), redirect_stderr(cast(TextIO, _WithoutSecrets(sys.stderr))):
        yield


def print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: prints the traceback that ends a process as Python does, but without secrets."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def is_terminal() -> bool:
    """Whether a person reads standard error.

    spark-submit collects the output and errors of a Python job in one pipe and copies them to its own output, so under
    spark-submit the output of the parent process decides.
    """
    if sys.stderr.isatty():
        return True
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return False
    try:
        status = Path(f"/proc/{os.getppid()}/fd/1").stat()
    except OSError:  # not on Linux, or another user's process
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _PSEUDO_TERMINALS


def show_progress(line: str) -> None:
    """Replaces the last progress line at the terminal by `line`; "" removes it."""
    if line or _Handler.has_progress_line:
        sys.stderr.write(_CLEAR + line[:_WIDTH])
        sys.stderr.flush()
    _Handler.has_progress_line = bool(line)


class _WithoutSecrets:
    """A stream that removes secrets from each text that is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the current standard error, after it removed the progress line."""

    has_progress_line = False

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.addFilter(lambda record: kind == "json" or not getattr(record, "for_collectors", False))

    def emit(self, record: logging.LogRecord) -> None:
        show_progress("")
        self.stream = sys.stderr
        super().emit(record)


class _TextFormatter(logging.Formatter):
    def __init__(self, task: dict[str, int | str]) -> None:
        numbers = ", ".join(f"{name} {value}" for name, value in task.items())
        super().__init__(f"%(asctime)s {f'worker ({numbers}): ' if numbers else ''}%(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line, _MAX_LINE) for line in redacted(super().format(record)).split("\n"))


class _JsonFormatter(logging.Formatter):
    def __init__(self, log_format: LogFormat, task: dict[str, int | str]) -> None:
        super().__init__()
        self._fields = {"job": log_format.job, "run_id": log_format.run_id, "process": "worker" if task else "driver", **task}

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), **self._fields, "logger": record.name, "message": redacted(record.getMessage())}
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
