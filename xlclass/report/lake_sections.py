"""The page's sections about the lake: data quality, videos to label, drift and alerts, and runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from xlclass.report import charts
from xlclass.report.elements import About, Column, Grid, Line, Row, Section, ungrouped
from xlclass.report.model_sections import LANGUAGE, NUM_VIDEOS, Tables

_NO_TEXT = "no text"
_ISSUES = {  # caption, and the meaning of the score, from label_quality
    "worth_labelling": ("Unlabelled videos whose label would help most", "1 minus the confidence, times the mean cosine to similar videos of the language"),
    "mislabelled": ("Labels that are probably wrong", "share of the language's labels that are less suspect"),
}


def data_quality(about: About, tables: Tables) -> Section:
    """The fields that texts are made of, and the source of the language, per language."""
    rows = tables.get("catalogue", ())
    totals = _counts(rows, "text_source")
    max_parts = len(charts.PARTS)
    sources = [source for source, _ in totals.most_common(max_parts - (len(totals) > max_parts))]
    rows_by_language: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        rows_by_language[row["language"]].append(row)
    lines = [Line(_quality_cells(language, group, sources), language) for language, group in rows_by_language.items()]
    columns = (
        LANGUAGE,
        NUM_VIDEOS,
        Column("labelled", "count", "videos with at least one label"),
        Column("text fields", "chart", "the fields that the text of the videos is made of"),
        Column("no text", "percent", "videos without a usable text"),
        Column("declared", "percent", "videos in the language that the uploader declared"),
        Column("detected", "percent", "videos whose language was detected from their text"),
        Column("by channel", "percent", "videos that have the usual language of their channel"),
    )
    legend = [(f"part{i}", source) for i, source in enumerate(sources, 1)] + ([(f"part{max_parts}", "other fields")] if len(totals) > len(sources) else [])
    source_lines = [Line((source, num, num / totals.total())) for source, num in totals.most_common()]
    source_columns = (Column("fields"), NUM_VIDEOS, Column("share", "percent"))
    grids = [
        Grid("quality-table", "Videos per language: labels, text fields and source of the language", columns, about.bodies(lines)),
        Grid("sources-table", "Text fields of all videos", source_columns, ungrouped(source_lines), folded=True),
    ]
    return Section(
        "data-quality",
        "Data quality",
        "The fields that each video's text is made of, and the source of its language. "
        "The declared language is used unless the text is clearly in another one.",
        "" if rows else "The lake has no videos yet: run jobs/backfill.py.",
        legend,
        grids=grids if rows else [],
    )


def _counts(rows: Sequence[Row], column: str) -> Counter[str]:
    """Number of videos by the value of `column`."""
    counts = Counter[str]()
    for row in rows:
        counts[row[column] or _NO_TEXT] += row["num_videos"]
    return counts


def _quality_cells(language: str, rows: Sequence[Row], sources: Sequence[str]) -> tuple[object, ...]:
    text_sources, language_sources = _counts(rows, "text_source"), _counts(rows, "language_source")
    num = text_sources.total()
    parts = [text_sources[source] for source in sources]
    parts.append(num - sum(parts))
    label = f"{language}: text fields " + ", ".join(f"{source} {100 * n / num:.0f} %" for source, n in text_sources.most_common())
    chart = (charts.stacked_strip(parts, label), text_sources.most_common(1)[0][1] / num)
    language_shares = (language_sources[source] / num for source in ("declared", "detected", "channel"))
    return language, num, sum(row["num_labelled"] for row in rows), chart, text_sources[_NO_TEXT] / num, *language_shares


def runs(about: About, tables: Tables) -> Section:
    """The newest runs of the jobs."""
    rows = tables.get("runs", ())
    columns = (
        Column("started (UTC)"),
        Column("job"),
        Column("outcome", "outcome"),
        Column("rows read", "count", "rows of the source"),
        Column("new or changed", "count", "videos that were written"),
        Column("rejected", "count", "rows that could not be used; see the table rejected_videos"),
        Column("unchanged", "count", "videos that were up to date and not written again"),
        Column("duration", "seconds"),
        Column("steps"),
        Column("message"),
    )
    names = ("started_at", "job", "outcome", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "seconds")
    lines = [Line((*map(row.get, names), _steps(row.get("steps")), row.get("message"))) for row in rows]
    return Section(
        "runs",
        "Runs",
        "The most recent runs of the jobs on this lake. The run that wrote this page is not among them.",
        "" if rows else "No run is recorded yet.",
        grids=[Grid("runs-table", "Runs, newest first", columns, ungrouped(lines))] if rows else [],
    )


def _steps(steps: Sequence[Row] | None) -> str:
    return ", ".join(f"{step['name']} {step['seconds']:.0f} s" for step in steps or ())


def monitoring(about: About, tables: Tables) -> Section | None:
    """The newest rows of the tables alerts and drift; null if the lake has neither table."""
    if not {"alerts", "drift"} & set(tables):
        return None
    grids = []
    for name, title in (("alerts", "Alerts"), ("drift", "Drift")):
        rows = tables.get(name, ())
        if rows:
            names = [column for column, value in rows[0].items() if not isinstance(value, list | dict | bytes)]
            columns = tuple(Column(column.replace("_", " "), "share" if isinstance(rows[0][column], float) else "text") for column in names)
            lines = (Line(tuple(map(row.get, names)), row.get("language")) for row in rows)
            grids.append(Grid(f"{name}-table", f"{title}, newest first", columns, ungrouped(lines)))
    explanation = "The newest rows of the tables alerts and drift."
    return Section("monitoring", "Drift and alerts", explanation, "" if grids else "There is no drift and no alert.", grids=grids)


def videos_to_label(about: About, tables: Tables) -> Section:
    """The unlabelled videos whose label would help most, and the labels that are probably wrong."""
    grids = []
    for issue, (caption, score_meaning) in _ISSUES.items():
        rows = [row for row in tables.get("label_issues", ()) if row["issue"] == issue]
        labels = (Column("labels"),) if issue == "mislabelled" else ()  # the other videos have none
        columns = (
            LANGUAGE,
            Column("title", "title"),
            *labels,
            Column("top category"),
            Column("confidence", "share", "the model version's confidence in its top category"),
            Column("score", "share", score_meaning),
            Column("reason"),
        )
        if rows:
            lines = [Line(_issue_cells(about, row, with_labels=bool(labels)), row["language"]) for row in rows]
            grids.append(Grid(f"{issue.replace('_', '-')}-table", caption, columns, ungrouped(lines)))
    not_listed = "No video is listed." if "label_issues" in tables else "The videos to label have not been determined yet: run jobs/evaluate.py."
    return Section(
        "videos-to-label",
        "Videos to label",
        "Unlabelled videos whose label would help most, and labels that are probably wrong. "
        "Each list has the videos with the highest scores of every language.",
        "" if grids else not_listed,
        grids=grids,
    )


def _issue_cells(about: About, row: Row, with_labels: bool) -> tuple[object, ...]:
    labels = (", ".join(map(about.category, row["labels"])),) if with_labels else ()
    return row["language"], row["title"] or row["video_id"], *labels, about.category(row["top_category"]), row["top_confidence"], row["score"], row["reason"]
