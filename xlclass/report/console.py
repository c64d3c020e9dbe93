"""The summary table that a job prints: one line per language, then one line per group of languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from xlclass.encoders.pair import Route
from xlclass.lake.runs import Run
from xlclass.model.bundle import ModelVersion
from xlclass.quality.metrics import wilson
from xlclass.report.elements import GROUPS, KnownLanguages, group_of
from xlclass.schemas import LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE


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
