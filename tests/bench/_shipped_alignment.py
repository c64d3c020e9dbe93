"""Fits the alignment that the package ships, xlclass/model/e5_to_muse.npz, on a lake of the real catalogue; not a measurement.

`python tests/bench/_shipped_alignment.py --conf conf/youtube.toml --lake LAKE --texts 16000` fits it on texts of the training side, as training
does, but without a shipped one to draw to, and prints the facts for the card, xlclass/model/e5_to_muse.md. The demo is not in it, and no
label, no video of a test channel. A run that finds the texts encoded gives the same numbers.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np
from _checkout import ROOT

from xlclass.catalog import load_preparation
from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.lake.runs import Run
from xlclass.lake.session import open_session
from xlclass.lake.tables import Lake
from xlclass.model.alignment import save_alignments
from xlclass.training.align import AlignmentTexts, fitted_space
from xlclass.training.train import current_videos


def main() -> int:
    """Writes the alignment and prints its facts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--conf", "--lake", "--texts"):
        parser.add_argument(option, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "xlclass" / "model" / "e5_to_muse.npz")
    arguments = parser.parse_args()
    settings = load_settings(arguments.conf)
    settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, alignment_texts=int(arguments.texts)))
    encoders = resolve_encoders(settings)
    taxonomy = load_taxonomy(settings.resolve(settings.taxonomy.file))
    run = Run("alignment", Lake(open_session("alignment"), arguments.lake), settings, load_preparation(settings), taxonomy)
    texts = AlignmentTexts.of(run, encoders, current_videos(run, encoders))
    space, facts = fitted_space(run, encoders, texts, shipped=None)
    extension = encoders.specs[-1]
    alignment = space.alignments[extension.encoder_id]
    small = dataclasses.replace(alignment, means={}, matrix=alignment.matrix.astype(np.float16), offset=alignment.offset.astype(np.float16))
    save_alignments(arguments.out, {extension.encoder_id: small})
    counts = {row["language"]: row["count"] for row in texts.teachers.groupBy("language").count().collect()}
    print({**facts, "encoders": encoders.route.encoder_ids, "texts_by_language": dict(sorted(counts.items())), "bytes": arguments.out.stat().st_size})
    return 0


if __name__ == "__main__":
    sys.exit(main())
