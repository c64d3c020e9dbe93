"""The embedded MUSE in bfloat16."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.muse.build import muse_encoder
from xlclass.encoders.saved_model import load_encoder
from xlclass.errors import SettingsError

DEMO = ROOT / "xlclass" / "catalog" / "demo"


@pytest.fixture(scope="module")
def encoders(muse_cache):
    """Both precisions, built in one cache."""
    return [muse_encoder(muse_cache, precision) for precision in ("float32", "bfloat16")]


def test_encoder_id_differs_between_precisions(encoders):
    full, half = encoders
    assert full.encoder_id != half.encoder_id
    assert full.path != half.path
    assert full.digest != half.digest


def test_encode_in_bfloat16_stays_close_to_float32(encoders):
    titles = [json.loads(line)["title"] for file in sorted(DEMO.glob("*.jsonl")) for line in file.read_text(encoding="utf-8").splitlines()[:20]]
    texts = ["", "😀😀", "word " * 1_000, *filter(None, titles)]
    full, half = (load_encoder(spec).encode(texts) for spec in encoders)
    assert half.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(half, axis=1), 1, atol=1e-5)
    cosines = (full * half).sum(axis=1)
    assert not np.array_equal(full, half)
    assert cosines.min() >= 0.998, texts[int(cosines.argmin())][:200]


def _settings(folder, encoder):
    file = folder / "settings.toml"
    file.write_text(f'[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\n{encoder}\n', encoding="utf-8")
    return load_settings(file)


def test_resolve_encoder_uses_the_precision_of_the_settings(encoders, tmp_path):
    cache = Path(encoders[1].path).parent.parent
    assert resolve_encoders(_settings(tmp_path, f'cache = "{cache}"\nprecision = "bfloat16"\nextension = "none"')).specs == (encoders[1],)
    assert resolve_encoders(_settings(tmp_path, f'cache = "{cache}"\nextension = "none"')).specs == (encoders[0],)


def test_resolve_encoder_refuses_a_precision_for_a_saved_model(fake_encoder, tmp_path):
    with pytest.raises(SettingsError, match=r'settings\.toml: encoder\.precision = "bfloat16" needs encoder\.model = "embedded"'):
        resolve_encoders(_settings(tmp_path, f'model = "{fake_encoder.path}"\nprecision = "bfloat16"'))


def test_load_settings_lists_the_precisions(tmp_path):
    with pytest.raises(SettingsError, match=r"encoder\.precision must be one of float32, bfloat16, found 'float16'"):
        _settings(tmp_path, 'precision = "float16"')
