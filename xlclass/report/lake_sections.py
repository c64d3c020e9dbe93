"""The page's sections on the lake: its catalogue, its runs, what drifts, and the videos that a person should look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from xlclass.report import charts
from xlclass.report.elements import About, Column, Grid, Line, Row, Section, plain
from xlclass.report.model_sections import Tables

_LANGUAGE = Column("language", "language")
_NO_TEXT = "no text"
_ISSUES = {"worth_labelling": "Most worth labelling", "mislabelled": "Probably mislabelled"}


def catalogue(about: About, tables: Tables) -> Section:
    """What the texts are made of, and who says the languages."""
    rows = tables.get("catalogue", ())
    totals = _summed(rows, "text_source")
    sources = [source for source, _ in totals.most_common(len(charts.PARTS) - (len(totals) > len(charts.PARTS)))]
    per_language: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        per_language[row["language"]].append(row)
    lines = [Line(_catalogue_cells(language, group, sources), language) for language, group in per_language.items()]
    columns = (
        _LANGUAGE,
        Column("videos", "count"),
        Column("labelled", "count"),
        Column("made of", "chart"),
        Column("no text", "percent"),
        Column("declared", "percent"),
        Column("detected", "percent"),
        Column("by channel", "percent"),
    )
    legend = [(f"part{i}", source) for i, source in enumerate(sources, 1)] + ([(f"part{len(charts.PARTS)}", "others")] if len(totals) > len(sources) else [])
    num = totals.total()
    by_source = [Line((source, n, n / num)) for source, n in totals.most_common()]
    grids = [
        Grid("catalogue-table", "Videos per language: what their text is made of, and who decided the language", columns, about.bodies(lines)),
        Grid("sources-table", "What the texts are made of", (Column("fields"), Column("videos", "count"), Column("share", "percent")), plain(by_source), True),
    ]
    return Section(
        "catalogue",
        "The catalogue",
        "Every video of the lake; a language is the declared one unless the text clearly says another.",
        "" if rows else "The lake has no videos yet: run jobs/backfill.py.",
        legend,
        grids=grids if rows else [],
    )


def _summed(rows: Sequence[Row], column: str) -> Counter[str]:
    """Videos by the value of `column`."""
    counts = Counter[str]()
    for row in rows:
        counts[row[column] or _NO_TEXT] += row["num_videos"]
    return counts


def _catalogue_cells(language: str, rows: Sequence[Row], sources: Sequence[str]) -> tuple[object, ...]:
    made_of, decided = _summed(rows, "text_source"), _summed(rows, "language_source")
    num = made_of.total()
    parts = [made_of[source] for source in sources]
    parts.append(num - sum(parts))
    label = f"{language}: text made of " + ", ".join(f"{source} {100 * n / num:.0f} %" for source, n in made_of.most_common())
    chart = (charts.stacked_strip(parts, label), made_of.most_common(1)[0][1] / num)
    deciders = (decided[who] / num for who in ("declared", "detected", "channel"))
    return language, num, sum(row["num_labelled"] for row in rows), chart, made_of[_NO_TEXT] / num, *deciders


def runs(about: About, tables: Tables) -> Section:
    """The newest runs of the jobs."""
    rows = tables.get("runs", ())
    columns = (
        Column("started (UTC)"),
        Column("job"),
        Column("outcome", "outcome"),
        Column("rows in", "count"),
        Column("new or changed", "count"),
        Column("rejected", "count"),
        Column("unchanged", "count"),
        Column("took", "seconds"),
        Column("steps"),
        Column("message"),
    )
    names = ("started_at", "job", "outcome", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "seconds")
    lines = [Line((*map(row.get, names), _steps(row.get("steps")), row.get("message"))) for row in rows]
    missing = "" if rows else "No run is recorded yet."
    return Section("runs", "Newest runs", "", missing, grids=[Grid("runs-table", "Runs, newest first", columns, plain(lines))] if rows else [])


def _steps(steps: Sequence[Row] | None) -> str:
    return ", ".join(f"{step['name']} {step['seconds']:.0f} s" for step in steps or ())


def monitoring(about: About, tables: Tables) -> Section | None:
    """Drift and alerts as their tables have them, nothing where the lake has neither."""
    grids = []
    for name, title in (("alerts", "Alerts"), ("drift", "Drift")):
        rows = tables.get(name, ())
        if rows:
            names = [column for column, value in rows[0].items() if not isinstance(value, list | dict | bytes)]
            columns = tuple(Column(column.replace("_", " "), "share" if isinstance(rows[0][column], float) else "text") for column in names)
            grids.append(Grid(f"{name}-table", f"{title}, newest first", columns, plain(Line(tuple(map(row.get, names)), row.get("language")) for row in rows)))
    if not {"alerts", "drift"} & set(tables):
        return None
    return Section("monitoring", "Drift and alerts", "", "" if grids else "Nothing drifted, and there is no alert.", grids=grids)


def labelling(about: About, tables: Tables) -> Section:
    """The videos whose label is most worth having, and those whose label is probably wrong."""
    columns = (
        _LANGUAGE,
        Column("title", "title"),
        Column("label"),
        Column("top category"),
        Column("confidence", "share"),
        Column("score", "share"),
        Column("why"),
    )
    grids = []
    for issue, title in _ISSUES.items():
        lines = [Line(_issue_cells(about, row), row["language"]) for row in tables.get("label_issues", ()) if row["issue"] == issue]
        if lines:
            grids.append(Grid(f"{issue.replace('_', '-')}-table", title, columns, plain(lines)))
    missing = "No video stands out." if "label_issues" in tables else "This lake does not say it yet: evaluate again with jobs/evaluate.py."
    return Section(
        "labelling", "Videos a person should look at", "The most urgent of each language, highest score first.", "" if grids else missing, grids=grids
    )


def _issue_cells(about: About, row: Row) -> tuple[object, ...]:
    labels = ", ".join(map(about.category, row.get("labels") or ()))
    title = row.get("title") or row["video_id"]
    return row["language"], title, labels, about.category(row.get("top_category")), row.get("top_confidence"), row["score"], row["reason"]
