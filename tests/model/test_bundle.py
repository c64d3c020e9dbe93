"""A model version's folder: whole or not at all, unchanged or refused."""

import json
import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from xlclass.config import TrainingSettings
from xlclass.errors import ModelError
from xlclass.model.alignment import Alignment, Space
from xlclass.model.bundle import Bundle, ModelVersion, bundle_digest, load_bundle, save_bundle
from xlclass.model.calibration import LanguageMap, LanguageMaps, Platt
from xlclass.model.chain import DecisionChain
from xlclass.model.examples import Examples
from xlclass.model.head import train_head
from xlclass.model.neighbours import NeighbourWeights, Propagation, fit_prototypes
from xlclass.model.thresholds import Thresholds
from xlclass.schemas import pack_vectors

MANIFEST = {
    "model_version": "0123456789ab",
    "encoder_id": "e" * 64,
    "dim": 16,
    "parts": [{"encoder_id": "e" * 64, "dim": 16, "languages": ["en"]}, {"encoder_id": "f" * 64, "dim": 8, "languages": []}],
    "preparation_version": "1-0a1b2c3d",
    "categories": ["music", "sports", "comédie"],
}
ALIGNMENT = Alignment(np.arange(8, dtype=np.float32), {"cs": np.ones(8, np.float32)}, np.eye(8, 16, dtype=np.float32), np.zeros(16, np.float32))
SPACE = Space(16, {"e" * 64: 16, "f" * 64: 8}, {"f" * 64: ALIGNMENT})
FILES = ["alignment.npz", "head.keras", "manifest.json", "neighbours.npz"]


class SavedHead:
    """A head that is saved as some bytes, or fails half-way."""

    def __init__(self, content=b"a head", error=None):
        self.content, self.error = content, error

    def save(self, file):
        Path(file).write_bytes(self.content)
        if self.error:
            raise self.error


def bundle(head=SavedHead(), **changes):  # noqa: B008  it has no state
    chain = DecisionChain(head, Platt((1.0,) * 3, (0.0,) * 3), thresholds=Thresholds((0.5, 0.5, 0.7)))
    return Bundle(chain, SPACE, {**MANIFEST, **changes})


@pytest.fixture
def saved(tmp_path):
    """The folder and the digest of a bundle without a network."""
    folder = tmp_path / "model_versions" / "0123456789ab"
    return folder, save_bundle(bundle(), folder)


@pytest.fixture(scope="module")
def whole():
    """A bundle with a trained head and every step of the chain, and some vectors."""
    rng = np.random.default_rng(1)
    sample = Examples(rng.normal(size=(60, 16)).astype(np.float32), (rng.random((60, 3)) < 0.4).astype(np.float32))
    head, _ = train_head(sample, sample, TrainingSettings(max_epochs=2))
    prototypes = [fit_prototypes(sample.vectors, sample.labels, 8, NeighbourWeights(0.04, weight), 7) for weight in (0.6, 0.25, 0.5)]
    chain = DecisionChain(
        head,
        Platt((2.0, 1.0, 0.5), (0.0, 0.5, -1.0)),
        prototypes[0],
        LanguageMaps({"en": LanguageMap(0.5, 1.0)}, LanguageMap(0.8, 0.125)),
        {"th": (0.5, -0.5, 0.0)},
        Propagation({"zh-Hant": prototypes[1], "th": prototypes[2]}, LanguageMap(0.9, 0.125)),
        Thresholds((0.2, 0.3, 0.4), {"en": (0.1, 0.5, 2.0)}, "abstain", 2),
    )
    return Bundle(chain, SPACE, MANIFEST), sample.vectors


def test_load_bundle_gives_the_same_decisions(whole, tmp_path):
    original, vectors = whole
    digest = save_bundle(original, tmp_path / "v")
    loaded = load_bundle(tmp_path / "v", digest)
    languages = ["en", "th", "zh-Hant", "de"] * 15
    before, after = (each.decide(vectors, languages) for each in (original, loaded))
    for part in ("confidences", "passed", "logits"):
        np.testing.assert_array_equal(getattr(before, part), getattr(after, part))
    for step in ("neighbours", "maps", "prior_shifts", "propagation", "thresholds"):  # each one changes decisions: none is lost
        part = "passed" if step == "thresholds" else "confidences"
        without = replace(original.chain, **{step: getattr(bundle().chain, step)}).decide(vectors, languages)
        assert not np.array_equal(getattr(without, part), getattr(after, part)), step
    assert loaded.categories == ("music", "sports", "comédie")
    assert {key: loaded.manifest[key] for key in MANIFEST} == MANIFEST
    assert load_bundle(tmp_path / "v", bundle_digest(tmp_path / "v")) is loaded


