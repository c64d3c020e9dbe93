"""One HTML page that says how good the system is, from small tables of numbers: self-contained, without any request to a network.

What stands in the catalogue is hostile: Jinja2 escapes every value, titles stand in `<bdi>` so that no direction mark leaves them, and
the Content-Security-Policy lets nothing run but the page's own script, by its digest.
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
from xlclass.report import lake_sections, model_sections
from xlclass.report.elements import GROUPS, MOST_CARDS, About, Row, Section, shown, sort_value
from xlclass.report.model_sections import Tables

_SECTIONS = (
    model_sections.accuracy,
    model_sections.confidence,
    model_sections.calibration,
    model_sections.coverage,
    model_sections.categories,
    model_sections.confusion,
    lake_sections.catalogue,
    lake_sections.labelling,
    lake_sections.monitoring,
    lake_sections.runs,
)


def page(about: About, tables: Tables) -> str:
    """The page as HTML.

    `tables` holds the rows of tables by name, as `reporting.read_tables` gives them; of a table that the lake has not there is
    no key, and its section says so or is left out.
    """
    about = dataclasses.replace(about, num_videos=_num_videos(tables))
    there = [section for section in (make(about, tables) for make in _SECTIONS) if section is not None]
    files = {file.name: file.read_text(encoding="utf-8") for file in resources.files("xlclass.report").joinpath("template").iterdir() if file.name[:2] != "__"}
    environment = jinja2.Environment(loader=jinja2.DictLoader(files), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": shown, "sort_value": sort_value}
    script = files["report.js"]
    return environment.get_template("report.html").render(
        about=about,
        headline=_headline(about, tables),
        sections=there,
        languages=sorted(about.num_videos, key=about.order),
        groups=GROUPS,
        most_cards=MOST_CARDS,
        style=Markup(files["report.css"]),  # noqa: S704  the package's own
        script=Markup(script),  # noqa: S704  the package's own
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        matrices=_matrices(there),
    )


def _num_videos(tables: Tables) -> dict[str, int]:
    """Videos per language: of the catalogue, or of those predicted."""
    counts: dict[str, int] = {}
    for row in tables.get("catalogue") or tables.get("language_confidence") or tables.get("language_accuracy", ()):
        counts[row["language"]] = counts.get(row["language"], 0) + row.get("num_videos", 0)
    return counts


def _headline(about: About, tables: Tables) -> list[tuple[str, str, Sequence[str]]]:
    """The page's first figures: (figure, what it is, words on it)."""
    rows = tables.get("language_accuracy", ())
    figures: list[tuple[str, str, Sequence[str]]] = [(f"{sum(about.num_videos.values()):,}", "videos", [f"in {len(about.num_videos)} languages"])]
    for key, name in GROUPS.items():
        group = [row for row in rows if about.group(row["language"]) == key]
        if group:
            figures.append(_together(name, group))
    return figures


def _together(name: str, rows: Sequence[Row]) -> tuple[str, str, Sequence[str]]:
    support = sum(row["support"] for row in rows)
    right = round(sum(row["top1"] * row["support"] for row in rows))
    low, high = wilson(right, support)
    return f"{right / support:.3f}", f"top-1, {name}", [f"{low:.3f}\u00a0–\u00a0{high:.3f} (95\u00a0%)", f"{support:,} test videos in {len(rows)} languages"]


def _matrices(there: Sequence[Section]) -> dict[str, Sequence[tuple[int, int, int]]]:
    """The confusion matrices that the page's script shows on request."""
    return next((dict(section.matrix.counts) for section in there if section.matrix), {})
