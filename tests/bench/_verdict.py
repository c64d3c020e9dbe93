"""How a bench ends: its report in build/bench, and one line that says which bars were met."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "build" / "bench"


def verdict(
    name: str, figures: Mapping[str, float], bars: Mapping[str, float], at_most: Collection[str] = (), unjudged: Collection[str] = (), **details: object
) -> int:
    """Exit code 0 if every figure with a bar that is judged meets it: reaches it, or, of those `at_most`, does not exceed it.

    `details` go into the report as they are.
    """
    judged = {each: figures[each] <= bar if each in at_most else figures[each] >= bar for each, bar in bars.items() if each not in unjudged}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps({"figures": figures, "bars": bars, "judged": judged, **details}, indent=1, default=str))
    said = {each: "not judged" if each not in judged else "ok" if judged[each] else "MISSED" for each in bars}
    print(f"{name}: " + "; ".join(f"{each} {figures[each]:.3f} ({'<=' if each in at_most else '>='} {bar}) {said[each]}" for each, bar in bars.items()))
    return 0 if all(judged.values()) else 1
