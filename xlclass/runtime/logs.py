"""What a job says while it works: lines to read at a terminal, JSON lines for a collector, both with the secrets left out.

The driver tells its form and the run's id to the Python workers by a local property of Spark, which Spark hands to every
task; `encoders/udf.py` reads it there. Standard error of a worker is its executor's.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import stat
import sys
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from xlclass.runtime.redaction import redacted
from xlclass.runtime.terminal import shown

FORMS = ("auto", "text", "json")
PROPERTY = "xlclass.log"
_WIDTH = 79  # of a terminal whose width spark-submit's pipe hides
_TERMINALS = range(136, 144)  # major numbers of pseudo-terminals on Linux
_MOST = 4_000  # characters of a line of text
_CLEAR = "\r\x1b[K"


@dataclass(frozen=True)
class LogForm:
    """How a run's messages look: `form` text or json; `job` and `run_id` are in every JSON line."""

    form: str
    job: str
    run_id: str

    def to_text(self) -> str:
        """For `PROPERTY`."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> LogForm:
        """What `to_text` wrote."""
        return cls(**json.loads(text))


def log_form(wanted: str, job: str, run_id: str) -> LogForm:
    """The form for what `--log` says; auto is text at a terminal and JSON elsewhere."""
    return LogForm(("text" if at_terminal() else "json") if wanted == "auto" else wanted, job, run_id)


def configure(form: LogForm, **where: int | str) -> None:
    """From now on this process writes its messages to standard error in `form`; `where` says which task a worker is at.

    A record with the attribute `for_collectors` is left out of text: there it is said in another way.
    """
    root = logging.getLogger()
    for known in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(known)
    handler = _Handler(form.form)
    handler.setFormatter(_Json(form, where) if form.form == "json" else _Text(where))
    root.addHandler(handler)
    logging.getLogger("xlclass").setLevel(logging.INFO)


def end_with(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """For `sys.excepthook`: the traceback that ends a process, as Python prints it, but without secrets."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, trace))))


def at_terminal() -> bool:
    """Whether a person reads standard error.

    spark-submit runs a Python job with its output and errors in one pipe, which it copies to its own output: there it is the
    output of the parent process that counts.
    """
    if sys.stderr.isatty():
        return True
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return False
    try:
        status = Path(f"/proc/{os.getppid()}/fd/1").stat()
    except OSError:  # no Linux, or another user's process
        return False
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _TERMINALS


def progress(line: str) -> None:
    """Shows `line` at the terminal in place of the last one; "" takes it away."""
    if line or _Handler.line_is_open:
        sys.stderr.write(_CLEAR + line[:_WIDTH])
        sys.stderr.flush()
    _Handler.line_is_open = bool(line)


class _Handler(logging.StreamHandler[TextIO]):
    """Standard error as it is at the moment of writing, a line of progress taken away first."""

    line_is_open = False

    def __init__(self, form: str) -> None:
        super().__init__()
        self.addFilter(lambda record: form == "json" or not getattr(record, "for_collectors", False))

    def emit(self, record: logging.LogRecord) -> None:
        progress("")
        self.stream = sys.stderr
        super().emit(record)


class _Text(logging.Formatter):
    def __init__(self, where: dict[str, int | str]) -> None:
        task = ", ".join(f"{name} {value}" for name, value in where.items())
        super().__init__(f"%(asctime)s {f'worker ({task}): ' if task else ''}%(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(shown(line, _MOST) for line in redacted(super().format(record)).split("\n"))


class _Json(logging.Formatter):
    def __init__(self, form: LogForm, where: dict[str, int | str]) -> None:
        super().__init__()
        self._fields = {"job": form.job, "run_id": form.run_id, "process": "worker" if where else "driver", **where}

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), **self._fields, "logger": record.name, "message": redacted(record.getMessage())}
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)
