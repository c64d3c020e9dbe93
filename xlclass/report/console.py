"""The table that a job prints: one line per language, then the languages taken together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from xlclass.encoders.contract import EncoderSpec
from xlclass.lake.runs import Run
from xlclass.model.bundle import ModelVersion
from xlclass.quality.metrics import wilson
from xlclass.schemas import LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE


@dataclass(frozen=True)
class LanguageLine:
    """A language's line: videos predicted, and over its labelled test videos all, those right, and top-1 of the surer half; null confidence without a text."""

    language: str
    num_videos: int
    mean_confidence: float | None
    support: int = 0
    num_right: int = 0
    majority_baseline: float | None = None
    top1_at_50: float | None = None


def summary(run: Run, evaluation_id: str, version: ModelVersion, encoder: EncoderSpec) -> str:
    """The evaluation's table for people, read from the lake's tables."""
    same = pc.field("evaluation_id") == evaluation_id
    seen = run.lake.scan(LANGUAGE_CONFIDENCE, "language", "num_videos", "mean_confidence", where=same)
    scores = run.lake.scan(LANGUAGE_ACCURACY, "language", "support", "top1", "majority_baseline", "top1_at_50", where=same)
    by_language = {score["language"]: score for score in scores}
    lines = [LanguageLine(**row, **_scores_of_line(by_language.get(row["language"]))) for row in seen]
    return language_table(lines, version.manifest()["languages"], encoder.languages) + f"\n\ntables: {run.lake.root}"


def _scores_of_line(score: dict[str, Any] | None) -> dict[str, Any]:
    """What a language's line says of its test videos, by the names of `LanguageLine`; nothing of one that has none."""
    if score is None:
        return {}
    right = {"support": score["support"], "num_right": round(score["top1"] * score["support"])}
    return right | {name: score[name] for name in ("majority_baseline", "top1_at_50")}


def language_table(lines: Sequence[LanguageLine], training: Sequence[str], known: Sequence[str]) -> str:
    """The table as text: training languages first, then those that the encoder knows, then the others, most videos first."""
    groups = {
        "training languages": [line for line in lines if line.language in training],
        "other languages the encoder knows": [line for line in lines if line.language in known and line.language not in training],
        "languages it does not know": [line for line in lines if line.language not in known and line.language not in training],
    }
    rows = ["language    videos    test   top-1   95 % interval   majority   mean confidence   top-1 at 50 %"]
    for group in groups.values():
        rows += [_row(line) for line in sorted(group, key=lambda line: (-line.num_videos, line.language))]
    rows.append("")
    rows += [f"{_row(_together(group))}   {name} ({len(group)})" for name, group in groups.items() if group]
    return "\n".join(rows)


def _together(lines: Sequence[LanguageLine]) -> LanguageLine:
    num_videos = sum(line.num_videos for line in lines)
    confident = [(line.mean_confidence, line.num_videos) for line in lines if line.mean_confidence is not None]
    mean = sum(c * n for c, n in confident) / sum(n for _, n in confident) if confident else None
    return LanguageLine("together", num_videos, mean, sum(line.support for line in lines), sum(line.num_right for line in lines))


def _row(line: LanguageLine) -> str:
    if line.support:
        low, high = wilson(line.num_right, line.support)
        score = f"{line.num_right / line.support:8.3f}   {low:.3f} - {high:.3f}"
    else:
        score = f"{'-':>8}   {'-':^13}"
    majority = f"{line.majority_baseline:8.3f}" if line.majority_baseline is not None else f"{'':8}"
    confidence = f"{line.mean_confidence:15.3f}" if line.mean_confidence is not None else f"{'-':>15}"
    surer_half = f"   {line.top1_at_50:13.3f}" if line.top1_at_50 is not None else ""
    return f"{line.language:<9}{line.num_videos:9,}{line.support:8,}{score}   {majority}   {confidence}{surer_half}"
