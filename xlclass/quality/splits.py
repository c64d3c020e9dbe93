"""Train, validation, calibration and test split by a hash of the channel: all videos of a channel are in one split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

TRAIN, VALIDATION, CALIBRATION, TEST = "train", "validation", "calibration", "test"


@dataclass(frozen=True)
class Split:
    """A salt and the shares of the groups in each split; the test split takes the remaining share."""

    salt: str
    train: float
    validation: float
    calibration: float

    def of(self, group: str) -> str:
        """The split of `group`; equal to the result of `column`.

        >>> Split("s", 1.0, 0.0, 0.0).of("any"), Split("s", 0.0, 0.0, 0.0).of("any")
        ('train', 'test')
        """
        digest = hashlib.sha256(f"{self.salt}|{group}".encode()).hexdigest()
        position = int(digest[:8], 16) / 2**32
        return next((name for name, end in self._upper_bounds() if position < end), TEST)

    def column(self, group: Column) -> Column:
        """The split of each value of `group`."""
        digest = F.sha2(F.concat(F.lit(self.salt), F.lit("|"), group), 256)
        position = F.conv(F.substring(digest, 1, 8), 16, 10).cast("double") / F.lit(float(2**32))
        return F.coalesce(*(F.when(position < end, F.lit(name)) for name, end in self._upper_bounds()), F.lit(TEST))

    def _upper_bounds(self) -> list[tuple[str, float]]:
        """Upper bound of each split in the interval from 0 to 1, without the test split, which ends at 1."""
        train_end = self.train
        validation_end = train_end + self.validation
        return [(TRAIN, train_end), (VALIDATION, validation_end), (CALIBRATION, validation_end + self.calibration)]


def group_column() -> Column:
    """The split's group of each video: its channel, or the video itself if it has no channel."""
    return F.coalesce(F.col("channel_id"), F.col("video_id"))
