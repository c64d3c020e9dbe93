"""The process of a contender: it starts the contender, then does a warm-up and a measured run for each pass.

Each contender defines `encoding(job)`, which starts it and returns `encode(texts, batch, out) -> seconds`. That function encodes the
Parquet file `texts` (video_id, text) in batches of `batch` and writes the vectors into the folder `out`. This module uses only the
standard library, because each contender's environment has other packages.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Encode = Callable[[str, int, str], float]


def run(encoding: Callable[[dict[str, Any]], Encode]) -> None:
    """Runs the job in the file that the command line names: `passes` (texts, batch), `warm_up` (texts), `out`, `result`.

    Every pass warms up with its own batch size, so the workers have loaded the model before the time is taken.
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    encode = encoding(job)
    seconds = []
    for texts, batch in job["passes"]:
        for file in (job["warm_up"], texts):
            shutil.rmtree(job["out"], ignore_errors=True)
            duration = encode(file, batch, job["out"])
        seconds.append(duration)
    Path(job["result"]).write_text(json.dumps(seconds))
