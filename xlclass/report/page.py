"""The report as one HTML page, rendered from small tables of numbers. The page is self-contained and makes no network request.

Texts of the catalogue are hostile input. Jinja2 escapes every value. Titles are in `<bdi>`, so direction marks have no effect outside
them. The Content-Security-Policy allows only the page's own script, identified by its digest.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from xlclass.quality.metrics import wilson
from xlclass.report import encoder_section, lake_sections, model_sections
from xlclass.report.elements import GROUPS, MAX_CARDS, About, Row, Section, format_cell, sort_value
from xlclass.report.model_sections import Tables

_SECTIONS = (
    model_sections.accuracy,
    model_sections.confidence,
    model_sections.calibration,
    model_sections.coverage,
    model_sections.categories,
    model_sections.confusion,
    encoder_section.encoders,
    lake_sections.data_quality,
    lake_sections.videos_to_label,
    lake_sections.monitoring,
    lake_sections.runs,
)


def page(about: About, tables: Tables) -> str:
    """The page as HTML.

    `tables` are the rows by table name, as `tables.read_tables` returns them. If a table is missing, its section has a sentence
    instead, or is left out.
    """
    about = dataclasses.replace(about, num_videos=_num_videos(tables))
    sections = [section for section in (make(about, tables) for make in _SECTIONS) if section is not None]
    files = {file.name: file.read_text(encoding="utf-8") for file in resources.files("xlclass.report").joinpath("template").iterdir() if file.name[:2] != "__"}
    environment = jinja2.Environment(loader=jinja2.DictLoader(files), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"format_cell": format_cell, "sort_value": sort_value}
    script = files["report.js"]
    return environment.get_template("report.html").render(
        about=about,
        headline=_headline(about, tables),
        sections=sections,
        languages=sorted(about.num_videos, key=about.order),
        groups=GROUPS,
        max_cards=MAX_CARDS,
        style=Markup(files["report.css"]),  # noqa: S704  part of the package
        script=Markup(script),  # noqa: S704  part of the package
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        matrices=_matrices(sections),
    )


def _num_videos(tables: Tables) -> dict[str, int]:
    """Number of videos per language in the catalogue, or with predictions if there is no catalogue."""
    counts: dict[str, int] = {}
    for row in tables.get("catalogue") or tables.get("language_confidence") or tables.get("language_accuracy", ()):
        counts[row["language"]] = counts.get(row["language"], 0) + row.get("num_videos", 0)
    return counts


def _headline(about: About, tables: Tables) -> list[tuple[str, str, Sequence[str]]]:
    """The figures at the top of the page: (figure, name, details)."""
    rows = tables.get("language_accuracy", ())
    figures: list[tuple[str, str, Sequence[str]]] = [(f"{sum(about.num_videos.values()):,}", "videos", [f"in {len(about.num_videos)} languages"])]
    for key, name in GROUPS.items():
        group = [row for row in rows if about.group(row["language"]) == key]
        if group:
            figures.append(_group_figure(name, group))
    return figures


def _group_figure(name: str, rows: Sequence[Row]) -> tuple[str, str, Sequence[str]]:
    support = sum(row["support"] for row in rows)
    num_correct = round(sum(row["top1"] * row["support"] for row in rows))
    low, high = wilson(num_correct, support)
    return (
        f"{num_correct / support:.3f}",
        f"top-1, {name}",
        [f"{low:.3f}\u00a0–\u00a0{high:.3f} (95\u00a0%)", f"{support:,} test videos in {len(rows)} languages"],
    )


def _matrices(sections: Sequence[Section]) -> dict[str, Sequence[tuple[int, int, int]]]:
    """The confusion matrices by language, for the page's script."""
    return next((dict(section.matrix.counts) for section in sections if section.matrix), {})
