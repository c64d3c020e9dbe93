"""Which encoder wins on what, in sentences computed from the rows of `encoder_comparison`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xlclass.evaluation.comparison_rows import ALL, KNOWN, OTHER, TRAINING

Row = Mapping[str, Any]
_SHORT = {TRAINING: "the training languages", KNOWN: "the known languages", OTHER: "the other languages"}


def contenders(rows: Sequence[Row]) -> list[Row]:
    """The rows of all languages together, one per contender: the reference first, then by time."""
    of_all = [row for row in rows if row["language"] == ALL]
    return sorted(of_all, key=lambda row: (row["contender"] != row["reference"], row["milliseconds_per_text"], row["contender"]))


def group_names(reference: str) -> dict[str, str]:
    """The groups of languages in words."""
    return {
        ALL: "All languages",
        TRAINING: "The training languages",
        KNOWN: f"Other languages that {reference} was trained on",
        OTHER: f"Languages that {reference} was not trained on",
    }


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Of the rows of one comparison: who wins in each group of languages, what each contender costs and gives, and what tells the language."""
    about = contenders(rows)
    if not about:
        return []
    times = {row["contender"]: row["milliseconds_per_text"] for row in about}
    names = group_names(about[0]["reference"])
    groups = [[row for row in rows if row["language"] == group] for group in (TRAINING, KNOWN, OTHER)]
    found = [f"{names[group[0]['language']]} ({group[0]['support']:,} test videos): {_winner(group, times)}" for group in groups if group]
    return [*found, *_prices(about, rows), *_language_share(about)]


def _winner(group: Sequence[Row], times: Mapping[str, float]) -> str:
    """Which contender is best in a group, how sure that is, and which is the fastest that is as good."""
    best = min(group, key=lambda row: (row["lag"], times[row["contender"]]))
    reference = next(row for row in group if row["contender"] == row["reference"])
    if best is reference:
        text = f"{best['contender']} is the best with {best['top1']:.3f}."
    else:
        text = f"{best['contender']} is the best with {best['top1']:.3f}, {reference['contender']} has {reference['top1']:.3f} ({_interval(best)})."
    if any(row["lag_low"] is None for row in group):
        return text
    worse = [f"{row['contender']} ({-row['lag']:+.3f})" for row in sorted(group, key=lambda row: -row["lag"]) if row["lag_low"] > 0]
    equal = [row["contender"] for row in group if row["lag_low"] <= 0]
    fastest = min(equal, key=lambda name: (times[name], name != best["contender"]))
    text += f" Worse beyond chance: {', '.join(worse) if worse else 'none'}."
    if fastest == best["contender"]:
        return f"{text} None of the others is both as good and faster."
    return f"{text} The fastest that is not worse beyond chance: {fastest}, {times[best['contender']] / times[fastest]:.1f} times as fast as the best."


def _interval(row: Row) -> str:
    if row["gain_low"] is None:
        return f"{row['gain']:+.3f}; too few channels to tell it from chance"
    kind = "beyond chance" if row["gain_low"] > 0 or row["gain_high"] < 0 else "within chance"
    return f"{row['gain']:+.3f}, 95 % interval {row['gain_low']:+.3f} to {row['gain_high']:+.3f}, {kind}"


def _prices(about: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """The reference's time and cost, and what each of the others takes and gives against it."""
    reference, *others = about
    per_text, name = reference["milliseconds_per_text"], reference["contender"]
    first = f"{name} encodes a text in {per_text:.2f} ms on one core, a million texts for {reference['cost_per_million']:.2f}."
    found = [f"{row['contender']} takes {row['milliseconds_per_text'] / per_text:.1f} times as long, {_against_reference(row, rows)}" for row in others]
    return [first, f"Against {name}: {'; '.join(found)}."] if found else [first]


def _against_reference(contender: Row, rows: Sequence[Row]) -> str:
    """In which groups of languages the contender differs from the reference beyond chance."""
    own = [row for row in rows if row["contender"] == contender["contender"] and row["language"] in _SHORT and row["gain_low"] is not None]
    better = [f"{_SHORT[row['language']]} ({row['gain']:+.3f})" for row in own if row["gain_low"] > 0]
    worse = [f"{_SHORT[row['language']]} ({row['gain']:+.3f})" for row in own if row["gain_high"] < 0]
    texts = [f"{word} in {', '.join(groups)}" for word, groups in (("better", better), ("worse", worse)) if groups]
    return " and ".join(texts) if texts else "no difference beyond chance"


def _language_share(about: Sequence[Row]) -> list[str]:
    shares = sorted((row["language_variance_share"], row["contender"]) for row in about if row["language_variance_share"] is not None)
    listed = ", ".join(f"{name} {share:.3f}" for share, name in shares)
    return [f"Share of the variance of the vectors that lies between languages, lowest first: {listed}."] if shares else []
