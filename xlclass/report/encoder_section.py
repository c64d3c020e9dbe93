"""The page's section about the newest comparison of encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xlclass.evaluation.comparison_rows import KNOWN, OTHER, TRAINING
from xlclass.evaluation.encoder_verdicts import contenders, verdicts
from xlclass.report.elements import About, Column, Grid, Line, Row, Section, ungrouped
from xlclass.report.model_sections import LANGUAGE, MIN_CURVE, Tables


def encoders(about: About, tables: Tables) -> Section | None:
    """Accuracy, time, memory and cost of each contender, and its top-1 per language; null if encoders were not compared."""
    rows = tables.get("encoder_comparison", ())
    if not rows:
        return None
    scores = {(row["contender"], row["language"]): row for row in rows}
    return Section(
        "encoders",
        "Encoders compared",
        "The same videos, split and kind of head with each encoder (jobs/compare_encoders.py). A difference is beyond chance if its 95 % interval, "
        "by resampling whole channels, does not contain 0.",
        findings=verdicts(rows),
        grids=[_contender_table(rows, scores), _language_table(about, rows, scores)],
    )


def _contender_table(rows: Sequence[Row], scores: Mapping[tuple[str, str], Row]) -> Grid:
    reference = rows[0]["reference"]
    columns = (
        Column("contender"),
        Column("training", "share", "top-1 in the training languages"),
        Column("known", "share", f"top-1 in other languages that {reference} was trained on"),
        Column("other", "share", f"top-1 in languages that {reference} was not trained on"),
        Column("gain in other", "points", f"top-1 there minus that of {reference}"),
        Column("95 % interval", "interval", "of this gain, by resampling whole channels"),
        Column("surer half", "share", "top-1 of the most confident half of all test videos"),
        Column("gap", "points", "top-1 of the training languages minus top-1 of all languages"),
        Column("language", "share", "share of the variance of the vectors that lies between languages"),
        Column("ms a text", "decimal", "time to encode a text of the catalogue with one thread"),
        Column("per million", "decimal", "cost of encoding a million texts"),
        Column("memory, MiB", "whole", "peak resident memory of the process"),
        Column("files, MiB", "whole", "size of the encoders"),
        Column("vector, bytes", "whole", "mean size of a stored vector"),
    )
    lines = []
    for row in contenders(rows):
        groups = [scores.get((row["contender"], group), {}) for group in (TRAINING, KNOWN, OTHER)]
        is_reference = row["contender"] == reference
        ends = (groups[2].get("gain_low"), groups[2].get("gain_high"))
        names = ("top1_at_50", "gap_to_training", "language_variance_share", "milliseconds_per_text", "cost_per_million", "memory_mib", "model_mib")
        gain = (None, None) if is_reference else (groups[2].get("gain"), ends if None not in ends else None)
        lines.append(Line((row["contender"], *(group.get("top1") for group in groups), *gain, *map(row.get, names), row["vector_bytes"])))
    return Grid("encoders-table", f"Contenders; {reference} is the reference", columns, ungrouped(lines))


def _language_table(about: About, rows: Sequence[Row], scores: Mapping[tuple[str, str], Row]) -> Grid:
    reference = rows[0]["reference"]
    names = [row["contender"] for row in contenders(rows)]
    of_languages = {row["language"]: row["support"] for row in rows if row["level"] == "language" and row["support"] >= MIN_CURVE}
    lines = []
    for language, support in of_languages.items():
        found = [scores[name, language] for name in names]
        better = [row["contender"] for row in found if row["gain_low"] is not None and row["gain_low"] > 0]
        worse = [row["contender"] for row in found if row["gain_high"] is not None and row["gain_high"] < 0]
        lines.append(Line((language, support, ", ".join(better), ", ".join(worse), *(row["top1"] for row in found)), language))
    columns = (
        LANGUAGE,
        Column("test videos", "count"),
        Column("better", meaning=f"contenders that are better than {reference} beyond chance; of 100 equal ones, 2 or 3 would be listed too"),
        Column("worse", meaning="contenders that are worse beyond chance, in the same sense"),
        *(Column(name, "heat") for name in names),
    )
    return Grid("encoder-languages", f"Top-1 per language with at least {MIN_CURVE} test videos, in percent", columns, about.bodies(lines))
