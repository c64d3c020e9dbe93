"""Encoders shipped in an archive."""

import dataclasses
import shutil
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from conftest import ROOT

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders, shipping
from xlclass.encoders.bert import bert_encoder
from xlclass.encoders.contract import EncoderSpec, folder_digest
from xlclass.encoders.muse.build import muse_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import embed_udf
from xlclass.errors import EncoderError
from xlclass.schemas import unpack_vectors


@pytest.fixture
def cached(tmp_path) -> EncoderSpec:
    """A cache with the files that packing reads, as if the embedded encoder was built there."""
    model = tmp_path / "cache" / "muse-0123" / "model"
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_bytes(b"graph")
    (model / "variables" / "data").write_bytes(b"numbers")
    (model.parent / "model.sha256").write_text(folder_digest(model))
    return EncoderSpec(str(model), folder_digest(model), "0123", 8)


def test_pack_built_names_the_archive_by_digest_and_keeps_the_layout_of_the_cache(cached, tmp_path):
    archive = shipping.pack_built([cached], tmp_path / "dist")
    assert archive.name == f"encoders-{sha256(cached.digest.encode()).hexdigest()[:16]}.tar.gz"
    assert list((tmp_path / "dist").iterdir()) == [archive]
    shutil.unpack_archive(archive, tmp_path / "unpacked")  # Debian 12's own Python lacks the filters of tarfile
    assert folder_digest(tmp_path / "unpacked") == folder_digest(tmp_path / "cache")


def test_pack_built_writes_equal_bytes_for_equal_files(cached, tmp_path):
    first, second = (shipping.pack_built([cached], tmp_path / name).read_bytes() for name in ("first", "second"))
    assert first == second


def test_main_refuses_to_pack_another_encoder(settings_in, tmp_path):
    with pytest.raises(EncoderError, match=r"settings\.toml: encoder\.model: `make dist` packs the embedded encoders or a pair"):
        shipping.main(str(settings_in(tmp_path).file), str(tmp_path / "dist"))


def test_main_packs_a_pair_whose_composition_another_cache_then_holds(pairs, pair_cache, tmp_path):
    lines = f'model = "{pairs}/bert/encoder"\npreprocessor = "{pairs}/bert/preprocessor"\ncache = "{pair_cache}"'
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\n{lines}\n')
    spec = resolve_encoders(load_settings(settings)).main
    shipping.main(str(settings), str(tmp_path / "dist"))
    shutil.unpack_archive(next((tmp_path / "dist").iterdir()), tmp_path / "unpacked")
    unpacked = bert_encoder(str(pairs / "bert" / "preprocessor"), str(pairs / "bert" / "encoder"), "mean", tmp_path / "unpacked", build=False)
    assert (unpacked.encoder_id, unpacked.digest) == (spec.encoder_id, spec.digest)


def test_local_path_keeps_a_path():
    assert shipping.local_path("/mnt/muse") == Path("/mnt/muse")


def test_resolve_encoder_explains_how_to_ship_a_missing_archive():
    with pytest.raises(EncoderError, match=r"there is no archive://encoders here: run the job by `spark-submit --archives FILE#encoders`"):
        resolve_encoders(load_settings(ROOT / "conf" / "cluster.toml"))


def test_embedded_encoder_is_not_built_in_an_archive_without_it(tmp_path):
    with pytest.raises(EncoderError, match="the shipped archive has no muse-"):
        muse_encoder(tmp_path, build=False)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def shipped(spark, fake_encoder, tmp_path_factory):
    """The fake encoder's archive, added to this session as `spark-submit --archives` does."""
    archive = tmp_path_factory.mktemp("archives") / "fake.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(fake_encoder.path, "model")
    spark.sparkContext.addArchive(f"{archive}#fake")
    return "archive://fake/model"


def test_resolve_encoder_finds_a_shipped_encoder_on_driver_and_workers(spark, shipped, fake_encoder, settings_in, tmp_path):
    settings = settings_in(tmp_path)
    spec = resolve_encoders(dataclasses.replace(settings, encoder=dataclasses.replace(settings.encoder, model=shipped))).main
    assert (spec.digest, spec.encoder_id, spec.dim) == (fake_encoder.digest, fake_encoder.encoder_id, fake_encoder.dim)
    assert spec.path == shipped
    rows = spark.createDataFrame([("one two",)], "text string").select(embed_udf(spec, 1)("text").alias("vector")).collect()
    expected = load_encoder(fake_encoder).encode(["one two"])
    assert abs(unpack_vectors([bytes(rows[0]["vector"])], spec.dim) - expected).max() < 1e-3


def test_load_encoder_refuses_a_shipped_encoder_of_another_digest(shipped, fake_encoder):
    with pytest.raises(EncoderError, match="has digest"):
        load_encoder(dataclasses.replace(fake_encoder, path=shipped, digest="0" * 64))
