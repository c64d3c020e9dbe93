"""Examples and splits: rows stay together."""

import numpy as np

from xlclass.model.examples import Examples, Splits


def numbered(start, languages):
    """Examples whose vector, label and channel are the row's number."""
    numbers = np.arange(start, start + len(languages))
    channels = np.array([f"c{number}" for number in numbers], object)
    return Examples(numbers[:, None].astype(np.float32), numbers[:, None].astype(np.float32), np.array(languages, object), channels)


def rows(examples):
    assert examples.vectors[:, 0].tolist() == examples.labels[:, 0].tolist() == [int(channel[1:]) for channel in examples.channels]
    return [(language, int(number)) for language, number in zip(examples.languages, examples.vectors[:, 0], strict=True)]


def test_examples_keep_rows_together():
    joined = Examples.of(numbered(0, ["en", "fr"]), numbered(2, ["de"]))
    assert rows(joined) == [("en", 0), ("fr", 1), ("de", 2)]
    assert rows(joined.where(np.array([2, 0]))) == [("de", 2), ("en", 0)]
    assert rows(joined.where(joined.languages == "fr")) == [("fr", 1)]


def test_splits_part_a_language_from_all_others():
    splits = Splits(numbered(0, ["en", "fr", "en"]), numbered(3, ["fr"]), numbered(4, ["fr", "de"]))
    own, others = splits.parted("fr")
    assert [rows(split) for split in (own.train, own.validation, own.calibration)] == [[("fr", 1)], [("fr", 3)], [("fr", 4)]]
    assert [rows(split) for split in (others.train, others.validation, others.calibration)] == [[("en", 0), ("en", 2)], [], [("de", 5)]]
