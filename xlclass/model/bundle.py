"""A model version's folder: `head.keras`, `neighbours.npz`, `alignment.npz` and `manifest.json`, which holds the digests of the others.

It is written by rename and read with its digests checked.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xlclass.errors import ModelError
from xlclass.model.alignment import Space, load_alignments, save_alignments
from xlclass.model.calibration import LanguageMap, LanguageMaps, Platt
from xlclass.model.chain import DecisionChain, Decisions
from xlclass.model.head import Head
from xlclass.model.neighbours import NeighbourWeights, Propagation, Prototypes
from xlclass.model.thresholds import Thresholds
from xlclass.runtime.files import sha256_of, written_whole

_HEAD, _NEIGHBOURS, _ALIGNMENT = _FILES = ("head.keras", "neighbours.npz", "alignment.npz")
_TRAINING = "training"  # the prototypes of training videos, beside those of languages


@dataclass(frozen=True)
class Bundle:
    """A model version: its decision chain, the space that its head sees, and a manifest of what training used and decided.

    `train.py` lists the manifest's keys.
    """

    chain: DecisionChain
    space: Space
    manifest: dict[str, Any]

    @property
    def categories(self) -> tuple[str, ...]:
        """Ids of the categories, in the order of the head's outputs."""
        return tuple(self.manifest["categories"])

    def decide(self, vectors: np.ndarray, languages: list[str]) -> Decisions:
        """Confidences and categories of `vectors (n, dim) float32`, which are in the space, and their languages."""
        return self.chain.decide(vectors, languages)


def save_bundle(bundle: Bundle, folder: Path) -> str:
    """Writes the bundle to `folder`, whole or not at all, and gives its digest (hex sha256).

    An existing folder, left by a run that died before it wrote its event, is replaced.
    """
    with written_whole(folder, replace=True) as draft:
        bundle.chain.head.save(draft / _HEAD)
        np.savez(draft / _NEIGHBOURS, allow_pickle=False, **_arrays(bundle.chain))
        save_alignments(draft / _ALIGNMENT, bundle.space.alignments)
        manifest = {**bundle.manifest, "chain": _parameters(bundle.chain), "files": {file: sha256_of(draft / file) for file in _FILES}}
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
        return bundle_digest(draft)


def parts_of(manifest: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The encoders of a model version: encoder_id, dim and languages of each. One trained before there were pairs has one of unknown languages."""
    return manifest.get("parts") or [{"encoder_id": manifest["encoder_id"], "dim": manifest["dim"], "languages": []}]


def bundle_digest(folder: Path) -> str:
    """Hex sha256 of the manifest, which itself holds the digests of the other files."""
    return sha256_of(folder / "manifest.json")


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
    files = manifest.get("files", {})
    if not files or not all((folder / file).is_file() and sha256_of(folder / file) == digest for file, digest in files.items()):
        raise ModelError(f"the model version in {folder} is damaged: its files are not those that training wrote; train it anew")
    return manifest


@functools.lru_cache(maxsize=2)
def load_bundle(folder: Path, digest: str) -> Bundle:
    """The bundle in `folder`, loaded at the first call in this process and kept.

    Raises:
        ModelError: a file is missing or differs from what was written.
    """
    manifest = read_manifest(folder, digest)
    prototypes = _loaded_prototypes(folder / _NEIGHBOURS)
    return Bundle(_chain(Head.load(folder / _HEAD), manifest["chain"], prototypes), _space(folder, manifest), manifest)


def _space(folder: Path, manifest: Mapping[str, Any]) -> Space:
    """The space of the version; one trained before there were pairs has the vectors of one encoder, as they are."""
    alignments = load_alignments(folder / _ALIGNMENT) if _ALIGNMENT in manifest["files"] else {}
    return Space(manifest["dim"], {part["encoder_id"]: part["dim"] for part in parts_of(manifest)}, alignments)


@dataclass(frozen=True)
class ModelVersion:
    """A model version: its folder, and the digest that the folder must have."""

    name: str
    folder: str
    digest: str

    def load(self) -> Bundle:
        """Its bundle, loaded once per process."""
        return load_bundle(Path(self.folder), self.digest)

    def require(self, preparation_version: str) -> None:
        """Nothing, if it is whole and fits texts of that preparation; without TensorFlow.

        Raises:
            ModelError: it is damaged, or does not fit.
        """
        trained_on = self.manifest()["preparation_version"]
        if trained_on != preparation_version:
            raise ModelError(
                f"model version {self.name} was trained on texts of the preparation {trained_on}, the settings give {preparation_version}: "
                "train a new version, or set [text] back"
            )

    def space(self) -> Space:
        """The space that its head sees, all files checked; without TensorFlow."""
        return _space(Path(self.folder), self.manifest())

    def manifest(self) -> dict[str, Any]:
        """Its manifest, all files checked; without TensorFlow.

        Raises:
            ModelError: a file is missing or differs from what was written.
        """
        return read_manifest(Path(self.folder), self.digest)


def _parameters(chain: DecisionChain) -> dict[str, Any]:
    """The chain's numbers but for the head and the prototypes, as JSON values."""
    return {
        "platt": asdict(chain.platt),
        "maps": asdict(chain.maps),
        "prior_shifts": dict(chain.prior_shifts),
        "propagation_map": chain.propagation.map if chain.propagation else None,
        "thresholds": asdict(chain.thresholds),
    }


def _arrays(chain: DecisionChain) -> dict[str, np.ndarray]:
    """The chain's prototypes: `centres`, `votes` and `weights` of each language and of the training videos."""
    prototypes = dict(chain.propagation.languages) if chain.propagation else {}
    if chain.neighbours:
        prototypes[_TRAINING] = chain.neighbours
    return {f"{name}.{part}": np.asarray(values) for name, each in prototypes.items() for part, values in vars(each).items()}


def _loaded_prototypes(file: Path) -> dict[str, Prototypes]:
    """What `_arrays` gave, by language."""
    with np.load(file, allow_pickle=False) as arrays:
        names = {key.split(".")[0] for key in arrays}
        parts = {name: [arrays[f"{name}.{part}"] for part in ("centres", "votes", "weights")] for name in names}
    return {name: Prototypes(centres, votes, NeighbourWeights(*weights.tolist())) for name, (centres, votes, weights) in parts.items()}


def _chain(head: Head, parameters: Mapping[str, Any], prototypes: dict[str, Prototypes]) -> DecisionChain:
    maps, map_after = parameters["maps"], parameters["propagation_map"]
    return DecisionChain(
        head,
        Platt(**parameters["platt"]),
        prototypes.pop(_TRAINING, None),
        LanguageMaps({language: LanguageMap(*pair) for language, pair in maps["languages"].items()}, LanguageMap(*maps["mean"])),
        parameters["prior_shifts"],
        Propagation(prototypes, LanguageMap(*map_after)) if map_after else None,
        Thresholds(**parameters["thresholds"]),
    )
