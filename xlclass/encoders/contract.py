"""The contract of an encoder, its specification, and the digest of a model's folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from xlclass.runtime.files import sha256_of


class Encoder(Protocol):
    """An encoder turns texts into vectors; equal `encoder_id`s mean equal vectors."""

    encoder_id: str
    dim: int
    languages: tuple[str, ...]

    def encode(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> np.ndarray:
        """Vectors, `(len(texts), dim) float32`, in the order of the texts.

        An encoder with one model ignores `languages`. No text is null; an empty text has a vector like any other.
        """


@dataclass(frozen=True)
class EncoderSpec:
    """What a worker needs to load an encoder: small, picklable, the same on every machine.

    `path` is the folder of a SavedModel, or its location in a shipped archive (see `shipping.local_path`). `digest` is the sha256
    of its files (see `folder_digest`), checked before loading. `languages` are those that the encoder was trained on, empty if they
    are unknown. A batch has at most `batch_texts` texts; their number times the longest is at most `batch_characters`. A task of Spark
    encodes about `task_texts`: some seconds, so that progress shows and a lost worker costs little.
    """

    path: str
    digest: str
    encoder_id: str
    dim: int
    languages: tuple[str, ...] = ()
    batch_texts: int = 256
    batch_characters: int = 24_000
    task_texts: int = 2_000


def folder_digest(folder: Path) -> str:
    """Hex sha256 over the names and contents of all files in `folder`, in alphabetical order.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = (Path(name) / "a").write_bytes(b"1")
    ...     before = folder_digest(Path(name))
    ...     _ = (Path(name) / "a").write_bytes(b"2")
    ...     before == folder_digest(Path(name)), len(before)
    (False, 64)
    """
    whole = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(f"{file.relative_to(folder).as_posix()}\0".encode())
        whole.update(bytes.fromhex(sha256_of(file)))
    return whole.hexdigest()
