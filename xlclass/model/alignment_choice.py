"""How an alignment is fitted, chosen without labels: each language of the first encoder in turn is treated as unknown to it.

The choice with the highest mean cosine between a left-out language's aligned vectors and its vectors by the first encoder is kept. Chosen
are: how much of a language's mean is taken from its vectors (on the real catalogue a part of it is what the language's uploaders film:
there little is best, on texts of equal topics all of it), and whether the ridge is drawn to the shipped matrix or to zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from xlclass.errors import ModelError
from xlclass.model.alignment import Alignment, fit_alignment, fit_centring
from xlclass.schemas import unit

_SHARES = (0.0, 0.5, 1.0)
_MIN_TEXTS = 20  # of a language that is left out
_MIN_LANGUAGES = 2
_MIN_FOR_OWN = 200  # texts; with fewer the shipped alignment is used as it is


class _Choice(NamedTuple):
    share: float  # of the difference between a language's mean and the mean of all
    prior: Alignment | None


def chosen_alignment(
    source: np.ndarray, target: np.ndarray, languages: np.ndarray, others: Mapping[str, np.ndarray], shipped: Alignment | None
) -> tuple[Alignment, dict[str, Any]]:
    """The best alignment of `source (n, dim)` to `target (n, space_dim)`, vectors of the same texts in `languages (n,)`, and facts about it.

    `others` are vectors `(m, dim)` of languages that only the second encoder knows: only their means are used.

    Raises:
        ModelError: there is no text to fit it on, and no shipped one.
    """
    left_out = [code for code in sorted(set(languages.tolist())) if (languages == code).sum() >= _MIN_TEXTS]
    if shipped and (len(source) < _MIN_FOR_OWN or len(left_out) < _MIN_LANGUAGES):
        return shipped, {"alignment": "shipped", "texts": len(source)}
    if not len(source):
        raise ModelError("the second encoder cannot be aligned: the lake has no encoded text on the training side in a language that both encoders know")
    choices = [_Choice(share, prior) for share in _SHARES for prior in ([None, shipped] if shipped else [None])]
    scores = [float(np.mean([_cosine(source, target, languages, code, choice) for code in left_out])) if left_out else 0.0 for choice in choices]
    best = choices[int(np.argmax(scores))]
    alignment = _fitted(source, target, languages, others, best)
    to_itself = [_cosine(target, target, languages, code, _Choice(0.0, None)) for code in left_out]
    return alignment, {
        "alignment": "drawn to the shipped one" if best.prior else "own",
        "texts": len(source),
        "languages": len(left_out),
        "centring": best.share,
        "cosine": round(max(scores), 4),
        "cosine_of_the_first_encoder_through_a_ridge_to_itself": round(float(np.mean(to_itself)), 4) if to_itself else None,
    }


def _fitted(source: np.ndarray, target: np.ndarray, languages: np.ndarray, others: Mapping[str, np.ndarray], choice: _Choice) -> Alignment:
    codes = np.concatenate([languages, *(np.full(len(rows), code, object) for code, rows in others.items())])
    centring = _shared(fit_centring(np.vstack([source, *others.values()]), codes, mean_of=set(languages.tolist())), choice.share)
    return fit_alignment(centring, source, target, languages, choice.prior)


def _shared(centring: Alignment, share: float) -> Alignment:
    """The centring with only a share of each language's difference from the mean of all."""
    means = {code: centring.mean + share * (mean - centring.mean) for code, mean in centring.means.items()} if share else {}
    return replace(centring, means=means)


def _cosine(source: np.ndarray, target: np.ndarray, languages: np.ndarray, code: str, choice: _Choice) -> float:
    """Mean cosine between the vectors of a language that is left out and their targets."""
    own = languages == code
    alignment = _fitted(source[~own], target[~own], languages[~own], {code: source[own]}, choice)
    return float((alignment.apply(source[own], languages[own]) * unit(target[own])).sum(axis=1).mean())
