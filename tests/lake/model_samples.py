"""Model versions without Keras, and an empty table `models` without Spark."""

import json
from pathlib import Path

from xlclass.lake.tables import _PROPERTIES
from xlclass.model.alignment import Space
from xlclass.model.bundle import Bundle
from xlclass.model.calibration import Platt
from xlclass.model.chain import DecisionChain
from xlclass.schemas import MODELS

MANIFEST = {
    "training_fingerprint": "",
    "versions_read": {"videos": 3},
    "seed": 7,
    "metrics": {"loss": 0.5},
    "categories": ["music", "sports"],
    "languages": ["en"],
    "num_videos": {"train": 9},
    "encoder_id": "e",
    "dim": 8,
    "preparation_version": "p",
    "code_version": "0",
}
_SCALARS = {"bigint": "long", "string": "string", "timestamp": "timestamp"}
_MAP_VALUES = {"bigint": "long", "double": "double"}


class FakeHead:
    """The part of a head that `save_bundle` uses."""

    def save(self, file):
        Path(file).write_bytes(b"head")


def bundle(name):
    """A model version of that name, trained from the fingerprint NAME-print."""
    chain = DecisionChain(FakeHead(), Platt((1.0, 1.0), (0.0, 0.0)))
    return Bundle(chain, Space(8, {"e": 8}, {}), {**MANIFEST, "model_version": name, "training_fingerprint": f"{name}-print"})


def create_models_table(root):
    """The table `models` with the first log entry that Spark would write."""
    maps = {f"map<string, {kind}>": {"type": "map", "keyType": "string", "valueType": name, "valueContainsNull": True} for kind, name in _MAP_VALUES.items()}
    fields = [{"name": c.name, "type": (_SCALARS | maps)[c.type], "nullable": not c.required, "metadata": {"comment": c.comment}} for c in MODELS.columns]
    configuration = {**_PROPERTIES, **{f"delta.constraints.{name}": check for name, check in MODELS.checks}}
    table = {"id": "0", "format": {"provider": "parquet", "options": {}}, "partitionColumns": [], "configuration": configuration}
    log = Path(root) / "models" / "_delta_log"
    log.mkdir(parents=True)
    entries = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 3}},
        {"metaData": {**table, "schemaString": json.dumps({"type": "struct", "fields": fields})}},
    ]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, entries)))
