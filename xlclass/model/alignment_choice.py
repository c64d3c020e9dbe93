"""How an alignment is fitted, chosen without labels: each language of the first encoder in turn is treated as unknown to it.

The choice with the highest mean cosine between a left-out language's aligned vectors and its vectors by the first encoder is kept. Chosen
is how much of a language's mean is taken from its vectors: on the real catalogue a part of the mean is what the language's uploaders film,
and little is best; on texts of equal topics all of it is.

Why the ridge is not drawn to the shipped alignment: on the real catalogue, with 4,000 texts, that was 0.9 points worse in the languages that
only the second encoder knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xlclass.errors import ModelError
from xlclass.model.alignment import Alignment, fit_alignment, fit_centring
from xlclass.schemas import unit

_SHARES = (0.0, 0.5, 1.0)  # of the difference between a language's mean and the mean of all
_MIN_TEXTS = 20  # of a language that is left out
_MIN_LANGUAGES = 2
_MIN_FOR_OWN = 400  # texts; with fewer the shipped alignment is used as it is


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
    scores = {share: _mean_cosine(source, target, languages, left_out, share) for share in _SHARES}
    best = max(_SHARES, key=lambda share: scores[share])
    return _fitted(source, target, languages, others, best), {
        "alignment": "own",
        "texts": len(source),
        "languages": len(left_out),
        "centring": best,
        "cosine": round(scores[best], 4),
        "cosine_of_the_first_encoder_through_a_ridge_to_itself": round(_mean_cosine(target, target, languages, left_out, 0.0), 4),
    }


def chosen_centring(first: np.ndarray, second: np.ndarray, languages: np.ndarray, known: Collection[str]) -> tuple[Alignment, dict[str, Any]]:
    """The centring of two encoders' vectors side by side, and facts about it: `first (n, d1)` and `second (n, d2)` of the same texts in `languages (n,)`.

    The share of a language's mean that is taken away is the one by which the second encoder is aligned best with the first, in the languages
    `known` to the first; all of it if there are no texts of two of them.
    """
    taught, facts = np.isin(languages, list(known)), {"centring": 1.0}
    if len(set(languages[taught].tolist())) >= _MIN_LANGUAGES:
        _, facts = chosen_alignment(second[taught], first[taught], languages[taught], {}, None)
    return _shared(fit_centring(np.hstack([first, second]), languages), facts["centring"]), {"centring": facts["centring"], "texts": len(languages)}


def _fitted(source: np.ndarray, target: np.ndarray, languages: np.ndarray, others: Mapping[str, np.ndarray], share: float) -> Alignment:
    codes = np.concatenate([languages, *(np.full(len(rows), code, object) for code, rows in others.items())])
    centring = fit_centring(np.vstack([source, *others.values()]), codes, mean_of=set(languages.tolist()))
    return fit_alignment(_shared(centring, share), source, target, languages)


def _shared(centring: Alignment, share: float) -> Alignment:
    """The centring with only a share of each language's difference from the mean of all."""
    means = {code: centring.mean + share * (mean - centring.mean) for code, mean in centring.means.items()} if share else {}
    return replace(centring, means=means)


def _mean_cosine(source: np.ndarray, target: np.ndarray, languages: np.ndarray, left_out: list[str], share: float) -> float:
    """Mean over the languages left out of the mean cosine between their aligned vectors and their targets; 0 if none is left out."""
    cosines = []
    for code in left_out if len(left_out) > 1 else []:
        own = languages == code
        alignment = _fitted(source[~own], target[~own], languages[~own], {code: source[own]}, share)
        cosines.append((alignment.apply(source[own], languages[own]) * unit(target[own])).sum(axis=1).mean())
    return float(np.mean(cosines)) if cosines else 0.0
