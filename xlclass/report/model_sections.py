"""The page's sections about the model: accuracy, confidence, calibration, coverage, categories and confusion."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from xlclass.quality.calibration_error import MIN_BIN
from xlclass.quality.metrics import ratio, wilson
from xlclass.quality.scoring import NO_TEXT
from xlclass.quality.selective import COVERAGES
from xlclass.report import charts
from xlclass.report.elements import MAX_CARDS, About, Card, Column, Grid, Line, Row, Section, by_language

NUM_BINS = 20  # of the confidence histograms
MIN_CURVE = 20  # test videos; with fewer, a coverage curve shows only noise
Tables = Mapping[str, Sequence[Row]]
LANGUAGE = Column("language", "language")
NUM_VIDEOS = Column("videos", "count")
_TEST_VIDEOS = Column("test videos", "count")
_NO_EVALUATION = "This model version has not been evaluated yet: run jobs/evaluate.py."
_NO_TEST_VIDEO = "There is no labelled test video yet: accuracy needs videos with labels in the test split."


def _missing_scores(tables: Tables) -> str:
    """Why there are no scores: no evaluation, or no labelled test video."""
    return _NO_TEST_VIDEO if tables.get("language_confidence") else _NO_EVALUATION


def _with_curves(section: Section, min_videos: int, tables: Tables) -> Section:
    """`section`; if it has no curve, without the legend and with the reason."""
    if section.cards:
        return section
    too_few = f"No language has {min_videos} labelled test videos, so there is no curve."
    return replace(section, legend=(), missing=too_few if section.grids else _missing_scores(tables))


def accuracy(about: About, tables: Tables) -> Section:
    """Top-1 accuracy per language with its interval, by group of languages."""
    rows = tables.get("language_accuracy", ())
    scores = by_language(rows)

    def heading(name: str, languages: list[str]) -> Line:
        return _group_line(name, [scores[language] for language in languages], sum(about.num_videos.get(language, 0) for language in languages))

    lines = [Line(_accuracy_cells(row, about.num_videos.get(row["language"])), row["language"]) for row in rows]
    columns = (
        LANGUAGE,
        Column("top-1 from 0 to 1", "chart", chart=charts.scale_strip()),
        Column("top-1", "share"),
        Column("95 % interval", "interval", "Wilson score interval of top-1"),
        _TEST_VIDEOS,
        Column("majority baseline", "share", "top-1 of a classifier that always predicts the language's most frequent category"),
        Column("macro-F1", "share", "mean F1 over the categories"),
        Column("gap", "points", "top-1 of the training languages minus top-1 of the language"),
        NUM_VIDEOS,
    )
    num_unscored = len(about.num_videos) - len(rows)
    caption = "Top-1 accuracy per language" + (f"; languages without a labelled test video: {num_unscored}" if num_unscored else "")
    return Section(
        "accuracy",
        "Top-1 accuracy",
        "Top-1 accuracy is the share of labelled test videos whose top category is one of their labels. "
        "Labels of languages other than the training languages are used for scoring only.",
        "" if rows else _missing_scores(tables),
        [("dot", "top-1"), ("band", "95 % interval"), ("tick", "majority baseline")],
        grids=[Grid("accuracy-table", caption, columns, about.bodies(lines, heading))] if rows else [],
    )


def _accuracy_cells(row: Row, num_videos: int | None) -> tuple[object, ...]:
    top1, low, high, majority = (row[name] for name in ("top1", "top1_low", "top1_high", "majority_baseline"))
    label = f"{row['language']}: top-1 {top1:.3f}, 95 % interval {low:.3f} to {high:.3f}, majority baseline {majority:.3f}"
    chart = charts.interval_strip(top1, low, high, majority, label)
    return row["language"], (chart, top1), top1, (low, high), row["support"], majority, row["macro_f1"], row["gap_to_training"], num_videos


def _group_line(name: str, rows: Sequence[Row], num_videos: int) -> Line:
    """The line of a group of languages, over all its test videos."""
    support = sum(row["support"] for row in rows)
    top1 = sum(row["top1"] * row["support"] for row in rows) / support
    low, high = wilson(round(top1 * support), support)
    majority = sum(row["majority_baseline"] * row["support"] for row in rows) / support
    chart = charts.interval_strip(top1, low, high, majority, f"{name}: top-1 {top1:.3f}, 95 % interval {low:.3f} to {high:.3f}")
    return Line((name, (chart, top1), top1, (low, high), support, majority, None, None, num_videos))


def confidence(about: About, tables: Tables) -> Section:
    """Distribution of the top confidence per language, over all videos."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * NUM_BINS)
    for row in tables.get("confidence_bins", ()):
        counts[row["language"]][min(row["bin"], NUM_BINS - 1)] += row["num_videos"]
    shares = {language: [n / sum(bins) for n in bins] for language, bins in counts.items()}
    languages = sorted(counts, key=about.order)
    highest = max((max(shares[language]) for language in languages[:MAX_CARDS]), default=1.0)  # of the charts that are visible at first
    statistics = by_language(tables.get("language_confidence", ()))
    cards = []
    for language in languages:
        mean = statistics.get(language, {}).get("mean_confidence")
        caption = f"{sum(counts[language]):,} videos" + (f", mean {mean:.2f}" if mean is not None else "")
        label = f"{language}: distribution of the top confidence of {caption}; the numbers are in the table below"
        cards.append(Card(language, charts.histogram(shares[language], highest, mean, label), caption))
    return Section(
        "confidence",
        "Confidence",
        "Distribution of the top category's confidence over all videos, with or without labels. "
        "All charts have the same height scale; higher bars are cut off.",
        "" if cards else "This model version has no predictions yet: run jobs/backfill.py.",
        [("block", "share of the language's videos"), ("line", "mean confidence")],
        cards,
        [_confidence_table(about, counts, statistics)] if cards else [],
    )


