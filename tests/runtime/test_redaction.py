"""Secrets in URLs and assignments: none leaves through a log, a printed sentence, `runs` or a plan, and nothing else is hidden."""

import json
import logging
import string
import sys
import time
from io import StringIO
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlclass.cli import main
from xlclass.config import LakeSettings, Settings, SourceSettings
from xlclass.errors import SettingsError
from xlclass.lake.runs import Run
from xlclass.lake.staging import Plan, Plans
from xlclass.runtime import logs
from xlclass.runtime.redaction import redacted, redacted_within

PASSWORDS = [  # not percent-encoded, as in a settings file
    "s3cr3t",
    "s3c@r3t",
    "s3c:r3t",
    "s3c/r3t+",
    "s3c?r3t",
    "s3c#r3t",
    "s3c'r3t",
    's3c"r3t',
    "s3c`r3t",
    "s3c%40r3t",
    "s3c/@r3t:?#",
    "@s3cr3t",
    "/s3cr3t",
    "密码密码",
]
PARTS = ["s3c", "r3t", "密码密码"]  # no part of a secret may be shown either
PLACES = {  # where a URL stands in a text
    "plain": "cannot read {} as parquet",
    "quoted": "the source '{}', read as parquet",
    "quoted twice": 'the source "{}": no such file',
    "backticks": "Path does not exist: `{}`.",
    "brackets": "see (<{}>)",
    "end": "no such file: {}",
}
URLS = {  # a secret is {}, and what has to stay
    "https://ann:{}@host.example/videos": "@host.example/videos",
    "s3a://KEY:{}@bucket/videos": "@bucket/videos",
    "jdbc:postgresql://ann:{}@host.example:5432/db": "@host.example:5432/db",
    "ftp://ann:{}@[2001:db8::1]:21/videos": "@[2001:db8::1]:21/videos",
}
BY_HAND = {  # a text with the secret s3cr3t, and the text that is shown
    "https://s3cr3t@host.example/v.git": "https://***@host.example/v.git",
    "redis://:s3cr3t@host:6379/0": "redis://***@host:6379/0",
    "https://host.example:s3cr3t/v": "https://host.example:***/v",
    "https://user:p@host:s3cr3t@three.example/v": "https://***@three.example/v",
    "HTTPS://ann:s3cr3t@HOST.example/v": "HTTPS://***@HOST.example/v",
    "https://ann%3As3cr3t@host.example/v": "https://***@host.example/v",
    "https://host.example/?to=https%3A%2F%2Fann%3As3cr3t%40two.example%2Fv&page=2": "https://host.example/?to=https%3A%2F%2F***%40two.example%2Fv&page=2",
    r"https:\/\/ann:s3cr3t@host.example\/v": r"https:\/\/***@host.example\/v",
    "s3a:/KEY:s3cr3t@bucket/v": "s3a:/***@bucket/v",
    "https:///ann:s3cr3t@host.example/v": "https:///***@host.example/v",
    "mongodb://ann:s3cr3t@one:27017,two:27017/db": "mongodb://***@one:27017,two:27017/db",
    "jdbc:oracle:thin:ann/s3cr3t@//host:1521/db": "jdbc:oracle:thin:***@//host:1521/db",
    "jdbc:sqlserver://host:1433;user=ann;password=s3cr3t;encrypt=true": "jdbc:sqlserver://host:1433;user=ann;password=***;encrypt=true",
    "https://host.example/v?sig=s3cr3t&page=2": "https://host.example/v?sig=***&page=2",
    "https://host.example/v?page=2&X-Amz-Signature=s3cr3t": "https://host.example/v?page=2&X-Amz-Signature=***",
    "https://host.example/v?X-Amz-Credential=s3cr3t%2F20260101%2Fus&a=1": "https://host.example/v?X-Amz-Credential=***&a=1",
    "https://host.example/v?X-Amz-Security-Token=s3cr3t": "https://host.example/v?X-Amz-Security-Token=***",
    "https://host.example/v?AWSAccessKeyId=s3cr3t&Expires=9": "https://host.example/v?AWSAccessKeyId=***&Expires=9",
    "https://host.example/v?SharedAccessSignature=s3cr3t": "https://host.example/v?SharedAccessSignature=***",
    "https://host.example/v?client_secret=s3cr3t&keyword=music": "https://host.example/v?client_secret=***&keyword=music",
    "https://host.example/v?key=s3cr3t&author=ann": "https://host.example/v?key=***&author=ann",
    "https://host.example/v?pass%77ord=s3cr3t": "https://host.example/v?pass%77ord=***",
    "https://host.example/v#access_token=s3cr3t&state=1": "https://host.example/v#access_token=***&state=1",
    "https://host.example/v;jsessionid=s3cr3t?page=1": "https://host.example/v;jsessionid=***?page=1",
    "abfss://box@account.example/v?sig=s3cr3t": "abfss://box@account.example/v?sig=***",
    "[https://host.example/v?sig=s3cr3t,https://ann:s3cr3t@two.example]": "[https://host.example/v?sig=***,https://***@two.example]",
    '{"path":"https://ann:s3cr3t@host.example/v","mail":"ann@two.example"}': '{"path":"https://***@host.example/v","mail":"ann@two.example"}',
    r"{\"path\": \"https://ann:s3cr3t@host.example/v\", \"a\": 1}": r"{\"path\": \"https://***@host.example/v\", \"a\": 1}",
    '["https://host.example","https://ann:s3cr3t@two.example"]': '["https://host.example","https://***@two.example"]',
    "https://ann:s3\n  cr3t@host.example/v": "https://***@host.example/v",
    "Map(path -> https://ann:s3cr3t@host.example, mode -> x)": "Map(path -> https://***@host.example, mode -> x)",
    "fs.s3a.secret.key=s3cr3t and more": "fs.s3a.secret.key=*** and more",
    "spark.hadoop.fs.azure.account.key.box.example=s3cr3t==": "spark.hadoop.fs.azure.account.key.box.example=***",
    "('spark.hadoop.fs.s3a.secret.key', 's3cr3t')": "('spark.hadoop.fs.s3a.secret.key', '***')",
    "(fs.s3a.secret.key,s3cr3t)": "(fs.s3a.secret.key,***)",
    'password: "s3cr3t with words", user: "ann"': 'password: "***", user: "ann"',
    "{'password': 's3cr3t', 'user': 'ann'}": "{'password': '***', 'user': 'ann'}",
    "Authorization: Bearer s3cr3t": "Authorization: Bearer ***",
    "sent 'Bearer s3cr3ts3cr3t' to host": "sent 'Bearer ***' to host",
    "aws_secret_access_key = s3cr3t": "aws_secret_access_key = ***",
    "AccountName=box;AccountKey=s3cr3t/+==;EndpointSuffix=core": "AccountName=box;AccountKey=***;EndpointSuffix=core",
}
NO_SECRETS = [
    "hdfs://host:8020/a@b, hdfs://host.example:8020/user/ann@two.example/v",
    "wasbs://box@account.example/v and abfss://box@account.example/v@1",
    "http://host.example:8080/a and http://localhost:4040/x@y and http://[::1]:80/a@b",
    "file:/videos/a@b file:///videos/a@b s3a://bucket/v@2 spark://master:7077 kafka://one:9092,two:9092/v",
    "see https://host.example/docs, or write to ann@two.example",
    '{"path": "https://host.example", "mail": "ann@two.example"}',
    "jdbc:oracle:thin:@host:1521/db",
    "unknown key split.salz; known here: salt",
    "https://host.example/v?keyword=music&author=ann&num_tokens=5&design=x",
    "Unrecognized token 'abc': was expecting a value; 512 tokens: too many",
    "12:30:01 encode: 5 rows, key=value, C:/videos/a@b",
]


