"""The page's sections on the model: how often it is right, how sure it is and how rightly, and what it takes for what."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xlclass.quality.calibration_error import MIN_BIN
from xlclass.quality.metrics import ratio, wilson
from xlclass.report import charts
from xlclass.report.elements import MOST_CARDS, About, Card, Column, Grid, Line, Row, Section, by_language

NUM_BINS = 20  # of the confidences' distributions
MIN_CURVE = 20  # test videos below which a curve would show chance alone
Tables = Mapping[str, Sequence[Row]]
_LANGUAGE = Column("language", "language")
NO_EVALUATION = "This model version has not been evaluated yet: run jobs/evaluate.py."
_NOT_SAID = "This evaluation does not say it: evaluate again with jobs/evaluate.py."
NO_TEST = "No labelled test video yet: accuracy needs videos with labels in the test split."


def accuracy(about: About, tables: Tables) -> Section:
    """Top-1 per language with its interval, the training languages set apart."""
    rows = tables.get("language_accuracy", ())
    known = by_language(rows)

    def heading(name: str, languages: list[str]) -> Line:
        return _together(name, [known[language] for language in languages], sum(about.num_videos.get(language, 0) for language in languages))

    lines = [Line(_accuracy_cells(row, about.num_videos.get(row["language"])), row["language"]) for row in rows]
    columns = (
        _LANGUAGE,
        Column("top-1, 0 to 1", "chart", charts.scale_strip()),
        Column("top-1", "share"),
        Column("95 % interval", "interval"),
        Column("test videos", "count"),
        Column("majority", "share"),
        Column("macro-F1", "share"),
        Column("gap to training", "points"),
        Column("videos", "count"),
    )
    unscored = len(about.num_videos) - len(rows)
    return Section(
        "accuracy",
        "Right at first guess",
        "Top-1 is the share of labelled test videos whose top category is among their labels. Labels of other languages than the training languages are used "
        f"for scoring only.{f' Languages without a labelled test video: {unscored}.' if unscored else ''}",
        "" if rows else NO_TEST if tables.get("language_confidence") else NO_EVALUATION,
        [("dot", "top-1"), ("band", "95 % interval"), ("tick", "always saying the language's most frequent category")],
        grids=[Grid("accuracy-table", "Top-1 per language", columns, about.bodies(lines, heading))] if rows else [],
    )


def _accuracy_cells(row: Row, num_videos: int | None) -> tuple[object, ...]:
    top1, low, high, majority = (row[name] for name in ("top1", "top1_low", "top1_high", "majority_baseline"))
    label = f"{row['language']}: top-1 {top1:.3f}, 95 % interval {low:.3f} to {high:.3f}, majority category {majority:.3f}"
    chart = charts.interval_strip(top1, low, high, majority, label)
    return row["language"], (chart, top1), top1, (low, high), row["support"], majority, row.get("macro_f1"), row.get("gap_to_training"), num_videos


def _together(name: str, rows: Sequence[Row], num_videos: int) -> Line:
    """The languages of a group as one."""
    support = sum(row["support"] for row in rows)
    top1 = sum(row["top1"] * row["support"] for row in rows) / support
    low, high = wilson(round(top1 * support), support)
    majority = sum(row["majority_baseline"] * row["support"] for row in rows) / support
    chart = charts.interval_strip(top1, low, high, majority, f"{name} together: top-1 {top1:.3f}, 95 % interval {low:.3f} to {high:.3f}")
    return Line((name, (chart, top1), top1, (low, high), support, majority, None, None, num_videos))


def confidence(about: About, tables: Tables) -> Section:
    """How sure the model is, per language, over all videos."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * NUM_BINS)
    for row in tables.get("confidences", ()):
        counts[row["language"]][min(row["bin"], NUM_BINS - 1)] += row["num_videos"]
    shares = {language: [n / sum(bins) for n in bins] for language, bins in counts.items()}
    highest = max((max(shares[language]) for language in sorted(counts, key=about.order)[:MOST_CARDS]), default=1.0)  # of those that are seen at once
    told = by_language(tables.get("language_confidence", ()))
    cards = []
    for language in sorted(counts, key=about.order):
        mean = told.get(language, {}).get("mean_confidence")
        caption = f"{sum(counts[language]):,} videos" + (f", mean {mean:.2f}" if mean is not None else "")
        label = f"{language}: distribution of the top confidence of {caption}; the numbers are in the table below"
        cards.append(Card(language, charts.histogram(shares[language], highest, mean, label), caption))
    return Section(
        "confidence",
        "How sure it is",
        "Distribution of the top category's confidence over all videos, labelled or not. All charts have one scale of height; a higher bar is cut.",
        "" if cards else "This model version has categorised no video yet: run jobs/backfill.py.",
        [("block", "share of the language's videos"), ("line", "mean")],
        cards,
        [_confidence_table(about, counts, told)] if cards else [],
    )


