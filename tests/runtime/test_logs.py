"""What a job says: text or JSON, without secrets, and a line of progress that does not get in the way."""

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
from xlclass.runtime.redaction import redacted, redacted_within

SECRET = "https://ann:s3cr3t@host.example/v?sig=s3cr3t2"
log = logging.getLogger("xlclass.tests")


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self):
        return True


@pytest.fixture
def said(monkeypatch):
    """Logs in a form, and gives what was written to standard error since."""

    def configured(form, **where):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure(logs.LogForm(form, "backfill", "r1"), **where)
        return stream

    yield configured
    for handler in [known for known in logging.getLogger().handlers if isinstance(known, logs._Handler)]:
        logging.getLogger().removeHandler(handler)


def test_configure_writes_json_lines_with_the_runs_id(said):
    stream = said("json")
    log.info('prepare: "%s"\n%d rows', "é", 5)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert abs(datetime.fromisoformat(line.pop("time")).timestamp() - time.time()) < 60
    assert line == {"level": "info", "job": "backfill", "run_id": "r1", "process": "driver", "logger": "xlclass.tests", "message": 'prepare: "é"\n5 rows'}


def test_configure_says_which_task_a_worker_is_at(said):
    stream = said("json", stage=3, partition=1)
    log.warning("slow")
    line = json.loads(stream.getvalue())
    assert (line["process"], line["stage"], line["partition"], line["level"]) == ("worker", 3, 1, "warning")
    stream = said("text", stage=3, partition=1)
    log.warning("slow")
    assert stream.getvalue().endswith(" worker (stage 3, partition 1): slow\n")


@pytest.mark.parametrize("form", ["json", "text"])
def test_configure_lets_no_secret_out_not_even_in_a_traceback(said, form):
    stream = said(form)
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError:
        log.exception("reading %s", SECRET)
    assert "s3cr3t" not in stream.getvalue()
    assert "https://***@host.example/v?sig=***" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_end_with_prints_the_traceback_without_secrets(capsys):
    try:
        raise ValueError(f"cannot read {SECRET}")
    except ValueError as error:
        logs.end_with(ValueError, error, error.__traceback__)
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("\nValueError: cannot read https://***@host.example/v?sig=***\n")


def test_configure_keeps_a_terminal_from_hostile_text(said):
    stream = said("text")
    log.info("title \x1b[2J\u202e")
    assert stream.getvalue().endswith(" title \\x1b[2J\\u202e\n")


def test_configure_again_replaces_the_form(said):
    said("text")
    stream = said("json")
    log.info("once")
    assert len(stream.getvalue().splitlines()) == 1


def test_log_form_auto_is_text_at_a_terminal_and_json_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert logs.log_form("auto", "train", "r").form == "json"
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert logs.log_form("auto", "train", "r").form == "text"
    assert logs.log_form("json", "train", "r").form == "json"


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, "True"), (False, "False")])
def test_at_terminal_looks_through_spark_submits_pipe(is_terminal, expected):
    """Here a Python stands for spark-submit: its child's output goes through a pipe, its own to a terminal or not."""
    child = [sys.executable, "-c", "from xlclass import logs; print(logs.at_terminal())"]
    parent = f"import subprocess; print(subprocess.run({child!r}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout)"
    environment = {**os.environ, "PYSPARK_GATEWAY_PORT": "1", "PYTHONPATH": str(ROOT)}
    ours, theirs = pty.openpty() if is_terminal else os.pipe()
    with subprocess.Popen([sys.executable, "-c", parent], stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment) as process:
        os.close(theirs)
        said = os.read(ours, 100).decode()
        process.wait()
    os.close(ours)
    assert said.strip() == expected


def test_progress_is_taken_away_before_a_message(monkeypatch, said):
    said("text")
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.progress("encode: 5 of 10 videos" + 100 * "x")
    log.info("done")
    log.info("again")
    line, done = stream.getvalue().split("\r\x1b[K")[1:]
    assert line == "encode: 5 of 10 videos" + 57 * "x"
    assert [words.split(" ", 1)[1] for words in done.splitlines()] == ["done", "again"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3n://KEY:abc/def+@bucket/v", "s3n://***@bucket/v"),
        ("https://u:p@ss@host.example/v", "https://***@host.example/v"),
        ("https://host.example/v?X-Amz-Signature=ab12&page=1", "https://host.example/v?X-Amz-Signature=***&page=1"),
        ("jdbc:db://host.example;user=ann;password=pw", "jdbc:db://host.example;user=ann;password=***"),
        ("fs.azure.account.key.x=abc==", "fs.azure.account.key.x=***"),
        ("wasbs://box@account.example/v and http://host.example:8080/a", "wasbs://box@account.example/v and http://host.example:8080/a"),
        ("unknown key split.salz; known here: salt", "unknown key split.salz; known here: salt"),
    ],
)
def test_redacted_hides_secrets_and_nothing_else(text, expected):
    assert redacted(text) == expected
    assert redacted_within({"a": (text,)}) == {"a": (expected,)}
