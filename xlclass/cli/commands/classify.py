"""`xlclass classify`: categories for texts from the arguments, or for lines of standard input as they arrive.

Lines that arrive together are encoded as one batch: a single line is answered at once, and a long pipe runs at the full speed of
the encoder. No content of a line ends `--serve`: bytes that are not UTF-8 are replaced, a long line is cut, and a text that the
encoder fails on gets no category.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from xlclass.cli.commands import add_lake_arguments, settings_of
from xlclass.errors import SettingsError
from xlclass.runtime.terminal import printable

if TYPE_CHECKING:
    from xlclass.pipeline.classifier import Answer, Classifier

_READ_BYTES = 1 << 16  # of one read from standard input
_MAX_LINE_BYTES = 1 << 16  # the remainder of a line is ignored; a prepared text has a thousand characters by default


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the texts, the lake of the champion, and the output format."""
    add_lake_arguments(parser)
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="the title of a video")
    parser.add_argument("--serve", action="store_true", help="read titles from standard input, one per line, and answer each at once")
    parser.add_argument("--json", action="store_true", help="print JSON lines with the column names of the table predictions")
    parser.add_argument("--verbose", action="store_true", help="first print the champion, its categories and its encoder to standard error")


def body(args: Namespace) -> None:
    """Prints a line per text."""
    if bool(args.texts) == args.serve:
        raise SettingsError("give either titles as arguments, or --serve to read them from standard input, one per line")
    settings = settings_of(args)
    from xlclass.pipeline.classifier import Classifier

    classifier = Classifier(settings, args.lake)
    if args.verbose:
        print(_champion_text(classifier), file=sys.stderr)
    line_of = _json_line if args.json else _text_line
    arguments = [text.encode("utf-8", "surrogateescape") for text in args.texts]
    for batch in line_batches(lambda: os.read(sys.stdin.fileno(), _READ_BYTES)) if args.serve else [arguments]:
        texts = [line.decode("utf-8", "replace") for line in batch]
        answers = classifier.classify(texts)
        sys.stdout.write("".join(f"{line_of(text, answer)}\n" for text, answer in zip(texts, answers, strict=True)))
        sys.stdout.flush()


def line_batches(read: Callable[[], bytes]) -> Iterator[list[bytes]]:
    r"""The complete lines of each `read()`, without line ends and cut after 65,536 bytes, until it returns no bytes.

    >>> chunks = iter([b"one\ntw", b"o\r\n\nthree", b""])
    >>> list(line_batches(lambda: next(chunks)))
    [[b'one'], [b'two', b''], [b'three']]
    """
    unfinished = b""
    while chunk := read():
        *lines, unfinished = (unfinished + chunk).split(b"\n")
        if lines:
            yield [line.removesuffix(b"\r")[:_MAX_LINE_BYTES] for line in lines]
        unfinished = unfinished[:_MAX_LINE_BYTES]
    if unfinished:
        yield [unfinished]


def _champion_text(classifier: Classifier) -> str:
    encoders = classifier.encoders
    return (
        f"champion {classifier.version.name} of the lake {classifier.lake}: {len(classifier.bundle.categories)} categories, "
        f"encoder {' and '.join(name[:16] for name in encoders.route.encoder_ids)} (languages: {', '.join(encoders.languages) or 'unknown'})"
    )


def _text_line(text: str, answer: Answer) -> str:
    categories = ", ".join(f"{category} {confidence:.2f}" for category, confidence in answer.categories) or _why_no_category(answer)
    return f"{categories}  [{answer.language}] {printable(text, limit=100)}"


def _why_no_category(answer: Answer) -> str:
    if answer.top_category is None:
        return "no category (no text)" if answer.status == "no_text" else "no category (the encoder failed on this text)"
    return f"no category (most likely: {answer.top_category} {answer.top_confidence:.2f}, below its threshold)"


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