def _confidence_table(about: About, counts: Mapping[str, Sequence[int]], told: Mapping[str, Row]) -> Grid:
    tenths = [f"{i / 10:.1f}" for i in range(10)]
    columns = (_LANGUAGE, Column("videos", "count"), Column("mean", "share"), Column("no category", "percent"))
    lines = []
    for language, bins in counts.items():
        row, num = told.get(language, {}), sum(bins)
        tens = [(bins[2 * i] + bins[2 * i + 1]) / num for i in range(10)]
        lines.append(Line((language, num, row.get("mean_confidence"), row.get("share_without_category"), *tens), language))
    return Grid(
        "confidence-table",
        "Percent of a language's videos with a top confidence from … on",
        columns + tuple(Column(tenth, "heat") for tenth in tenths),
        about.bodies(lines),
        folded=True,
    )


def calibration(about: About, tables: Tables) -> Section:
    """Reliability after calibration, and before it where the evaluation says."""
    rows = about.sorted(tables.get("language_confidence", ()))
    cards = []
    for row in rows:
        after, before = (_points(row.get(name)) for name in ("reliability", "reliability_uncalibrated"))
        if after:
            ece = ", ".join(f"{row[name]:.3f} {when}" for name, when in (("ece_uncalibrated", "before"), ("ece", "after")) if row.get(name) is not None)
            label = f"{row['language']}: share right against mean confidence in {len(after)} bins, calibration error {ece}; the numbers are in the table below"
            cards.append(Card(row["language"], charts.reliability(after, before, label), f"error {ece}"))
    columns = (_LANGUAGE, Column("ECE before", "share"), Column("ECE after", "share"), Column("Brier", "share"), Column("log-loss", "share"), Column("bins"))
    names = ("ece_uncalibrated", "ece", "brier", "log_loss")
    lines = [Line((row["language"], *map(row.get, names), _bins(row.get("reliability"))), row["language"]) for row in rows if row.get("brier") is not None]
    scored = f"No language has {MIN_BIN} labelled test videos, which a curve needs."
    return Section(
        "calibration",
        "Whether it is rightly sure",
        "Share of right top categories against their mean confidence, on test videos; on the diagonal a confidence means what it says. The expected "
        f"calibration error (ECE) is debiased; languages with fewer than {MIN_BIN} test videos have no curve.",
        "" if cards else scored if lines else NO_TEST if rows else NO_EVALUATION,
        [("line", "after calibration"), ("dash", "before"), ("rule", "right as often as sure")] if cards else [],
        cards,
        [Grid("calibration-table", "Calibration per language", columns, about.bodies(lines), folded=True)] if lines else [],
    )


def _points(bins: Sequence[Row] | None) -> list[tuple[float, float]]:
    return [(b["mean_confidence"], b["top1"]) for b in bins or ()]


def _bins(bins: Sequence[Row] | None) -> str:
    return "; ".join(f"{b['mean_confidence']:.2f} sure, {b['top1']:.2f} right of {b['num_videos']:,}" for b in bins or ())


