"""A model version's folder: whole or not at all, unchanged or refused, and what it decides."""

import functools
import json
import stat
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit

from xlclass.config import TrainingSettings
from xlclass.errors import ModelError
from xlclass.model.bundle import Bundle, bundle_digest, load_bundle, save_bundle
from xlclass.model.calibration import Calibration
from xlclass.model.examples import Examples
from xlclass.model.head import train_head
from xlclass.model.neighbours import Prototypes
from xlclass.model.smoothing import Smoothing, around_language
from xlclass.model.thresholds import Thresholds

MANIFEST = {
    "model_version": "0123456789ab",
    "encoder_id": "e" * 64,
    "preparation_version": "1-0a1b2c3d",
    "categories": ["music", "sports", "comédie"],
    "calibration": asdict(Calibration.identity(3)),
    "thresholds": asdict(Thresholds((0.5, 0.5, 0.7))),
}


class GivenHead:
    """A head whose logits are its vectors; it is saved as some bytes."""

    output_shape = (None, 3)

    @functools.cached_property
    def _model(self):
        import keras

        return keras.Sequential([keras.Input((3,)), keras.layers.Activation("linear", name="logit")])

    @property
    def inputs(self):
        return self._model.inputs

    def get_layer(self, name):
        return self._model.get_layer(name)

    def save(self, file):
        Path(file).write_bytes(b"a head")


class BrokenHead(GivenHead):
    """A head that fails half-way through its saving."""

    def __init__(self, error):
        self.error = error

    def save(self, file):
        super().save(file)
        raise self.error


@pytest.fixture
def saved(tmp_path):
    """The folder and the digest of a bundle without a network."""
    folder = tmp_path / "model_versions" / "0123456789ab"
    return folder, save_bundle(Bundle(GivenHead(), MANIFEST), folder)


def decided(*rows):
    """What a bundle decides on videos of these confidences, before calibration, which is the identity."""
    return Bundle(GivenHead(), MANIFEST).decide(logit(np.array(rows)), ["de"] * len(rows))


def test_load_bundle_gives_the_same_confidences(tmp_path):
    rng = np.random.default_rng(1)
    sample = Examples(rng.normal(size=(60, 16)).astype(np.float32), (rng.random((60, 3)) < 0.4).astype(np.float32))
    head, _ = train_head(sample, sample, TrainingSettings(max_epochs=2))
    bundle = Bundle(head, MANIFEST)
    loaded = load_bundle(tmp_path / "v", save_bundle(bundle, tmp_path / "v"))
    before, after = (each.decide(sample.vectors, ["en"] * 60) for each in (bundle, loaded))
    np.testing.assert_array_equal(before.confidences, after.confidences)
    np.testing.assert_array_equal(before.passed, after.passed)
    assert loaded.categories == ("music", "sports", "comédie")
    assert {key: loaded.manifest[key] for key in MANIFEST} == json.loads(json.dumps(MANIFEST))
    assert load_bundle(tmp_path / "v", bundle_digest(tmp_path / "v")) is loaded


def test_save_bundle_writes_two_files_and_nothing_beside(saved):
    folder, digest = saved
    assert sorted(file.name for file in folder.iterdir()) == ["head.keras", "manifest.json"]
    assert [file.name for file in folder.parent.iterdir()] == [folder.name]
    assert digest == bundle_digest(folder)
    assert "comédie" in (folder / "manifest.json").read_text(encoding="utf-8")


def test_save_bundle_names_the_contents(saved, tmp_path):
    """Equal contents, equal digest, wherever they lie; another manifest or another head, another one."""

    class Other(GivenHead):
        def save(self, file):
            Path(file).write_bytes(b"another head")

    _, digest = saved
    assert save_bundle(Bundle(GivenHead(), dict(reversed(MANIFEST.items()))), tmp_path / "same") == digest
    assert save_bundle(Bundle(GivenHead(), {**MANIFEST, "seed": 8}), tmp_path / "seed") != digest
    assert save_bundle(Bundle(Other(), MANIFEST), tmp_path / "head") != digest


