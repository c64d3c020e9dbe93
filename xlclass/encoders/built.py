"""SavedModels that xlclass builds itself, kept in the encoder cache: built once, moved into place whole, checked at each use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xlclass.encoders.contract import folder_digest
from xlclass.errors import EncoderError
from xlclass.runtime.files import written_whole


def built_model(folder: Path, save: Callable[[str], None], build: bool = True) -> tuple[str, str]:
    """Path and digest of the SavedModel in `folder` of the cache; `save(path)` writes it to `path` unless it is there.

    The name of `folder` must contain what determines the model, such as the start of its `encoder_id`. Several processes may call this
    at once: each writes a folder of its own, and the first to rename it wins. The digest is recorded next to the model.

    Raises:
        EncoderError: the model in the cache is damaged, or is missing and `build` is false.
    """
    if not folder.exists() and not build:
        raise EncoderError(f"encoder.cache: the shipped archive has no {folder.name}: pack it again with `make dist`")
    if not folder.exists():
        with written_whole(folder, replace=False) as draft:
            save(str(draft / "model"))
            (draft / "model.sha256").write_text(folder_digest(draft / "model") + "\n")
    model, record = folder / "model", folder / "model.sha256"
    expected = record.read_text().strip() if record.is_file() else "missing"
    digest = folder_digest(model)
    if digest != expected:
        raise EncoderError(f"the encoder in {folder} is damaged (digest {digest[:12]}, expected {expected[:12]}): remove that folder and run again")
    return str(model), digest