def coverage(about: About, tables: Tables) -> Section:
    """Accuracy when only the surest videos are answered."""
    rows = about.sorted(tables.get("language_accuracy", ()))
    names = sorted({name for row in rows for name in row if re.fullmatch(r"top1_at_\d+", name)}, key=_percent)
    curves = {row["language"]: _curve(row, names) for row in rows}
    training = [row for row in rows if row["language"] in about.training]
    reference = _curve({name: _weighted(training, name) for name in names}, names)
    cards = []
    for row in rows:
        points = curves[row["language"]]
        if len(points) > 1 and row["support"] >= MIN_CURVE:
            label = f"{row['language']}: " + ", ".join(f"top-1 {y:.3f} on the surest {100 * x:.0f} %" for x, y in points)
            cards.append(Card(row["language"], charts.coverage(points, reference, label), f"{row['support']:,} test videos"))
    columns = (_LANGUAGE, Column("test videos", "count"), *(Column(f"top-1 at {_percent(name)} %", "share") for name in names))
    lines = [Line((row["language"], row["support"], *map(row.get, names)), row["language"]) for row in rows if curves[row["language"]]]
    return Section(
        "coverage",
        "Accuracy against coverage",
        "Top-1 when only the videos with the highest confidence are answered: the surest half, the surest 80 %, all. Languages with fewer than "
        f"{MIN_CURVE} test videos have no curve.",
        "" if cards else NO_TEST if not rows else f"No language has {MIN_CURVE} test videos." if lines else _NOT_SAID,
        [("line", "the language"), ("dash", "training languages together")] if cards else [],
        cards,
        [Grid("coverage-table", "Top-1 of the surest videos", columns, about.bodies(lines), folded=True)] if lines else [],
    )


def _percent(name: str) -> int:
    return int(name.removeprefix("top1_at_"))


def _curve(row: Row, names: Sequence[str]) -> list[tuple[float, float]]:
    return [(_percent(name) / 100, row[name]) for name in names if row.get(name) is not None]


def _weighted(rows: Sequence[Row], name: str) -> float | None:
    there = [(row[name], row["support"]) for row in rows if row.get(name) is not None]
    return ratio(sum(value * support for value, support in there), sum(support for _, support in there))


def categories(about: About, tables: Tables) -> Section:
    """Two heat maps of category by language: how well each is found, and what the catalogue is given."""
    found, given = tables.get("category_accuracy", ()), tables.get("given", ())
    f1 = {(row["language"], row["category"]): row["f1"] for row in found}
    totals = Counter[str]()
    for row in given:
        totals[row["language"]] += row["num_videos"]
    mix = {(row["language"], row["category"]): row["num_videos"] / totals[row["language"]] for row in given}
    grids = [
        _heat_map("f1", "F1 in percent, on labelled test videos", about, f1),
        _heat_map("mix", "Top category in percent of the language's videos", about, mix),
    ]
    return Section(
        "categories",
        "Categories by language",
        "How well each category is found, and which are given. An empty cell: the category does not occur there.",
        "" if f1 or mix else NO_EVALUATION,
        grids=[grid for grid in grids if grid.lines],
    )


def _heat_map(name: str, caption: str, about: About, values: Mapping[tuple[str, str], float | None]) -> Grid:
    there = {category for _, category in values}
    ordered = [category for category in about.categories if category in there] + sorted(there - set(about.categories))
    lines = [Line((language, *(values.get((language, category)) for category in ordered)), language) for language in {language for language, _ in values}]
    return Grid(f"categories-{name}", caption, (_LANGUAGE, *(Column(about.category(category), "heat") for category in ordered)), about.bodies(lines))


@dataclass(frozen=True)
class Matrix:
    """Confusion matrices over `labels` x `tops` (names): `counts` by language as [row, column, videos], "" for all together."""

    labels: Sequence[str]
    tops: Sequence[str]
    counts: Mapping[str, Sequence[tuple[int, int, int]]]


def confusion(about: About, tables: Tables) -> Section:
    """What is taken for what: all languages together, or one that is chosen in the page."""
    rows = tables.get("confusion", ())
    order = list(about.categories)

    def names(column: str) -> list[str]:
        return sorted({row[column] for row in rows}, key=lambda name: (order.index(name) if name in order else len(order), name))

    labels, tops = names("label"), names("top_category")
    counts: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row in rows:
        for language in ("", row["language"]):
            counts[language][labels.index(row["label"]), tops.index(row["top_category"])] += row["num_videos"]
    flat = {
        language: [(i, j, n) for (i, j), n in sorted(counts[language].items())] for language in sorted(counts, key=lambda name: (name != "", about.order(name)))
    }
    return Section(
        "confusion",
        "What is taken for what",
        "Labelled test videos by label (rows) and top category (columns); colour is the share of the row.",
        "" if rows else "No confusion matrix in this evaluation." if tables.get("language_accuracy") else NO_TEST,
        matrix=Matrix([about.category(name) for name in labels], [about.category(name) for name in tops], flat) if rows else None,
    )