def _forms():
    """Texts with secrets by name: the text, and what has to stay."""
    forms = {}
    for number, (url, kept) in enumerate(URLS.items()):
        for position, password in enumerate(PASSWORDS):
            place = list(PLACES)[(number + position) % len(PLACES)]
            if not (position == 10 and number == 1):  # a secret of S3 has no @, so the first one ends it
                forms[PLACES[place].format(url.format(password))] = kept
    return forms | {text: redacted(text) for text in BY_HAND}


def _leaks(shown_by_form, decode=lambda text: text):
    """The forms of which a part of the secret is shown, or what has to stay is not."""
    wrong = {}
    for form, kept in _forms().items():
        shown = decode(shown_by_form[form])
        if any(part in shown.replace("\\\\", "\\") for part in PARTS) or kept not in shown:
            wrong[form] = shown
    return wrong


def test_redacted_hides_the_secret_of_each_form_and_keeps_the_rest():
    assert len(_forms()) >= 60
    assert _leaks({form: redacted(form) for form in _forms()}) == {}
    assert {text: redacted(text) for text in BY_HAND} == BY_HAND
    assert {text: redacted(text) for text in NO_SECRETS} == {text: text for text in NO_SECRETS}


def test_redacted_twice_is_redacted_once():
    assert [form for form in _forms() if redacted(redacted(form)) != redacted(form)] == []


@pytest.mark.parametrize("kind", ["text", "json"])
def test_no_log_shows_a_secret(kind, monkeypatch):
    shown = {}
    for form in _forms():
        monkeypatch.setattr(sys, "stderr", StringIO())
        logs.configure(logs.LogFormat(kind, "backfill", "r1"))
        logging.getLogger("xlclass.tests").info("%s", form)
        shown[form] = sys.stderr.getvalue()
    for handler in [handler for handler in logging.getLogger().handlers if isinstance(handler, logs._Handler)]:
        logging.getLogger().removeHandler(handler)
    assert _leaks(shown, (lambda line: json.loads(line)["message"]) if kind == "json" else lambda line: line.rstrip("\n")) == {}


