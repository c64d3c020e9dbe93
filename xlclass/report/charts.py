"""The charts of the report page: SVG elements that scale, print and use the page's colours.

Why matplotlib: it draws on the driver, so the page shows its charts without JavaScript and without a network. plotly adds 5 MB of
script to every page. Vega needs an expression evaluator that the page's Content-Security-Policy would have to allow. The charts are
small, one per language, and drawn at their display width. On a phone they stack and do not shrink, and a filter hides a language's
chart without redrawing the others. Text stays text in the page's own font.

Colours are placeholders here and CSS variables of the page in the SVG, so dark mode needs no second drawing.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch

INK, MUTED, RULE, ACCENT, SOFT, BEFORE = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
PARTS = tuple(f"#0101{i:02x}" for i in range(1, 8))  # the colours of a stacked bar, in order; the last one is for the remainder
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", SOFT: "soft", BEFORE: "before"} | {c: f"part{i}" for i, c in enumerate(PARTS, 1)}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xlclass",  # equal numbers give an equal page
    "font.size": 10,
    "axes.linewidth": 0.6,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
STRIP = (150, 20)  # width and height in CSS pixels
CARD = 168
_UNIT = ((0, "0"), (0.5, "0.5"), (1, "1"))
Point = tuple[float, float]


def interval_strip(top1: float, low: float, high: float, majority: float, label: str) -> Markup:
    """A dot for `top1` with its interval on a line from 0 to 1, and a vertical tick at the majority baseline."""
    with _drawing(Frame(*STRIP, (6, 6, 0, 0))) as axes:
        axes.vlines([0, 0.5, 1], 0, 1, colors=RULE, linewidths=0.6)
        axes.hlines(0.5, low, high, colors=SOFT, linewidths=5)
        axes.vlines(majority, 0.15, 0.85, colors=BEFORE, linewidths=1.6)
        axes.plot([top1], [0.5], "o", color=ACCENT, markersize=5.5)
        return _svg(axes, label)


def scale_strip() -> Markup:
    """The scale from 0 to 1 above a column of strips."""
    with _drawing(Frame(STRIP[0], 18, (6, 6, 14, 0), _UNIT)) as axes:
        return _svg(axes, "")


def stacked_strip(parts: Sequence[float], label: str) -> Markup:
    """A bar that `parts` fill in proportion; the i-th part has the i-th part colour of the page."""
    total = sum(parts) or 1.0
    with _drawing(Frame(*STRIP, (0, 0, 3, 3))) as axes:
        starts = itertools.accumulate(parts, initial=0.0)
        for part, start, colour in zip(parts, starts, PARTS, strict=False):
            if part:
                axes.add_patch(Rectangle((start / total, 0), part / total, 1, color=colour, linewidth=0))
        return _svg(axes, label)


def histogram(shares: Sequence[float], highest: float, mean: float | None, label: str) -> Markup:
    """Bars of equal width from 0 to 1, with heights from 0 to `highest` and cut off above it, and a line at the mean."""
    with _drawing(Frame(CARD, 76, (8, 8, 17, 3), _UNIT)) as axes:
        heights = [min(share / highest, 1.0) for share in shares]
        axes.add_patch(StepPatch(heights, [i / len(shares) for i in range(len(shares) + 1)], fill=True, color=SOFT, linewidth=0))
        if mean is not None:
            axes.vlines(mean, 0, 1, colors=ACCENT, linewidths=1.4)
        return _svg(axes, label)


def reliability(after: Sequence[Point], before: Sequence[Point], label: str) -> Markup:
    """Accuracy against mean confidence, points `(confidence, accuracy)` per bin: after calibration, and before it if `before` has points."""
    with _drawing(Frame(CARD, 154, (22, 8, 18, 6), _UNIT, _UNIT)) as axes:
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
        _curves(axes, after, before)
        return _svg(axes, label)


def coverage(points: Sequence[Point], reference: Sequence[Point], label: str) -> Markup:
    """Top-1 against coverage, points `(coverage, top-1)`, with the x axis from 0.45 to 1; `reference` is drawn behind the curve."""
    with _drawing(Frame(CARD, 118, (22, 14, 18, 6), ((0.5, "50 %"), (0.8, "80 %"), (1, "100 %")), _UNIT, 0.45)) as axes:
        axes.hlines([0.5, 1], 0.45, 1, colors=RULE, linewidths=0.6)
        _curves(axes, points, reference)
        return _svg(axes, label)


def _curves(axes: Axes, points: Sequence[Point], behind: Sequence[Point]) -> None:
    if behind:
        axes.plot(*zip(*behind, strict=True), "--", color=BEFORE, linewidth=1.3)
    axes.plot(*zip(*points, strict=True), "o-", color=ACCENT, linewidth=1.6, markersize=4.5)


@dataclass(frozen=True)
class Frame:
    """The layout of a kind of chart: width and height in CSS pixels, margins (left, right, bottom, top) and ticks; axes end at 1."""

    width: int
    height: int
    margins: tuple[int, int, int, int]
    xticks: tuple[tuple[float, str], ...] = ()
    yticks: tuple[tuple[float, str], ...] = ()
    start: float = 0.0  # of the x axis

    def axes(self) -> Axes:
        """Empty axes; an axis without ticks is not drawn."""
        left, right, bottom, top = self.margins
        figure = Figure(figsize=(self.width / 72, self.height / 72), dpi=72)  # matplotlib's SVG unit is 1/72 inch
        figure.patch.set_visible(False)
        place = (left / self.width, bottom / self.height, 1 - (left + right) / self.width, 1 - (bottom + top) / self.height)
        axes = figure.add_axes(place, xlim=(self.start, 1), ylim=(0, 1), autoscale_on=False)
        axes.patch.set_visible(False)
        for axis, ticks, spine in ((axes.xaxis, self.xticks, "bottom"), (axes.yaxis, self.yticks, "left")):
            axis.set_ticks([at for at, _ in ticks], [text for _, text in ticks], clip_on=False)
            axis.set_tick_params(pad=2)
            axes.spines[spine].set_visible(bool(ticks))
        return axes


@functools.cache
def _empty(frame: Frame) -> Axes:
    """The frame's axes, created once, because that takes longer than the rest of a chart."""
    return frame.axes()


