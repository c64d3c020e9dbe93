"""Whether a source was read right, judged by what all its rows have in common, before anything of it is written.

A row that cannot be read is rejected and counted, and decides nothing. What many rows share is a mistake of the settings or the export:
a wrong encoding, a wrong column, labels of another taxonomy. A full read with such a mistake is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict

from pyspark.sql import functions as F

from xlclass.errors import SourceError
from xlclass.pipeline.changes import Comparison, Input

log = logging.getLogger(__name__)
_MIN_ROWS = 100  # in fewer rows, shares and empty columns may be chance
_MIN_UNDECODABLE = 3  # rows, which are no chance: a file has one encoding


def require_readable(source: Input, comparison: Comparison, is_allowed: bool) -> None:
    """Passes if the source was read right, or `is_allowed`: then, and in an increment or a small source, it only warns.

    Raises:
        SourceError: not one row could be read; or one of the rules above is broken by a full read of at least 100 rows.
    """
    if not comparison.states.total() - comparison.states["rejected"] and source.since is None:
        _refuse(source, _nothing_read(comparison), is_allowed)
    is_full = source.since is None and comparison.states.total() >= _MIN_ROWS
    for sentence in _of_any_size(source, comparison):
        _refuse(source, sentence, is_allowed or source.since is not None)
    for sentence in _of_full_reads(source, comparison):
        _refuse(source, sentence, is_allowed or not is_full)


def _refuse(source: Input, sentence: str, only_warns: bool) -> None:
    if not only_warns:
        raise SourceError(f"the source {source.catalogue.shown_name}: {sentence}; nothing was written; to use it as it is, add --allow-unreadable")
    log.warning("the source %s: %s", source.catalogue.shown_name, sentence)


def _nothing_read(comparison: Comparison) -> str:
    num_rows, rules = comparison.states.total(), comparison.rules
    if not num_rows:
        return "it has no rows"
    return (
        f"not one of its {num_rows:,} rows could be read ({rules['unreadable_row']:,} cannot be parsed, {rules['null_video_id']:,} have no video_id): "
        "check source.format, source.separator and source.columns.video_id"
    )


def _of_any_size(source: Input, comparison: Comparison) -> Iterator[str]:
    """What is wrong whatever the number of rows."""
    num_undecodable, num_rows = comparison.rules["invalid_text"], comparison.states.total()
    settings = source.catalogue.settings
    if num_undecodable >= _MIN_UNDECODABLE and num_undecodable > settings.unreadable_limit * num_rows:
        found = f"{num_undecodable:,} of {num_rows:,} rows have bytes that are no {settings.encoding} (invalid_text)"
        yield f"{found}: set source.encoding, such as latin-1 or cp1251"
    for name in sorted(comparison.mistyped - comparison.filled):
        column = getattr(settings.columns, name)
        yield (
            f"source.columns.{name}: the column {column} has an object, or a list of objects, in every row that has a value: "
            f"name the field inside that is a text, such as {column}.name"
        )


def _of_full_reads(source: Input, comparison: Comparison) -> Iterator[str]:
    """What is wrong if many rows have it."""
    settings, num_rows = source.catalogue.settings, comparison.states.total()
    if comparison.num_doubtful > settings.unreadable_limit * num_rows:
        rules = ", ".join(f"{rule} {comparison.rules[rule]:,}" for rule in ("unreadable_row", "invalid_text", "wrong_type") if comparison.rules[rule])
        found = f"{comparison.num_doubtful:,} of {num_rows:,} rows have something that cannot be read ({rules})"
        yield f"{found}, more than source.unreadable_limit ({settings.unreadable_limit:.0%})"
    mapped = {name: column for name, column in asdict(settings.columns).items() if column}
    num_times, num_accepted = comparison.rules["impossible_time"], num_rows - comparison.states["rejected"]
    lost = {"updated_at"} if num_times >= num_accepted else set()
    for name in [name for name in mapped if name in lost or name not in comparison.filled | comparison.mistyped]:
        found = "no value can be read as a time since 2005" if name == "updated_at" and num_times else f"it is empty in all {num_rows:,} rows"
        yield f"source.columns.{name}: the column {mapped[name]}: {found}: correct the name or the export, or remove the line"
    if "labels" in comparison.filled and not comparison.knows_labels:
        labels = source.rows().where(F.size("labels") > 0).select("labels").first()
        example = repr(labels[0][0])[:80] if labels else ""
        yield f"not one label, such as {example}, is an id or alias of the taxonomy ({settings.columns.labels} as source.columns.labels): add the aliases"
