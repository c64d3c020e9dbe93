"""The alignment that a comparison fits on its own sample."""

import numpy as np
import pandas as pd

from xlclass.encoders.contract import EncoderSpec
from xlclass.evaluation.comparison_sample import Sample
from xlclass.schemas import unit

RNG = np.random.default_rng(6)
NUM = 400
MUSE, E5 = EncoderSpec("", "", "muse", 6, ("en", "fr", "de")), EncoderSpec("", "", "e5", 4)
ROWS = pd.DataFrame({"language": RNG.choice(["en", "fr", "de", "cs"], NUM), "side": RNG.choice(["train", "calibration", "test"], NUM)})
ROWS["text_hash"] = [f"text{i}" for i in range(NUM)]
E5_VECTORS = unit(RNG.normal(size=(NUM, 4)))
VECTORS = {"e5": E5_VECTORS, "muse": unit(E5_VECTORS @ RNG.normal(size=(4, 6)) + 0.1 * RNG.normal(size=(NUM, 6)))}
IS_TRAIN = (ROWS.side == "train").to_numpy()


def aligned(vectors, max_texts=NUM):
    sample = Sample(ROWS, {name: values.astype(np.float16) for name, values in vectors.items()}, max_texts)
    return sample.alignment(MUSE, E5).apply(E5_VECTORS, ROWS.language.to_numpy(object))


def test_alignment_reads_the_training_side_only():
    before = aligned(VECTORS)
    assert (before * VECTORS["muse"]).sum(axis=1)[~IS_TRAIN].mean() > 0.9  # it found the map that made MUSE's vectors
    elsewhere = {name: np.where(IS_TRAIN[:, None], values, -values[::-1]) for name, values in VECTORS.items()}
    np.testing.assert_array_equal(aligned(elsewhere), before)
    assert np.abs(aligned({name: values[::-1] for name, values in VECTORS.items()} | {"e5": E5_VECTORS}) - before).max() > 0.1


def test_alignment_takes_as_many_texts_as_the_settings_allow():
    few = aligned(VECTORS, 60)
    assert np.abs(few - aligned(VECTORS)).max() > 1e-3
    assert (few * VECTORS["muse"]).sum(axis=1).mean() > 0.8