@contextmanager
def _drawing(frame: Frame) -> Iterator[Axes]:
    """Axes to draw on, cleared afterwards."""
    with matplotlib.rc_context(_STYLE):
        axes = _empty(frame)
        try:
            yield axes
        finally:
            for artist in [*axes.lines, *axes.collections, *axes.patches]:
                artist.remove()


def _svg(axes: Axes, label: str) -> Markup:
    """The drawing as an SVG element of a page; screen readers read `label`, and skip the drawing if it is empty."""
    drawn = io.StringIO()
    FigureCanvasSVG(axes.figure).print_svg(drawn, metadata={"Date": None})
    root = ElementTree.fromstring(re.sub(r" font-family: [^;\"]*;| transform=\"rotate\(-0 [^\"]*\"", "", drawn.getvalue()))
    for child in [child for child in root if child.tag in (f"{_SVG}metadata", f"{_SVG}defs")]:  # the page has its own style, and no element is clipped
        root.remove(child)
    _make_ids_unique(root, label)
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib.update({"width": width, "height": height} | ({"role": "img", "aria-label": label} if label else {"aria-hidden": "true"}))
    root.attrib.pop("version", None)
    text = ElementTree.tostring(root, encoding="unicode")
    text = re.sub(r"</?ns\d:", lambda match: match.group().split("ns")[0], text)
    text = re.sub(r' xmlns:ns\d="[^"]*"', "", text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return Markup(re.sub(r"</?g>|\s+(?=<)|\s+(?=/?>)", "", text))  # noqa: S704  matplotlib's own elements; the label was escaped by ElementTree


def _make_ids_unique(root: ElementTree.Element, label: str) -> None:
    """Drops the ids that no element refers to and makes the other ids unique, because a page has hundreds of drawings."""
    elements = list(root.iter())
    prefix = "c" + hashlib.sha256(label.encode()).hexdigest()[:10]
    for element in elements:
        if _HREF in element.attrib:
            element.set("href", "#" + prefix + element.attrib.pop(_HREF)[1:])
        element.attrib.pop("clip-path", None)
    used = {element.attrib["href"][1:] for element in elements if "href" in element.attrib}
    for element in elements:
        unique_id = prefix + element.attrib.pop("id", "")
        if unique_id in used:
            element.set("id", unique_id)