def test_no_sentence_output_or_message_of_argparse_shows_a_secret(monkeypatch, capsys):
    def body(args):
        sys.stdout.write(args.form)
        raise SettingsError(f"refused: {args.form}")

    command = SimpleNamespace(add_arguments=lambda parser: parser.add_argument("form"), body=body)
    monkeypatch.setattr(main.importlib, "import_module", lambda _: command)
    outputs, sentences = {}, {}
    for form in _forms():
        assert main.main(["check", form]) == 2
        outputs[form], sentences[form] = capsys.readouterr()
    assert _leaks(outputs) == {}
    assert _leaks(sentences) == {}
    with pytest.raises(SystemExit):
        main.main(["check", "x", "https://ann:s3cr3t@host.example"])
    assert "unrecognized arguments: https://***@host.example" in capsys.readouterr().err


def test_no_row_of_runs_and_no_plan_shows_a_secret(tmp_path):
    messages, settings, sources, plans = {}, {}, {}, {}
    for form in _forms():
        run = Run("backfill", Mock(), Settings(SourceSettings(path=form), LakeSettings(path="lake")), Mock(), Mock(), source=form)
        row = run._row("failed", form)
        messages[form], sources[form], settings[form] = row["message"], row["source"], json.loads(row["settings"])["source"]["path"]
        Plans(None, str(tmp_path)).begin(Plan("p", {"source.path": form}, 1))
        plans[form] = json.loads((tmp_path / "_plan" / "plan.json").read_text(encoding="utf-8"))["intent"]["source.path"]
    assert [_leaks(shown) for shown in (messages, settings, sources, plans)] == [{}] * 4


def test_a_message_of_runs_is_cut_after_its_secrets_are_removed():
    message = "x" * 985 + " https://s3cr3t-token@host.example"
    row = Run("backfill", Mock(), Settings(SourceSettings(path=""), LakeSettings(path="")), Mock(), Mock())._row("failed", message)
    assert row["message"].endswith(" https://***@h") or "s3c" not in row["message"]
    assert len(row["message"]) <= 1_000


def test_redacted_within_hides_texts_under_the_name_of_a_secret():
    assert redacted_within({"a": [("fs.s3a.secret.key=x", 1)], "access_token": "x", "num_tokens": 5}) == {
        "a": [("fs.s3a.secret.key=***", 1)],
        "access_token": "***",
        "num_tokens": 5,
    }


WIDE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="<>"), min_size=6, max_size=30).filter(
    lambda text: "***" not in text and "://" not in text
)


@given(WIDE, st.sampled_from(list(URLS)), st.sampled_from(list(PLACES.values())))
def test_redacted_never_shows_a_password(password, url, place):
    text = place.format(url.format(password))
    is_ambiguous = url.startswith("s3a") and "@" in password  # a secret of S3 has none, so the first @ ends it
    if password not in text.replace(url.format(password), url.format("")) and not is_ambiguous:
        assert password not in redacted(text)


@given(st.text(string.ascii_letters + string.digits + "@:/?#+=%!$&'()*,;~-._", min_size=8, max_size=30))
def test_redacted_never_shows_a_password_of_the_characters_of_urls(password):
    if password not in "cannot read 'https://***@host.example/v' as csv":
        shown = redacted(f"cannot read 'https://ann:{password}@host.example/v' as csv")
        assert password not in shown
        assert "host.example/v" in shown


LONG = {  # a megabyte each, at which a careless pattern takes minutes
    "words": "aaaaaaaaa " * 100_000,
    "one word": "a" * 1_000_000,
    "dots": "a." * 500_000,
    "at signs": "https://ann:" + "@" * 1_000_000,
    "quotes": "https://ann:p" + "\",'" * 333_000,
    "assignments": "secret" * 166_000,
    "open quotes": 'password="x ' * 80_000,
    "closers": "password=" + ")" * 1_000_000,
    "slashes": "://" * 333_000,
    "log": "12:00:01 https://host.example/v?page=2 key=value\n" * 20_000,
}


def test_redacted_takes_a_time_that_grows_with_the_length_only():
    """Ten times the text takes about ten times as long; with a square it would be a hundred times."""
    slow = {}
    for name, text in LONG.items():
        seconds = []
        for part in (text[: len(text) // 10], text):
            start = time.process_time()
            redacted(part)
            seconds.append(time.process_time() - start)
        if seconds[1] > 40 * seconds[0] + 0.5:
            slow[name] = seconds
    assert slow == {}
