"""The small JSON files that runs leave for each other in a lake's folder, and the deletion of folders in a lake.

A note may be damaged by a disk or by hand: it is read strictly, or refused in one sentence. Links are not followed: a link in place of a
lake's file would let a run change or delete something outside the lake.
"""

from __future__ import annotations

import json
import shutil
import typing
from pathlib import Path
from types import UnionType
from typing import Any

from xlclass.errors import LakeError


def require_own(path: Path) -> None:
    """Makes sure that `path` is a file or folder of its own, or missing.

    Raises:
        LakeError: it is a symbolic link, or neither file nor folder.
    """
    if path.is_symlink():
        raise LakeError(f"{path} is a symbolic link, which xlclass does not follow there: remove the link, then run this again")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise LakeError(f"{path} is neither a file nor a folder: remove it, then run this again")


def read_note(file: Path) -> Any:
    """The JSON value in `file`; null if there is no file.

    Raises:
        LakeError: it is a link.
        ValueError: it cannot be read; the message says why.
    """
    require_own(file)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(error.strerror) from error
    if not text.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is cut or no JSON") from error


def is_of(value: object, hint: Any) -> bool:
    """Whether a JSON value is of the type `hint`: a scalar, a dictionary with texts as keys, a union, or Any.

    >>> is_of({"a": 1}, dict[str, int]), is_of({"a": "1"}, dict[str, int]), is_of(None, str | None), is_of(True, int)
    (True, False, True, False)
    """
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(is_of(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is dict:
        return isinstance(value, dict) and all(is_of(item, typing.get_args(hint)[1]) for item in value.values())
    return type(value) is hint


def remove_within(root: Path, path: Path) -> None:
    """Deletes the folder `path` of the lake `root`, if it exists; of a link only the link.

    Raises:
        LakeError: the folder lies outside the lake, because a folder above it is a link.
    """
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        if root.resolve() not in path.resolve().parents:
            raise LakeError(f"{path} leads out of the lake {root} to {path.resolve()}: nothing was deleted; remove the link, then run this again")
        shutil.rmtree(path, ignore_errors=True)
