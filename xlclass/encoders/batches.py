"""A column of texts to packed vectors: cut into batches by length, a text that breaks the encoder set apart.

Spark's workers (`udf.py`) and the command line (`xlclass/pipeline/classifier.py`) encode by this alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from xlclass.encoders.contract import Encoder
from xlclass.schemas import MAX_FLOAT16, pack_vectors

log = logging.getLogger(__name__)
FAILED, NOT_FINITE = b"F", b"N"  # in place of a vector, which has two bytes a number


def embed_column(texts: Sequence[str | None], encoder: Encoder, batch_texts: int, batch_characters: int) -> list[bytes | None]:
    """The packed vector of each text, null for a null or empty one; equal texts are encoded once.

    A text on which the encoder fails has FAILED, one whose vector no float16 can hold (NaN, infinity) NOT_FINITE in place of
    a vector; the others of its batch are encoded without it.
    """
    distinct = list(dict.fromkeys(text for text in texts if text))
    packed: dict[str, bytes] = {}
    for positions in batches_by_length([len(text) for text in distinct], batch_texts, batch_characters):
        batch = [distinct[i] for i in positions]
        packed.update(zip(batch, _encode(batch, encoder), strict=True))
    return [packed[text] if text else None for text in texts]


def _encode(batch: list[str], encoder: Encoder) -> list[bytes]:
    """The packed vector of each text; a batch that fails is halved until the texts that do it stand alone."""
    try:
        vectors = encoder.encode(batch)
    except Exception as error:  # whatever a foreign graph raises on a text
        if len(batch) == 1:
            log.warning("the encoder failed on a text of %d characters: %s: %.200s", len(batch[0]), type(error).__name__, error)
            return [FAILED]
        half = len(batch) // 2
        return _encode(batch[:half], encoder) + _encode(batch[half:], encoder)
    fit = (np.abs(vectors) <= MAX_FLOAT16).all(axis=1)
    return [row if is_fit else NOT_FINITE for row, is_fit in zip(pack_vectors(np.where(fit[:, None], vectors, 0)), fit, strict=True)]


def batches_by_length(lengths: Sequence[int], most: int, budget: int) -> Iterator[np.ndarray]:
    """Positions of the texts, shortest first, cut so that a batch has at most `most` texts and texts x longest <= `budget`.

    A text that is alone longer than the budget is a batch of its own.

    >>> [batch.tolist() for batch in batches_by_length([5, 1, 2, 9], 10, 6)]
    [[1, 2], [0], [3]]
    """
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        full = end == len(order) or end - start == most or (end - start + 1) * lengths[order[end]] > budget
        if full:
            yield order[start:end]
            start = end