@pytest.mark.parametrize(
    ("bundle", "error"),
    [
        (Bundle(BrokenHead(OSError("disk full")), MANIFEST), OSError),
        (Bundle(BrokenHead(KeyboardInterrupt()), MANIFEST), KeyboardInterrupt),
        (Bundle(GivenHead(), {**MANIFEST, "metrics": object()}), TypeError),  # JSON cannot say it: the head is written by then
    ],
    ids=["disk full", "interrupted", "manifest"],
)
@pytest.mark.parametrize("there_before", [False, True])
def test_save_bundle_that_fails_leaves_what_was_there(tmp_path, bundle, error, there_before):
    folder = tmp_path / "v"
    if there_before:
        digest = save_bundle(Bundle(GivenHead(), MANIFEST), folder)
    with pytest.raises(error):
        save_bundle(bundle, folder)
    assert [file.name for file in tmp_path.iterdir()] == (["v"] if there_before else [])
    if there_before:
        assert bundle_digest(folder) == digest
        assert (folder / "head.keras").read_bytes() == b"a head"


def test_save_bundle_replaces_a_folder_that_is_there(saved):
    folder, _ = saved
    (folder / "rest of a dead run").write_text("")
    digest = save_bundle(Bundle(GivenHead(), {**MANIFEST, "seed": 8}), folder)
    assert bundle_digest(folder) == digest
    assert sorted(file.name for file in folder.iterdir()) == ["head.keras", "manifest.json"]


def test_save_bundle_lets_others_read_what_the_umask_lets(saved, tmp_path):
    """Executors and schedulers may run as another user than the one who trained; the tables beside it are readable too."""
    folder, _ = saved
    plain = tmp_path / "plain"
    plain.mkdir()
    assert stat.filemode(folder.stat().st_mode) == stat.filemode(plain.stat().st_mode)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("head.keras", b"another head"),
        ("head.keras", b""),
        ("head.keras", None),
        ("manifest.json", None),
        ("manifest.json", b""),
        ("manifest.json", b'{"model_version": "0123'),  # cut off by a full disk or a copy that broke
        ("manifest.json", b"\xff\xfe\x00"),
        ("manifest.json", b"{}\n"),
        ("manifest.json", json.dumps({**MANIFEST, "thresholds": [0.1, 0.1, 0.1]}).encode()),
    ],
)
def test_load_bundle_refuses_damage(saved, name, content):
    folder, digest = saved
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_bundle(folder, digest)
    assert str(folder) in str(caught.value)
    assert "train" in str(caught.value)


def test_load_bundle_refuses_a_whole_folder_of_another_version(saved):
    """Each file fits the other, but not the digest that the registry holds."""
    folder, digest = saved
    save_bundle(Bundle(GivenHead(), {**MANIFEST, "seed": 8}), folder)
    with pytest.raises(ModelError, match="damaged"):
        load_bundle(folder, digest)


def test_load_bundle_names_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"no model version in .*nowhere"):
        load_bundle(tmp_path / "nowhere", "0" * 64)


def test_require_takes_what_it_was_trained_on():
    assert Bundle(GivenHead(), MANIFEST).require("e" * 64, "1-0a1b2c3d") is None


@pytest.mark.parametrize(
    ("encoder_id", "preparation_version", "named"),
    [
        ("f" * 64, "1-0a1b2c3d", ("encoder_id", "e" * 12, "f" * 12)),
        ("e" * 64, "2-0a1b2c3d", ("preparation_version", "1-0a1b2c3d", "2-0a1b2c3d")),
        ("e" * 63 + "f", "1-0a1b2c3d", ("encoder_id",)),
    ],
)
def test_require_refuses_another_encoder_or_preparation(encoder_id, preparation_version, named):
    with pytest.raises(ModelError) as caught:
        Bundle(GivenHead(), MANIFEST).require(encoder_id, preparation_version)
    assert all(part in str(caught.value) for part in ("0123456789ab", *named))


def test_decide_gives_at_least_the_top_category():
    decisions = decided([0.1, 0.3, 0.2], [0.6, 0.1, 0.8])
    assert decisions.passed.tolist() == [[False, True, False], [True, False, True]]
    assert decisions.top.tolist() == [1, 2]


def test_decide_gives_ties_to_the_lower_index():
    decisions = decided([0.2, 0.4, 0.4], [0.3, 0.3, 0.3], [0.9, 0.9, 0.9])
    assert decisions.top.tolist() == [1, 0, 0]
    assert decisions.passed.tolist() == [[False, True, False], [True, False, False], [True, True, True]]


