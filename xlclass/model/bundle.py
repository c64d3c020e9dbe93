"""A model version's folder: `head.keras`, `manifest.json`, and `prototypes.npz` and `smoothing.npz` where neighbours have a say.

It is written by rename and read with its digests checked.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from xlclass.errors import ModelError
from xlclass.model.calibration import Calibration
from xlclass.model.head import logits
from xlclass.model.neighbours import Prototypes
from xlclass.model.smoothing import Smoothing, log_odds
from xlclass.model.thresholds import Thresholds
from xlclass.runtime.files import written_whole
from xlclass.runtime.tensorflow_import import quiet_tensorflow_import

_HEAD, _PROTOTYPES, _SMOOTHING = _FILES = ("head.keras", "prototypes.npz", "smoothing.npz")


@dataclass(frozen=True)
class Decisions:
    """What a model version says of n videos, row by row.

    `confidences (n, num_categories) float32`, calibrated; `passed`, the same shape, which categories they get; `logits`, the
    same shape, before calibration; `top (n,)`, the index of the highest confidence, the lowest of equals.
    """

    confidences: np.ndarray
    passed: np.ndarray
    logits: np.ndarray

    @property
    def top(self) -> np.ndarray:
        """Index of each video's top category, `(n,) int64`."""
        return self.confidences.argmax(axis=1) if self.confidences.size else np.empty(0, np.int64)

    @property
    def top_logits(self) -> np.ndarray:
        """Each video's logit of its top category, `(n,) float32`."""
        return self.logits[np.arange(len(self.logits)), self.top]


@dataclass(frozen=True)
class Bundle:
    """A model version. The manifest holds all that training decided: see `training.py` for its keys."""

    head: Any
    manifest: dict[str, Any]
    prototypes: Prototypes | None = None
    smoothing: Smoothing | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """Ids of the categories, in the order of the head's outputs."""
        return tuple(self.manifest["categories"])

    def decide(self, vectors: np.ndarray, languages: Sequence[str]) -> Decisions:
        """Confidences and categories of `vectors`, `(n, dim) float32`, and their languages, row by row."""
        scores = logits(self.head, vectors)
        calibrated = expit(log_odds(scores, vectors, languages, self._calibration, self.prototypes, self.smoothing)).astype(np.float32)
        return Decisions(calibrated, self._thresholds.passing(calibrated, languages), scores)

    @functools.cached_property
    def _calibration(self) -> Calibration:
        return Calibration.of_manifest(self.manifest["calibration"])

    @functools.cached_property
    def _thresholds(self) -> Thresholds:
        return Thresholds.of_manifest(self.manifest["thresholds"])

    def require(self, encoder_id: str, preparation_version: str) -> None:
        """Nothing, if the model version fits vectors of that encoder and texts of that preparation.

        Raises:
            ModelError: it does not.
        """
        for what, found in (("encoder_id", encoder_id), ("preparation_version", preparation_version)):
            if self.manifest[what] != found:
                version, own = self.manifest["model_version"], self.manifest[what]
                raise ModelError(f"model version {version} was trained on {what} {own[:16]}, the lake's vectors are of {found[:16]}: train a new version")


def save_bundle(bundle: Bundle, folder: Path) -> str:
    """Writes the bundle to `folder`, whole or not at all, and gives its digest (hex sha256).

    A folder that is there already, left by a run that died before its event was written, is replaced.
    """
    with written_whole(folder, replace=True) as draft:
        bundle.head.save(draft / _HEAD)
        if bundle.prototypes:
            bundle.prototypes.save(draft / _PROTOTYPES)
        if bundle.smoothing:
            bundle.smoothing.save(draft / _SMOOTHING)
        manifest = {**bundle.manifest, **{_digest_of(file): _sha256(draft / file) for file in _FILES if (draft / file).is_file()}}
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return bundle_digest(draft)


def bundle_digest(folder: Path) -> str:
    """Hex sha256 of the manifest, which itself holds the other files'."""
    return _sha256(folder / "manifest.json")


def read_manifest(folder: Path, digest: str) -> dict[str, Any]:
    """The manifest in `folder`; all files are checked, the head is not loaded.

    Raises:
        ModelError: a file is missing or differs from what was written.
    """
    if not (folder / "manifest.json").is_file():
        raise ModelError(f"there is no model version in {folder} (no manifest.json): train one")
    manifest = {}
    if bundle_digest(folder) == digest:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    written = [file for file in _FILES if _digest_of(file) in manifest]
    if _HEAD not in written or not all((folder / file).is_file() and _sha256(folder / file) == manifest[_digest_of(file)] for file in written):
        raise ModelError(f"the model version in {folder} is damaged: its files are not those that training wrote; train it anew")
    return manifest


@functools.lru_cache(maxsize=2)
def load_bundle(folder: Path, digest: str) -> Bundle:
    """The bundle in `folder`, loaded at the first call of this process and kept.

    Raises:
        ModelError: a file is missing or differs from what was written.
    """
    manifest = read_manifest(folder, digest)
    _require_calibrated(folder, manifest)
    with quiet_tensorflow_import():
        import keras

    prototypes = Prototypes.load(folder / _PROTOTYPES) if _digest_of(_PROTOTYPES) in manifest else None
    smoothing = Smoothing.load(folder / _SMOOTHING) if _digest_of(_SMOOTHING) in manifest else None
    return Bundle(keras.saving.load_model(folder / _HEAD, compile=False), manifest, prototypes, smoothing)


@dataclass(frozen=True)
class ModelVersion:
    """A model version: where its folder is, and the digest that the folder must have."""

    name: str
    folder: str
    digest: str

    def load(self) -> Bundle:
        """Its bundle, loaded once per process."""
        return load_bundle(Path(self.folder), self.digest)

    def check(self) -> None:
        """Nothing, if it can be loaded; without TensorFlow.

        Raises:
            ModelError: a file is missing or differs from what was written, or it is of an older xlclass.
        """
        _require_calibrated(Path(self.folder), self.manifest())

    def require(self, encoder_id: str, preparation_version: str) -> None:
        """Nothing, if it can be loaded and fits vectors of that encoder and texts of that preparation; without TensorFlow.

        Raises:
            ModelError: it cannot be loaded, or does not fit.
        """
        self.check()
        Bundle(None, self.manifest()).require(encoder_id, preparation_version)

    def manifest(self) -> dict[str, Any]:
        """Its manifest, all files checked, whatever xlclass it is of.

        Raises:
            ModelError: a file is missing or differs from what was written.
        """
        return read_manifest(Path(self.folder), self.digest)


def _require_calibrated(folder: Path, manifest: dict[str, Any]) -> None:
    if "calibration" not in manifest:
        raise ModelError(f"the model version in {folder} is of an xlclass that did not calibrate: train a new one")


def _digest_of(file: str) -> str:
    """The key of the manifest that holds a file's digest."""
    return f"{file.split('.')[0]}_sha256"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
