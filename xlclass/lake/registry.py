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
        manifest = bundle.manifest
        name = manifest["model_version"]
        digest = save_bundle(bundle, self._folder(name))
        former = self._newest("event = 'champion'")
        events = [(name, "candidate"), *([(former.name, "retired")] if former and former.name != name else []), (name, "champion")]
        self._record(events, manifest, digest, run_id)
        return ModelVersion(name, str(self._folder(name)), digest)

    def _record(self, events: list[tuple[str, str]], manifest: dict[str, Any], digest: str, run_id: str) -> None:
        self._lake.ensure(MODELS)
        last = self._lake.read(MODELS).agg(F.max("event_number")).first()[0] or 0
        metrics = {key: float(value) for key, value in manifest["metrics"].items()}
        self._lake.append_values(
            MODELS,
            [
                (last + i, name, event, manifest["training_fingerprint"], manifest["versions_read"], manifest["seed"], metrics, digest, run_id, utc_now())
                for i, (name, event) in enumerate(events, 1)
            ],
        )

    def _newest(self, condition: Any) -> ModelVersion | None:
        if not self._lake.exists(MODELS):
            return None
        row = self._lake.read(MODELS).where(condition).orderBy(F.desc("event_number")).select("model_version", "digest").first()
        return ModelVersion(row[0], str(self._folder(row[0])), row[1]) if row else None

    def _folder(self, name: str) -> Path:
        return Path(self._lake.root) / "model_versions" / name
