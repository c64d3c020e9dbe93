"""Messages of a job: text or JSON, without secrets, and a progress line that never mixes with them."""

import io
import json
import logging
import os
import pty
import subprocess
import sys
import time
from datetime import datetime

import pytest
from conftest import ROOT

from xlclass.runtime import logs

SECRET = "https://ann:s3cr3t@host.example/v?sig=s3cr3t2"
log = logging.getLogger("xlclass.tests")


class Terminal(io.StringIO):
    """Standard error that a person reads."""

    def isatty(self):
        return True


@pytest.fixture
def configure(monkeypatch):
    """Configures the log format and returns the standard error that messages go to from then on."""

    def configure(kind, **task):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure(logs.LogFormat(kind, "backfill", "r1"), **task)
        return stream

    yield configure
    for handler in [handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Handler)]:
        logging.getLogger().removeHandler(handler)


def test_configure_writes_json_lines_with_the_runs_id(configure):
    stream = configure("json")
    log.info('prepare: "%s"\n%d rows', "é", 5)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert abs(datetime.fromisoformat(line.pop("time")).timestamp() - time.time()) < 60
    assert line == {"level": "info", "job": "backfill", "run_id": "r1", "process": "driver", "logger": "xlclass.tests", "message": 'prepare: "é"\n5 rows'}


def test_configure_adds_the_task_of_a_worker(configure):
    stream = configure("json", stage=3, partition=1)
    log.warning("slow")
    line = json.loads(stream.getvalue())
    assert (line["process"], line["stage"], line["partition"], line["level"]) == ("worker", 3, 1, "warning")
    stream = configure("text", stage=3, partition=1)
    log.warning("slow")
    assert stream.getvalue().endswith(" worker (stage 3, partition 1): slow\n")


@pytest.mark.parametrize("kind", ["json", "text"])
def test_configure_hides_secrets_in_messages_and_tracebacks(configure, kind):
    stream = configure(kind)
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError:
        log.exception("reading %s", SECRET)
    assert "s3cr3t" not in stream.getvalue()
    assert "https://***@host.example/v?sig=***" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_print_exception_hides_secrets(capsys):
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError as error:
        logs.print_exception(ValueError, error, error.__traceback__)
    output = capsys.readouterr().err
    assert output.startswith("Traceback (most recent call last):\n")
    assert output.endswith("\nValueError: cannot read https://***@host.example/v?sig=***\n")


def test_configure_escapes_hostile_text(configure):
    stream = configure("text")
    log.info("title \x1b[2J\u202e")
    assert stream.getvalue().endswith(" title \\x1b[2J\\u202e\n")


def test_configure_replaces_the_previous_format(configure):
    configure("text")
    stream = configure("json")
    log.info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_choose_format_auto_is_text_at_a_terminal_and_json_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert logs.choose_format("auto", "train", "r").kind == "json"
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert logs.choose_format("auto", "train", "r").kind == "text"
    assert logs.choose_format("json", "train", "r").kind == "json"


@pytest.mark.parametrize("parent_has_terminal", [True, False])
def test_is_terminal_checks_the_parent_under_spark_submit(parent_has_terminal):
    """A Python process acts as spark-submit: the output of its child goes through a pipe, its own to a terminal or a pipe."""
    child = [sys.executable, "-c", "from xlclass.runtime import logs; print(logs.is_terminal())"]
    parent = f"import subprocess; print(subprocess.run({child!r}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout)"
    environment = {**os.environ, "PYSPARK_GATEWAY_PORT": "1", "PYTHONPATH": str(ROOT)}
    reader, writer = pty.openpty() if parent_has_terminal else os.pipe()
    with subprocess.Popen([sys.executable, "-c", parent], stdout=writer, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(writer)
        output = os.read(reader, 100).decode()
        process.wait()
    os.close(reader)
    assert output.strip() == str(parent_has_terminal)


def test_show_progress_is_removed_before_a_message(monkeypatch, configure):
    configure("text")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.show_progress("encode: 5 of 10 videos" + 100 * "x")
    log.info("done")
    log.info("again")
    line, messages = stream.getvalue().split("\r\x1b[K")[1:]
    assert line == "encode: 5 of 10 videos" + 57 * "x"
    assert [message.split(" ", 1)[1] for message in messages.splitlines()] == ["done", "again"]
