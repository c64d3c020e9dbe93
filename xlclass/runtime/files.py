"""Folders that are written whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(folder: Path, replace: bool) -> Iterator[Path]:
    """A draft beside `folder` to write into; it is renamed into place when the block ends well, else removed.

    Where `folder` is there already it is replaced, or kept as it is, the draft dropped: for contents that are always the same
    and that several processes may write at once.
    """
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    draft.mkdir(parents=True)
    try:
        yield draft
        if replace:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            draft.rename(folder)
        except OSError:
            if replace or not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
