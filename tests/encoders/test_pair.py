"""Which encoder a language goes to: the same in Python, in Spark and in Arrow, and in a manifest."""

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from xlclass.config import load_settings
from xlclass.encoders import encoders_of, resolve_encoders
from xlclass.encoders.pair import Part, Route
from xlclass.errors import EncoderError

ROUTES = {
    "one": Route((Part("muse", 4),)),
    "pair": Route((Part("muse", 4, ("en", "zh-Hant")), Part("e5", 3, ("en", "cs")))),
    "three": Route((Part("muse", 4, ("en",)), Part("e5", 3, ("cs", "en")), Part("other", 2))),
}
LANGUAGES = ["en", "zh-Hant", "zh", "cs", "und"]


@pytest.mark.parametrize("name", ROUTES)
def test_a_row_is_on_the_route_alike_in_python_spark_and_arrow(spark, name):
    route = ROUTES[name]
    rows = [(language, encoder_id) for language in LANGUAGES for encoder_id in ("muse", "e5", "other")]
    expected = [route.encoder_of(language) == encoder_id for language, encoder_id in rows]
    assert sum(expected) == len(LANGUAGES)  # each language has one encoder
    table = pa.table(dict(zip(("language", "encoder_id"), map(list, zip(*rows, strict=True)), strict=True)))
    kept = table.filter(route.expression()).to_pylist()
    assert [(row["language"], row["encoder_id"]) for row in kept] == [row for row, is_kept in zip(rows, expected, strict=True) if is_kept]
    frame = spark.createDataFrame(rows, "language string, encoder_id string").select(
        F.array(route.is_on_it(), route.column() == F.col("encoder_id")).alias("is")
    )
    assert [row["is"] for row in frame.collect()] == [[value, value] for value in expected]


def test_a_route_survives_a_manifest():
    route = ROUTES["pair"]
    assert Route.of({"parts": [part._asdict() for part in route.parts]}) == route
    assert Route.of({"encoder_id": "muse", "dim": 4}) == Route((Part("muse", 4),))


def settings(folder, lines):
    file = folder / "settings.toml"
    file.write_text(f'[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\n{lines}\n', encoding="utf-8")
    return load_settings(file)


def test_embedded_means_a_pair_and_a_setting_leaves_the_second_part_out(muse_cache, tmp_path):
    pair, alone, both = (resolve_encoders(settings(tmp_path, f'cache = "{muse_cache}"\nextension = "{extension}"')) for extension in ("e5", "none", "both"))
    assert resolve_encoders(settings(tmp_path, f'cache = "{muse_cache}"')) == pair
    assert [spec.dim for spec in pair.specs] == [512, 384]
    assert pair.specs[:1] == alone.specs  # the same vectors: switching the pair on encodes none of MUSE's languages anew
    assert [spec.dim for spec in both.specs] == [896]
    assert (pair.is_centred, both.is_centred) == (False, True)
    assert pair.route.encoder_of("fr") == alone.main.encoder_id != pair.route.encoder_of("he") == pair.route.encoder_of("und")


def test_a_version_gets_the_encoders_of_its_manifest(fake_encoder, tmp_path):
    """Even if the settings name others; a version whose encoder is gone or has changed is refused."""
    own = resolve_encoders(settings(tmp_path, f'model = "{fake_encoder.path}"'))
    manifest = {"model_version": "v", "encoder": dict(own.recorded), "parts": [part._asdict() for part in own.route.parts]}
    (tmp_path / "other").mkdir()
    other = settings(tmp_path / "other", f'model = "{fake_encoder.path}"\nlanguages = ["en"]')
    assert encoders_of(manifest, other).main.encoder_id == fake_encoder.encoder_id
    changed = {**manifest, "parts": [{**manifest["parts"][0], "encoder_id": "x" * 64}]}
    old = {"model_version": "v", "encoder_id": "x" * 64, "dim": 4}
    for unknown in (changed, old):
        with pytest.raises(EncoderError, match=r"model version v was trained on vectors of the encoder x{16}, which .*settings\.toml does not give"):
            encoders_of(unknown, other)
    assert encoders_of({**old, "encoder_id": fake_encoder.encoder_id}, other).main.encoder_id == fake_encoder.encoder_id