def test_load_bundle_reads_no_pickle(saved):
    folder, _ = saved
    np.savez(folder / "neighbours.npz", **{f"th.{part}": np.array([{}], dtype=object) for part in ("centres", "votes", "weights")})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["neighbours.npz"] = sha256((folder / "neighbours.npz").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_bundle(folder, bundle_digest(folder))


def test_save_bundle_writes_four_files_and_nothing_beside(saved):
    folder, digest = saved
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    assert digest == bundle_digest(folder)
    assert "comédie" in (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "rest of a dead run").write_text("")
    assert save_bundle(bundle(seed=8), folder) == bundle_digest(folder) != digest  # an existing folder is replaced
    assert sorted(file.name for file in folder.iterdir()) == FILES


def test_save_bundle_names_the_contents(saved, whole, tmp_path):
    """Equal contents give an equal digest in any folder; another manifest, head or chain gives another one."""
    _, digest = saved
    reordered = Bundle(bundle().chain, SPACE, dict(reversed(MANIFEST.items())))
    prototypes = replace(bundle().chain, neighbours=whole[0].chain.neighbours)
    assert save_bundle(reordered, tmp_path / "same") == digest
    assert save_bundle(Bundle(prototypes, SPACE, MANIFEST), tmp_path / "a") == save_bundle(Bundle(prototypes, SPACE, MANIFEST), tmp_path / "b")
    others = [bundle(seed=8), bundle(SavedHead(b"another head")), Bundle(prototypes, SPACE, MANIFEST)]
    assert len({digest, *(save_bundle(other, tmp_path / str(i)) for i, other in enumerate(others))}) == 4


@pytest.mark.parametrize("exists", [False, True])
def test_save_bundle_that_fails_leaves_the_folder_unchanged(tmp_path, exists):
    folder = tmp_path / "v"
    if exists:
        digest = save_bundle(bundle(), folder)
    for broken, error in (
        (bundle(SavedHead(b"half", OSError("disk full"))), OSError),
        (bundle(SavedHead(b"half", KeyboardInterrupt())), KeyboardInterrupt),
        (bundle(metrics=object()), TypeError),  # JSON cannot hold it: the head is written by then
    ):
        with pytest.raises(error):
            save_bundle(broken, folder)
        assert [file.name for file in tmp_path.iterdir()] == (["v"] if exists else [])
    if exists:
        assert bundle_digest(folder) == digest
        assert (folder / "head.keras").read_bytes() == b"a head"


def test_save_bundle_sets_the_permissions_of_the_umask(saved, tmp_path):
    """Executors and schedulers may run as another user than the one who trained; the tables beside it are readable too."""
    folder, _ = saved
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.filemode(folder.stat().st_mode) == stat.filemode(plain.stat().st_mode)


def test_load_bundle_refuses_damage(tmp_path):
    damages = [(name, content) for name in FILES for content in (b"another", b"", None)]
    damages += [("manifest.json", content) for content in (b'{"model_version": "0123', b"\xff\xfe\x00", b"{}\n", json.dumps(MANIFEST).encode())]
    for i, (name, content) in enumerate(damages):
        folder = tmp_path / str(i)
        digest = save_bundle(bundle(), folder)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load_bundle(folder, digest)
        assert str(folder) in str(caught.value), (name, content)
        assert "train" in str(caught.value), (name, content)


def test_load_bundle_refuses_a_whole_folder_of_another_version_and_a_missing_one(saved, tmp_path):
    """Each file fits the other, but not the digest that the registry holds."""
    folder, digest = saved
    save_bundle(bundle(seed=8), folder)
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder, digest)
    with pytest.raises(ModelError, match=r"no model version in .*nowhere"):
        load_bundle(tmp_path / "nowhere", digest)


def test_require_refuses_another_preparation_by_name(tmp_path):
    version = ModelVersion("0123456789ab", str(tmp_path / "m"), save_bundle(bundle(), tmp_path / "m"))
    version.require("1-0a1b2c3d")
    with pytest.raises(ModelError, match=r"0123456789ab was trained on texts of the preparation 1-0a1b2c3d, the settings give 2-0a1b2c3d"):
        version.require("2-0a1b2c3d")


def test_load_bundle_gives_the_same_space(whole, tmp_path):
    original, _ = whole
    version = ModelVersion("v", str(tmp_path / "v"), save_bundle(original, tmp_path / "v"))
    rng = np.random.default_rng(3)
    raw = {encoder_id: rng.normal(size=(2, dim)).astype(np.float32) for encoder_id, dim in SPACE.dims.items()}
    packed = [vector for vectors in raw.values() for vector in pack_vectors(vectors)]
    arguments = packed, ["e" * 64] * 2 + ["f" * 64] * 2, ["en", "fr", "cs", "da"]
    expected = original.space.unpacked(*arguments)
    for space in (version.load().space, version.space()):
        np.testing.assert_array_equal(space.unpacked(*arguments), expected)
    np.testing.assert_allclose(expected[:2], raw["e" * 64], atol=1e-2)
    assert not np.allclose(expected[2], ALIGNMENT.apply(raw["f" * 64], np.array(["da", "da"], object))[0])  # Czech has a mean of its own


def test_a_version_of_before_there_were_pairs_is_read(tmp_path):
    """Its manifest names one encoder, and its folder has no alignment."""
    folder = tmp_path / "v"
    save_bundle(bundle(), folder)
    (folder / "alignment.npz").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["parts"], manifest["files"]["alignment.npz"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    space = ModelVersion("v", str(folder), bundle_digest(folder)).space()
    assert (space.dim, space.dims, space.alignments) == (16, {"e" * 64: 16}, {})
