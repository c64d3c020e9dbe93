"""`xlclass classify`: texts given as arguments, or lines of standard input as they arrive.

What has arrived together is encoded together, so a line that comes alone is answered at once and a long pipe goes at the
encoder's own pace. Nothing that a line can hold ends `--serve`: bytes that are no UTF-8 are replaced, what is longer than
any text is cut, and a text on which the encoder fails is answered as one without a category.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from xlclass.cli.commands import lake_arguments, settings_of
from xlclass.errors import SettingsError
from xlclass.runtime.terminal import printable

if TYPE_CHECKING:
    from xlclass.pipeline.classifier import Answer, Classifier

_CHUNK = 1 << 16  # bytes that are read at once
_MOST = 1 << 16  # bytes of a line that are looked at; a prepared text has some thousand characters at most


def arguments(parser: ArgumentParser) -> None:
    """The texts, whose champion, and how to answer."""
    lake_arguments(parser)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="a title, such as an uploader would write it")
    parser.add_argument("--serve", action="store_true", help="answer the lines of standard input, one line each as soon as it arrives, until it ends")
    parser.add_argument("--json", action="store_true", help="answer with JSON lines, in the words of the table predictions")
    parser.add_argument("--verbose", action="store_true", help="say first, on standard error, which champion answers")


def body(given: Namespace) -> None:
    """Prints a line per text."""
    if bool(given.texts) == given.serve:
        raise SettingsError("give texts to classify, or --serve to read them from standard input, one a line")
    settings = settings_of(given)
    from xlclass.pipeline.classifier import Classifier

    classifier = Classifier(settings, given.lake)
    if given.verbose:
        print(_introduced(classifier), file=sys.stderr)
    line_of = _json_line if given.json else _text_line
    texts = [text.encode("utf-8", "surrogateescape") for text in given.texts]
    for lines in arrivals(lambda: os.read(sys.stdin.fileno(), _CHUNK)) if given.serve else [texts]:
        said = [line.decode("utf-8", "replace") for line in lines]
        answers = classifier.classify(said)
        sys.stdout.write("".join(f"{line_of(text, answer)}\n" for text, answer in zip(said, answers, strict=True)))
        sys.stdout.flush()


def arrivals(read: Callable[[], bytes]) -> Iterator[list[bytes]]:
    r"""Lines as they arrive, those that are there at once together, without their ends and cut after 65,536 bytes.

    >>> chunks = iter([b"one\ntw", b"o\r\n\nthree", b""])
    >>> list(arrivals(lambda: next(chunks)))
    [[b'one'], [b'two', b''], [b'three']]
    """
    rest = b""
    while chunk := read():
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield [line.removesuffix(b"\r")[:_MOST] for line in lines]
        rest = rest[:_MOST]
    if rest:
        yield [rest]


def _introduced(classifier: Classifier) -> str:
    known = classifier.spec.languages
    return (
        f"champion {classifier.version.name} of the lake {classifier.lake}: {len(classifier.bundle.categories)} categories, "
        f"encoder {classifier.spec.encoder_id[:16]} ({', '.join(known) if known else 'its languages are not known'})"
    )


def _text_line(text: str, answer: Answer) -> str:
    said = ", ".join(f"{category} {confidence:.2f}" for category, confidence in answer.categories) or _nothing(answer)
    return f"{said}  [{answer.language}] {printable(text, limit=100)}"


def _nothing(answer: Answer) -> str:
    if answer.top_category is None:
        return "no category (no text)" if answer.status == "no_text" else "no category (the encoder cannot take this text)"
    return f"no category (nearest: {answer.top_category} {answer.top_confidence:.2f})"


def _json_line(text: str, answer: Answer) -> str:
    line = {
        "text": text,
        "language": answer.language,
        "status": answer.status,
        "top_category": answer.top_category,
        "top_confidence": answer.top_confidence,
        "categories": [{"category": category, "confidence": confidence} for category, confidence in answer.categories],
        "model_version": answer.model_version,
    }
    return json.dumps(line, ensure_ascii=False)
