"""The end of a bench: its report in build/bench, and one line that says which bars were met."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


def verdict(
    name: str, figures: Mapping[str, float | None], bars: Mapping[str, float], at_most: Collection[str] = (), unjudged: Collection[str] = (), **details: object
) -> int:
    """Writes the report, prints the line and returns the exit code: 0 if every judged figure meets its bar, else 1.

    A figure meets its bar if it reaches it, or, for those of `at_most`, if it does not exceed it. Null is a figure that could not be
    measured: it misses its bar. Figures without a bar, and `details`, go into the report only.
    """
    judged = {figure: _meets(figures[figure], bar, figure in at_most) for figure, bar in bars.items() if figure not in unjudged}
    FOLDER.mkdir(parents=True, exist_ok=True)
    report = {"figures": figures, "bars": bars, "judged": judged, **details}
    (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=1, default=str, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = []
    for figure, bar in bars.items():
        outcome = "not judged" if figure not in judged else "ok" if judged[figure] else "MISSED"
        parts.append(f"{figure} {shown(figures[figure])} ({'<=' if figure in at_most else '>='} {bar}) {outcome}")
    print(f"{name}: {'; '.join(parts)}")
    return 0 if all(judged.values()) else 1


def shown(figure: float | None) -> str:
    """A figure to read."""
    return "not measured" if figure is None else f"{figure:.3f}"


def _meets(figure: float | None, bar: float, is_at_most: bool) -> bool:
    return figure is not None and (figure <= bar if is_at_most else figure >= bar)
