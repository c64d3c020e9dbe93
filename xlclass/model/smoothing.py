"""What a language's own videos without labels say: confidences pulled to those that were predicted around them.

Why: alike videos have alike categories, and the errors of a head that sees a new language differ from one to the next. On the real
catalogue the half of the videos that is ranked highest, over 13 languages, holds a point more right ones, and top-1 is half a
point higher. Why a map after it: averaging makes a video less sure than its language is right; without smoothing, that map is none.
Why per language: neighbours in the training languages have had their say (`prototypes.py`); videos of all other
languages together helped no more and cost every video a thousand cosines.
Why 128 prototypes a language (`calibration.unlabelled_prototypes`): of 16 to 256 they gave languages left out the best top-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from xlclass.model.calibration import Calibration, blended
from xlclass.model.neighbours import Prototypes, fit_prototypes, shares_around

WIDTHS = (0.02, 0.04)  # of the kernel, in cosine, that training tries; 0.08 never won
WEIGHTS = (0.25, 0.5)  # of what is predicted around a video, in its log-odds, that training tries; with 0.75 a video's own word is lost


@dataclass(frozen=True)
class Smoothing:
    """By language: prototypes of its unlabelled vectors, whose votes are the confidences predicted there; `weight`, 0 to 1, in the log-odds.

    `map` is the temperature and bias of what comes out.
    """

    around: Mapping[str, Prototypes]
    weight: float
    map: tuple[float, float] = (1.0, 0.0)

    def smoothed(self, log_odds: np.ndarray, vectors: np.ndarray, languages: Sequence[str] | np.ndarray) -> np.ndarray:
        """The log-odds `(n, num_categories)` of `vectors (n, dim)`; those of other languages as they are.

        A step of the label propagation of Zhou et al. 2003 ("Learning with local and global consistency", NIPS 16), with
        prototypes in place of all neighbours, and averaged as log-odds.
        """
        found, codes = np.array(log_odds, np.float64), np.asarray(languages, object)
        temperature, bias = self.map
        for language in sorted({*codes} & {*self.around}):
            own = np.flatnonzero(codes == language)
            found[own] = blended(found[own], self.around[language].shares(vectors[own]), self.weight) / temperature + bias
        return found

    def save(self, file: Path) -> None:
        """Writes it to `file`, which ends in .npz; nothing in it is pickled."""
        each = list(self.around.values())
        arrays: dict[str, Any] = {
            "languages": np.array(list(self.around), str),
            "sizes": np.array([len(one.centres) for one in each]),
            "widths": np.array([one.width for one in each]),
            "weight": np.float64(self.weight),
            "map": np.array(self.map),
            "centres": np.vstack([one.centres for one in each]),
            "votes": np.vstack([one.votes for one in each]),
        }
        np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, file: Path) -> Smoothing:
        """The smoothing that was saved to `file`."""
        with np.load(file, allow_pickle=False) as kept:
            ends = np.cumsum(kept["sizes"])[:-1]
            temperature, bias = kept.get("map", (1.0, 0.0))  # of an older xlclass: none
            parts = zip(kept["languages"].tolist(), np.split(kept["centres"], ends), np.split(kept["votes"], ends), kept["widths"].tolist(), strict=True)
            return cls(
                {language: Prototypes(centres, votes, width) for language, centres, votes, width in parts},
                float(kept["weight"]),
                (float(temperature), float(bias)),
            )


def around_language(vectors: np.ndarray, log_odds: np.ndarray, most: int, width: float, seed: int) -> Prototypes:
    """At most `most` prototypes of a language's unlabelled `vectors (n, dim)`; each counts its videos by their confidences."""
    return fit_prototypes(vectors, expit(log_odds).astype(np.float32), most, width, seed)


def log_odds(
    logits: np.ndarray,
    vectors: np.ndarray,
    languages: Sequence[str] | np.ndarray,
    calibration: Calibration,
    prototypes: Prototypes | None,
    smoothing: Smoothing | None,
) -> np.ndarray:
    """Log-odds of the confidences, `(n, num_categories) float64`, from the head's logits: calibrated with the neighbours' say, then smoothed."""
    calibrated = calibration.log_odds(logits, languages, shares_around(prototypes, vectors))
    return smoothing.smoothed(calibrated, vectors, languages) if smoothing else calibrated