def test_decide_takes_no_videos():
    decisions = Bundle(GivenHead(), MANIFEST).decide(np.empty((0, 3), np.float32), [])
    assert decisions.confidences.shape == decisions.passed.shape == (0, 3)
    assert decisions.passed.dtype == bool
    assert decisions.top.shape == (0,)


def test_decide_calibrates_by_language_and_keeps_the_logits():
    calibration = Calibration((2.0, 1.0, 1.0), (0.0, 0.0, -1.0), {"fr": (2.0, 0.5)}, {"th": (0.0, 3.0, 0.0)})
    bundle = Bundle(GivenHead(), {**MANIFEST, "calibration": asdict(calibration)})
    logits = np.array([[1.0, 1.5, 1.0]] * 3, np.float32)
    decisions = bundle.decide(logits, ["en", "fr", "th"])
    expected = 1 / (1 + np.exp(-np.array([[2, 1.5, 0], [1.5, 1.25, 0.5], [2, 4.5, 0]])))
    np.testing.assert_allclose(decisions.confidences, expected, rtol=1e-6)
    np.testing.assert_array_equal(decisions.logits, logits)
    assert decisions.top.tolist() == [0, 0, 1]
    assert decisions.top_logits.tolist() == [1.0, 1.0, 1.5]


PROTOTYPES = Prototypes(np.eye(3, dtype=np.float32), np.array([[4, 0, 0, 4], [1, 0, 3, 4], [0, 0, 4, 4]], np.float32), 0.1)
BLENDED = {**MANIFEST, "calibration": asdict(Calibration((1.0,) * 3, (0.0,) * 3, weight=0.5))}


def test_decide_hears_the_neighbours():
    vectors = np.array([[0.0, 2.0, 0.0], [5.0, 0.0, 0.0]], np.float32)
    decisions = Bundle(GivenHead(), BLENDED, PROTOTYPES).decide(vectors, ["de", "th"])
    odds = 0.5 * vectors + 0.5 * logit([[0.25, 0.001, 0.75], [0.999, 0.001, 0.001]])
    np.testing.assert_allclose(logit(decisions.confidences.astype(np.float64)), odds, atol=1e-3)
    assert decisions.top.tolist() == [2, 0]
    assert decisions.top_logits.tolist() == [0.0, 5.0]
    assert Bundle(GivenHead(), BLENDED, PROTOTYPES).decide(np.empty((0, 3), np.float32), []).confidences.shape == (0, 3)


@pytest.mark.parametrize("damaged", ["prototypes.npz", "smoothing.npz"])
def test_load_bundle_gives_the_prototypes_and_refuses_damage_of_them(tmp_path, damaged):
    sample = Examples(np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32), np.eye(3, dtype=np.float32)[np.arange(60) % 3])
    smoothing = Smoothing({"th": around_language(sample.vectors, 9.0 * sample.labels, 8, 0.04, 7)}, 0.5)
    bundle = Bundle(train_head(sample, sample, TrainingSettings(max_epochs=1))[0], BLENDED, PROTOTYPES, smoothing)
    for name, content in (("whole", ...), ("changed", b"x"), ("gone", None)):
        file, digest = tmp_path / name / damaged, save_bundle(bundle, tmp_path / name)
        if content is ...:
            told = [each.decide(sample.vectors, ["en", "th"] * 30).confidences for each in (bundle, load_bundle(tmp_path / name, digest))]
            np.testing.assert_array_equal(*told)
            plain = Bundle(bundle.head, BLENDED, PROTOTYPES).decide(sample.vectors, ["en", "th"] * 30).confidences
            assert (told[0] != plain).any(axis=1).tolist() == [False, True] * 30
            continue
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            load_bundle(tmp_path / name, digest)


def test_load_bundle_refuses_one_that_was_never_calibrated(tmp_path):
    older = {key: value for key, value in MANIFEST.items() if key != "calibration"}
    digest = save_bundle(Bundle(GivenHead(), older), tmp_path / "v")
    with pytest.raises(ModelError, match="train a new one"):
        load_bundle(tmp_path / "v", digest)
