"""`xlclass classify`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from xlclass.commands import lake_arguments, settings_of


def arguments(parser: ArgumentParser) -> None:
    """The texts, and whose champion."""
    lake_arguments(parser)
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a title, such as an uploader would write it")


def body(given: Namespace) -> None:
    """Prints a line per text."""
    from xlclass.classifier import Classifier

    classifier = Classifier(settings_of(given), given.lake)
    for text, answer in zip(given.texts, classifier.classify(given.texts), strict=True):
        said = ", ".join(f"{category} {confidence:.2f}" for category, confidence in answer.categories) or "no category"
        print(f"{said}  [{answer.language}] {text}")
