"""Files and folders that are written whole or not at all, and the digest of a file.

Standard library only: `runtime/requirements.py` imports this module before any package is installed.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(folder: Path, replace: bool) -> Iterator[Path]:
    """A draft folder next to `folder` to write into: renamed to `folder` if the block succeeds, else removed.

    If `folder` exists already, `replace` decides: True replaces it; False keeps it and drops the draft, for contents that are always
    the same and that several processes may write at once.
    """
    draft = _draft(folder)
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


@contextmanager
def file_written_whole(file: Path) -> Iterator[Path]:
    """A draft file next to `file` to write: it replaces `file` if the block succeeds, else it is removed."""
    draft = _draft(file)
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def write_whole(file: Path, text: str) -> None:
    """Replaces `file` by `text` in UTF-8: a reader never sees a part of it, nor does a kill leave one. Missing folders are made."""
    with file_written_whole(file) as draft:
        draft.write_text(text, encoding="utf-8")


def sha256_of(file: Path) -> str:
    """Hex sha256 of the file's bytes, read in blocks."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _draft(path: Path) -> Path:
    """A hidden name next to `path` that no other process takes."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}")
