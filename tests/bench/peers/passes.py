"""What the process of every contender does, whatever its environment: start, then for each pass a warm-up and the measured run.

A contender is `encoding(job)`, which starts it and gives `encode(texts, batch, out) -> seconds`: the Parquet file `texts`
(video_id, text) encoded in batches of `batch`, and written under the folder `out`. Only the standard library is used here,
since each contender's environment has other packages.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Encode = Callable[[str, int, str], float]


def run(encoding: Callable[[dict[str, Any]], Encode]) -> None:
    """Works off the job whose file the command line names: `passes` (texts, batch), `warm_up` (texts), `out`, `result`.

    Every pass warms up with its own batch size, so that the workers hold the model when its clock starts.
    """
    job = json.loads(Path(sys.argv[1]).read_text())
    encode = encoding(job)
    seconds = []
    for texts, batch in job["passes"]:
        for given in (job["warm_up"], texts):
            shutil.rmtree(job["out"], ignore_errors=True)
            taken = encode(given, batch, job["out"])
        seconds.append(taken)
    Path(job["result"]).write_text(json.dumps(seconds))
