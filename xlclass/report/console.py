"""The summary tables that jobs print: of an evaluation, one line per language and group of languages; of a comparison of encoders, one per contender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from xlclass.encoders.pair import Route
from xlclass.evaluation.comparison_rows import KNOWN, OTHER, TRAINING
from xlclass.evaluation.encoder_verdicts import contenders, verdicts
from xlclass.lake.runs import Run
from xlclass.model.bundle import ModelVersion
from xlclass.quality.metrics import wilson
from xlclass.report.elements import GROUPS, KnownLanguages, Row, group_of
from xlclass.schemas import ENCODER_COMPARISON, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE

MIN_SHOWN = 40  # test videos of a language in the table of encoders; the table encoder_comparison has all


@dataclass(frozen=True)
class LanguageLine:
    """A language's line: its predicted videos, and its scores over labelled test videos.

    `mean_confidence` is null if no video has a text; `top1_at_50` is top-1 of the more confident half.
    """

    language: str
    num_videos: int
    mean_confidence: float | None
    support: int = 0
    num_correct: int = 0
    majority_baseline: float | None = None
    top1_at_50: float | None = None


def summary(run: Run, evaluation_id: str, version: ModelVersion) -> str:
    """The summary table of an evaluation as text, read from the lake's tables."""
    of_evaluation = pc.field("evaluation_id") == evaluation_id
    confidences = run.lake.scan(LANGUAGE_CONFIDENCE, "language", "num_videos", "mean_confidence", where=of_evaluation)
    scores = run.lake.scan(LANGUAGE_ACCURACY, "language", "support", "top1", "majority_baseline", "top1_at_50", where=of_evaluation)
    by_language = {score["language"]: score for score in scores}
    lines = [LanguageLine(**row, **_score_fields(by_language.get(row["language"]))) for row in confidences]
    manifest = version.manifest()
    return language_table(lines, manifest["languages"], Route.of(manifest).known_languages) + f"\n\ntables: {run.lake.root}"


def _score_fields(score: dict[str, Any] | None) -> dict[str, Any]:
    """The fields of `LanguageLine` that come from a language's scores; empty if it has no test video."""
    if score is None:
        return {}
    counts = {"support": score["support"], "num_correct": round(score["top1"] * score["support"])}
    return counts | {name: score[name] for name in ("majority_baseline", "top1_at_50")}


def language_table(lines: Sequence[LanguageLine], training_languages: Sequence[str], known_languages: KnownLanguages) -> str:
    """The table as text: the languages by group in the order of GROUPS, most videos first, then the total of each group."""
    groups: dict[str, list[LanguageLine]] = {key: [] for key in GROUPS}
    for line in sorted(lines, key=lambda line: (-line.num_videos, line.language)):
        groups[group_of(line.language, training_languages, known_languages)].append(line)
    rows = ["language    videos    test   top-1   95 % interval   majority   mean confidence   top-1 at 50 %"]
    rows += [_row(line) for group in groups.values() for line in group]
    rows.append("")
    rows += [f"{_row(_total(group))}   {GROUPS[key]} ({len(group)})" for key, group in groups.items() if group]
    return "\n".join(rows)


def _total(lines: Sequence[LanguageLine]) -> LanguageLine:
    """The line of a group of languages; its mean confidence is weighted by videos."""
    num_videos = sum(line.num_videos for line in lines)
    confident = [(line.mean_confidence, line.num_videos) for line in lines if line.mean_confidence is not None]
    mean = sum(c * n for c, n in confident) / sum(n for _, n in confident) if confident else None
    return LanguageLine("total", num_videos, mean, sum(line.support for line in lines), sum(line.num_correct for line in lines))


def _row(line: LanguageLine) -> str:
    if line.support:
        low, high = wilson(line.num_correct, line.support)
        score = f"{line.num_correct / line.support:8.3f}   {low:.3f} - {high:.3f}"
    else:
        score = f"{'-':>8}   {'-':^13}"
    majority = f"{line.majority_baseline:8.3f}" if line.majority_baseline is not None else f"{'':8}"
    confidence = f"{line.mean_confidence:15.3f}" if line.mean_confidence is not None else f"{'-':>15}"
    top1_at_50 = f"   {line.top1_at_50:13.3f}" if line.top1_at_50 is not None else ""
    return f"{line.language:<9}{line.num_videos:9,}{line.support:8,}{score}   {majority}   {confidence}{top1_at_50}"


def comparison_summary(run: Run, comparison_id: str) -> str:
    """The tables of a comparison of encoders as text, and which wins on what, read from the lake."""
    rows = run.lake.scan(ENCODER_COMPARISON, *ENCODER_COMPARISON.names, where=pc.field("comparison_id") == comparison_id)
    parts = (contender_table(rows), comparison_languages(rows), "\n".join(verdicts(rows)), f"tables: {run.lake.root}")
    return "\n\n".join(part for part in parts if part)


def contender_table(rows: Sequence[Row]) -> str:
    """A line per contender: top-1 by group of languages, the surer half of all, and what it costs."""
    top1 = {(row["contender"], row["language"]): f"{row['top1']:.3f}" for row in rows}
    width = max(len("contender"), *(len(row["contender"]) for row in rows))
    titles = " training   known   other   all at 50 %   language share   ms a text   per million   memory MiB   files MiB   vector bytes"
    lines = [f"{'contender':<{width}}{titles}"]
    for row in contenders(rows):
        groups = [top1.get((row["contender"], group), "-") for group in (TRAINING, KNOWN, OTHER)]
        share, memory = (_or_dash(row[name], spec) for name, spec in (("language_variance_share", ".3f"), ("memory_mib", ",.0f")))
        cost = f"{row['milliseconds_per_text']:12.2f}{row['cost_per_million']:14.2f}{memory:>13}{row['model_mib']:12,.0f}{row['vector_bytes']:15,.0f}"
        lines.append(f"{row['contender']:<{width}}{groups[0]:>9}{groups[1]:>8}{groups[2]:>8}{row['top1_at_50']:14.3f}{share:>17}{cost}")
    return "\n".join(lines)


def comparison_languages(rows: Sequence[Row]) -> str:
    """Top-1 per language and contender, of languages with at least 40 test videos; empty if there is none."""
    names = [row["contender"] for row in contenders(rows)]
    top1 = {(row["contender"], row["language"]): row["top1"] for row in rows}
    shown = {row["language"]: row["support"] for row in rows if row["level"] == "language" and row["support"] >= MIN_SHOWN}
    widths = {name: 3 + max(len(name), 5) for name in names}
    lines = [f"{language:<9}{num:8,}" + "".join(f"{top1[name, language]:{widths[name]}.3f}" for name in names) for language, num in shown.items()]
    return "\n".join([f"{'language':<9}{'test':>8}" + "".join(f"{name:>{widths[name]}}" for name in names), *lines]) if lines else ""


def _or_dash(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
