"""Model versions: their folders, and the events of their lives in the table `models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from xlclass.errors import ModelError
from xlclass.lake.runs import utc_now
from xlclass.lake.tables import Lake
from xlclass.model.bundle import Bundle, ModelVersion, save_bundle
from xlclass.schemas import MODELS


class Registry:
    """The model versions of a lake."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def champion(self) -> ModelVersion:
        """The version that serves.

        Raises:
            ModelError: there is none.
        """
        version = self._newest("event = 'champion'")
        if version is None:
            raise ModelError(f"the lake {self._lake.root} has no champion model: run jobs/train.py first")
        return version

    def trained(self, fingerprint: str) -> ModelVersion | None:
        """The version that was trained from just this, null if there is none."""
        return self._newest(F.col("training_fingerprint") == fingerprint)

    def register(self, bundle: Bundle, run_id: str) -> ModelVersion:
        """Writes the bundle's folder, then its events: candidate, champion, and retired for the champion before it."""
        name = bundle.manifest["model_version"]
        version = ModelVersion(name, str(self._folder(name)), save_bundle(bundle, self._folder(name)))
        self._record(version, [(name, "candidate"), *self._coronation(version)], bundle.manifest, run_id)
        return version

    def crown(self, version: ModelVersion, run_id: str) -> None:
        """Makes a version that was trained before the champion again, if it is not the champion."""
        events = self._coronation(version)
        if events:
            self._record(version, events, version.load().manifest, run_id)

    def _coronation(self, version: ModelVersion) -> list[tuple[str, str]]:
        """The events that make `version` the champion; none if it is."""
        former = self._newest("event = 'champion'")
        if former == version:
            return []
        return [*([(former.name, "retired")] if former and former.name != version.name else []), (version.name, "champion")]

    def _record(self, version: ModelVersion, events: list[tuple[str, str]], manifest: dict[str, Any], run_id: str) -> None:
        self._lake.ensure(MODELS)
        last = self._lake.read(MODELS).agg(F.max("event_number")).first()[0] or 0
        metrics = {key: float(value) for key, value in manifest["metrics"].items()}
        trained = (manifest["training_fingerprint"], manifest["versions_read"], manifest["seed"], metrics, version.digest, run_id, utc_now())
        self._lake.append_values(MODELS, [(last + i, name, event, *trained) for i, (name, event) in enumerate(events, 1)])

    def _newest(self, condition: Any) -> ModelVersion | None:
        if not self._lake.exists(MODELS):
            return None
        row = self._lake.read(MODELS).where(condition).orderBy(F.desc("event_number")).select("model_version", "digest").first()
        return ModelVersion(row[0], str(self._folder(row[0])), row[1]) if row else None

    def _folder(self, name: str) -> Path:
        return Path(self._lake.root) / "model_versions" / name
