"""Encodes a column of texts in batches of similar length, and isolates texts that the encoder fails on.

Spark's workers (`udf.py`) and the command line (`xlclass/pipeline/classifier.py`) both encode through this module.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from xlclass.encoders.contract import Encoder
from xlclass.errors import EncoderError
from xlclass.schemas import MAX_FLOAT16, pack_vectors

log = logging.getLogger(__name__)
FAILED, NOT_FINITE = b"F", b"N"  # in place of a vector; a vector has two bytes per number, so these never look like one


def embed_column(texts: Sequence[str | None], encoder: Encoder, batch_texts: int, batch_characters: int) -> list[bytes | None]:
    """The packed vector of each text, null for a null or empty text; equal texts are encoded once.

    A text that the encoder fails on, or gives no vector of its `dim` numbers, has FAILED in place of a vector, and the other texts of
    its batch are encoded without it. A vector with a number out of the range of float16 (NaN, infinity) becomes NOT_FINITE.
    """
    distinct = list(dict.fromkeys(text for text in texts if text))
    packed: dict[str, bytes] = {}
    for positions in batches_by_length([len(text) for text in distinct], batch_texts, batch_characters):
        batch = [distinct[i] for i in positions]
        packed.update(zip(batch, _encode(batch, encoder), strict=True))
    return [packed[text] if text else None for text in texts]


def _encode(batch: list[str], encoder: Encoder) -> list[bytes]:
    """The packed vector of each text; a batch that fails is halved until the failing texts are alone."""
    try:
        vectors = encoder.encode(batch)
        if vectors.shape != (len(batch), encoder.dim):  # with a row missing, nobody knows which
            raise EncoderError(f"{len(batch)} texts have vectors of the shape {list(vectors.shape)}, expected {[len(batch), encoder.dim]}")
    except Exception as error:  # a foreign graph may raise anything
        if len(batch) == 1:
            log.warning("the encoder failed on a text of %d characters: %s: %.200s", len(batch[0]), type(error).__name__, error)
            return [FAILED]
        half = len(batch) // 2
        return _encode(batch[:half], encoder) + _encode(batch[half:], encoder)
    fit = (np.abs(vectors) <= MAX_FLOAT16).all(axis=1)
    return [row if is_fit else NOT_FINITE for row, is_fit in zip(pack_vectors(np.where(fit[:, None], vectors, 0)), fit, strict=True)]


def batches_by_length(lengths: Sequence[int], max_texts: int, max_characters: int) -> Iterator[np.ndarray]:
    """Positions of the texts in batches, shortest first: at most `max_texts` texts, and texts x longest <= `max_characters`.

    A text that alone is longer than `max_characters` is a batch of its own.

    >>> [batch.tolist() for batch in batches_by_length([5, 1, 2, 9], 10, 6)]
    [[1, 2], [0], [3]]
    """
    order = np.argsort(np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        is_full = end == len(order) or end - start == max_texts or (end - start + 1) * lengths[order[end]] > max_characters
        if is_full:
            yield order[start:end]
            start = end