def _confidence_table(about: About, counts: Mapping[str, Sequence[int]], statistics: Mapping[str, Row]) -> Grid:
    tenths = tuple(Column(f"{i / 10:.1f}–{(i + 1) / 10:.1f}", "heat") for i in range(10))
    without_category = Column("no category", "percent", "videos whose confidences are all below their thresholds, or that have no text")
    lines = []
    for language, bins in counts.items():
        row, num = statistics.get(language, {}), sum(bins)
        shares = [(bins[2 * i] + bins[2 * i + 1]) / num for i in range(10)]
        lines.append(Line((language, num, row.get("mean_confidence"), row.get("share_without_category"), *shares), language))
    columns = (LANGUAGE, NUM_VIDEOS, Column("mean", "share"), without_category, *tenths)
    return Grid("confidence-table", "Videos of a language by top confidence, in percent", columns, about.bodies(lines), folded=True)


def calibration(about: About, tables: Tables) -> Section:
    """Reliability curves per language, before and after calibration."""
    rows = about.sorted(tables.get("language_confidence", ()))
    cards = []
    for row in rows:
        after, before = (_points(row[name]) for name in ("reliability", "reliability_uncalibrated"))
        if after:
            eces = ((row["ece_uncalibrated"], "before"), (row["ece"], "after"))
            caption = "ECE " + ", ".join(f"{ece:.3f} {when}" for ece, when in eces if ece is not None)
            label = f"{row['language']}: accuracy against mean confidence in {len(after)} bins, {caption}; the numbers are in the table below"
            cards.append(Card(row["language"], charts.reliability(after, before, label), caption))
    columns = (
        LANGUAGE,
        Column("ECE before", "share", "expected calibration error of the sigmoid of the logits, before calibration"),
        Column("ECE after", "share", "expected calibration error of the calibrated confidences"),
        Column("Brier score", "share", "mean squared error of the confidences of all categories"),
        Column("log-loss", "share", "mean log-loss of the confidences of all categories, in nats"),
        Column("bins", meaning="mean confidence → accuracy (videos) after calibration, for each bin of the curve"),
    )
    names = ("ece_uncalibrated", "ece", "brier", "log_loss")
    lines = [Line((row["language"], *map(row.get, names), _bins(row["reliability"])), row["language"]) for row in rows if row["brier"] is not None]
    section = Section(
        "calibration",
        "Calibration",
        "Accuracy of the top category (vertical axis) against its mean confidence (horizontal axis), on test videos. The expected calibration error "
        f"(ECE) is corrected for sampling noise; a curve needs {MIN_BIN} test videos.",
        legend=[("line", "after calibration"), ("dash", "before calibration"), ("rule", "perfect calibration")],
        cards=cards,
        grids=[Grid("calibration-table", "Calibration per language", columns, about.bodies(lines), folded=True)] if lines else [],
    )
    return _with_curves(section, MIN_BIN, tables)


def _points(bins: Sequence[Row]) -> list[tuple[float, float]]:
    return [(b["mean_confidence"], b["top1"]) for b in bins]


def _bins(bins: Sequence[Row]) -> str:
    return "; ".join(f"{b['mean_confidence']:.2f}\u00a0→\u00a0{b['top1']:.2f}\u00a0({b['num_videos']:,})" for b in bins)


