"""Train, validation, calibration and test, by a hash of the channel: a channel is on one side only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

TRAIN, VALIDATION, CALIBRATION, TEST = "train", "validation", "calibration", "test"


@dataclass(frozen=True)
class Split:
    """A split: its salt, and the shares of the groups; the test split takes what is left of 1."""

    salt: str
    train: float
    validation: float
    calibration: float

    def of(self, group: str) -> str:
        """The side that `group` is on; the same answer as `column` gives.

        >>> Split("s", 1.0, 0.0, 0.0).of("any"), Split("s", 0.0, 0.0, 0.0).of("any")
        ('train', 'test')
        """
        digest = hashlib.sha256(f"{self.salt}|{group}".encode()).hexdigest()
        position = int(digest[:8], 16) / 2**32
        return next((name for name, end in self._ends() if position < end), TEST)

    def column(self, group: Column) -> Column:
        """The side that each value of `group` is on."""
        digest = F.sha2(F.concat(F.lit(self.salt), F.lit("|"), group), 256)
        position = F.conv(F.substring(digest, 1, 8), 16, 10).cast("double") / F.lit(float(2**32))
        return F.coalesce(*(F.when(position < end, F.lit(name)) for name, end in self._ends()), F.lit(TEST))

    def _ends(self) -> list[tuple[str, float]]:
        """Where each side ends on the line from 0 to 1, the test split left out."""
        a, b, c = self.train, self.train + self.validation, self.train + self.validation + self.calibration
        return [(TRAIN, a), (VALIDATION, b), (CALIBRATION, c)]


def group_column() -> Column:
    """What is split as one: the channel, or the video where it has none."""
    return F.coalesce(F.col("channel_id"), F.col("video_id"))