def coverage(about: About, tables: Tables) -> Section:
    """Top-1 accuracy per language if only the most confident videos get a category."""
    rows = about.sorted(tables.get("language_accuracy", ()))
    training = [row for row in rows if row["language"] in about.training_languages]
    reference = [(percent / 100, top1) for percent in COVERAGES if (top1 := _mean_top1_at(training, percent)) is not None]
    cards = []
    for row in rows:
        if row["support"] >= MIN_CURVE:
            points = [(percent / 100, row[f"top1_at_{percent}"]) for percent in COVERAGES]
            label = f"{row['language']}: " + ", ".join(f"top-1 {y:.3f} at {100 * x:.0f} % coverage" for x, y in points)
            cards.append(Card(row["language"], charts.coverage(points, reference, label), f"{row['support']:,} test videos"))
    columns = (LANGUAGE, _TEST_VIDEOS, *(Column(f"top-1 at {percent} %", "share") for percent in COVERAGES))
    lines = [Line((row["language"], row["support"], *(row[f"top1_at_{percent}"] for percent in COVERAGES)), row["language"]) for row in rows]
    section = Section(
        "coverage",
        "Accuracy against coverage",
        "Top-1 accuracy (vertical axis) if only the most confident videos get a category: the most confident 50 %, 80 % or 100 % (horizontal axis). "
        f"A curve needs {MIN_CURVE} test videos.",
        legend=[("line", "the language"), ("dash", "all training languages")],
        cards=cards,
        grids=[Grid("coverage-table", "Top-1 accuracy of the most confident videos", columns, about.bodies(lines), folded=True)] if lines else [],
    )
    return _with_curves(section, MIN_CURVE, tables)


def _mean_top1_at(rows: Sequence[Row], percent: int) -> float | None:
    """Top-1 at a coverage, averaged over the languages by test videos."""
    return ratio(sum(row[f"top1_at_{percent}"] * row["support"] for row in rows), sum(row["support"] for row in rows))


def categories(about: About, tables: Tables) -> Section:
    """Two heat maps of category by language: F1, and the distribution of the top category."""
    f1 = {(row["language"], row["category"]): row["f1"] for row in tables.get("category_accuracy", ())}
    top_categories = tables.get("top_categories", ())
    totals = Counter[str]()
    for row in top_categories:
        totals[row["language"]] += row["num_videos"]
    shares = {(row["language"], row["category"]): row["num_videos"] / totals[row["language"]] for row in top_categories}
    grids = [
        _heat_map("f1", "F1 of a category on labelled test videos, in percent", about, f1),
        _heat_map("shares", "Videos of a language by top category, in percent", about, shares),
    ]
    return Section(
        "categories",
        "Categories by language",
        "F1 of each category on labelled test videos, and the distribution of the top category over all videos. "
        "An empty cell means that no video has the category.",
        "" if f1 or shares else _missing_scores(tables),
        grids=[grid for grid in grids if grid.lines],
    )


def _heat_map(name: str, caption: str, about: About, values: Mapping[tuple[str, str], float | None]) -> Grid:
    present = {category for _, category in values}
    ordered = [category for category in about.categories if category in present] + sorted(present - set(about.categories))
    lines = [Line((language, *(values.get((language, category)) for category in ordered)), language) for language in {language for language, _ in values}]
    return Grid(f"categories-{name}", caption, (LANGUAGE, *(Column(about.category(category), "heat") for category in ordered)), about.bodies(lines))


@dataclass(frozen=True)
class Matrix:
    """Confusion matrices: display names of the `labels` (rows) and `top_categories` (columns), and `counts` by language.

    Counts are [row, column, videos]; the language "" stands for all languages.
    """

    labels: Sequence[str]
    top_categories: Sequence[str]
    counts: Mapping[str, Sequence[tuple[int, int, int]]]


def confusion(about: About, tables: Tables) -> Section:
    """The confusion matrix of all languages, or of one that is selected in the page."""
    rows = tables.get("confusion", ())
    order = list(about.categories)

    def names(column: str) -> list[str]:
        return sorted({row[column] for row in rows}, key=lambda name: (order.index(name) if name in order else len(order), name))

    def display(name: str) -> str:
        return "no text" if name == NO_TEXT else about.category(name)

    labels, top_categories = names("label"), names("top_category")
    counts: dict[str, Counter[tuple[int, int]]] = defaultdict(Counter)
    for row in rows:
        for language in ("", row["language"]):
            counts[language][labels.index(row["label"]), top_categories.index(row["top_category"])] += row["num_videos"]
    languages = sorted(counts, key=lambda language: (language != "", about.order(language)))
    flat = {language: [(i, j, n) for (i, j), n in sorted(counts[language].items())] for language in languages}
    return Section(
        "confusion",
        "Confusion",
        "Labelled test videos by label (rows) and top category (columns); a video with several labels counts in the row of each. "
        "The colour is the share of the row.",
        "" if rows else _missing_scores(tables),
        matrix=Matrix([*map(display, labels)], [*map(display, top_categories)], flat) if rows else None,
    )
