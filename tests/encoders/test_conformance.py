"""One suite for all encoders: what every encoder behind `contract.Encoder` keeps, whatever made its vectors.

An encoder is added as one line of ENCODERS: its `[encoder]` settings, and those of a relative that must have another `encoder_id`. Of a pair
the last part is meant; `tests/pipeline/test_pair_in_a_lake.py` has the pair as a whole.
"""

import dataclasses
import functools
import http.server
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from small_models import PIECES, save_encoder

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.encoders.batches import FAILED, NOT_FINITE, embed_column
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.saved_model import load_encoder, saved_model_encoder
from xlclass.errors import EncoderError
from xlclass.schemas import unpack_vectors

ENCODERS = {  # name: settings of the encoder, settings of its relative; {names} are folders and addresses of the fixture `places`
    "muse": ('cache = "{muse_cache}"\nextension = "none"', 'cache = "{muse_cache}"\nextension = "none"\nprecision = "bfloat16"'),
    "e5": ('cache = "{muse_cache}"', 'cache = "{muse_cache}"\nextension = "none"'),
    "both": ('cache = "{muse_cache}"\nextension = "both"', 'cache = "{muse_cache}"\nextension = "both"\nprecision = "bfloat16"'),
    "saved model": ('model = "{hub_shaped}"', 'model = "{hub_shaped_2}"'),
    "m-bert": (
        'model = "{bert}/encoder"\npreprocessor = "{bert}/preprocessor"\ncache = "{cache}"',
        'model = "{bert}/encoder"\npreprocessor = "{bert}/preprocessor"\npooling = "cls"\ncache = "{cache}"',
    ),
    "xlm-r": (
        'model = "{xlm_r}/encoder"\npreprocessor = "{xlm_r}/preprocessor"\npooling = "cls"\ncache = "{cache}"',
        'model = "{xlm_r_encoder_2}"\npreprocessor = "{xlm_r}/preprocessor"\npooling = "cls"\ncache = "{cache}"',
    ),
    "hub url": ('model = "{url}/hub_shaped.tar.gz"', 'model = "{url}/hub_shaped_2.tar.gz"'),
}
TEXTS = [  # mixed lengths and scripts, the longest in the middle
    "the best goals of the season",
    "a",
    "die besten Tore und Musik der Saison",
    "the season " * 150,
    "サッカー 最高のゴール",
    "😀😀",
    "أفضل أهداف الدوري",
    "a bed and a cab " * 9,
    "the best goals",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder, the address where a local HTTP server offers its files, and the paths of all requests."""
    folder, requests = tmp_path_factory.mktemp("served"), []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()


@pytest.fixture(scope="module")
def places(tmp_path_factory, muse_cache, fake_encoder, pairs, pair_cache, served):
    """The folders and addresses that ENCODERS names."""
    folder, url, _ = served
    root = tmp_path_factory.mktemp("places")
    other = Path(shutil.copytree(fake_encoder.path, root / "hub_shaped_2"))
    (other / "fingerprint.pb").write_bytes(b"another")
    places = {"muse_cache": muse_cache, "hub_shaped": Path(fake_encoder.path), "hub_shaped_2": other, "url": url}
    for name in ("hub_shaped", "hub_shaped_2"):
        with tarfile.open(folder / f"{name}.tar.gz", "w:gz", compresslevel=1) as tar:
            tar.add(places[name], ".")
    places |= {"bert": pairs / "bert", "xlm_r": pairs / "xlm_r", "cache": pair_cache}
    places["xlm_r_encoder_2"] = save_encoder(root / "xlm_r_encoder_2", len(PIECES), has_default=False, seed=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFHUB_CACHE_DIR", str(root / "hub"))
        yield places


@pytest.fixture(scope="module")
def resolved(places, tmp_path_factory):
    """Gives the specification of an encoder of ENCODERS, 0 for the encoder itself and 1 for its relative."""

    @functools.cache
    def resolve(name: str, which: int = 0) -> EncoderSpec:
        file = tmp_path_factory.mktemp("settings") / "settings.toml"
        file.write_text('[source]\npath = "demo"\n[lake]\npath = "lake"\n[encoder]\n' + ENCODERS[name][which].format(**places), encoding="utf-8")
        return resolve_encoders(load_settings(file)).specs[-1]

    return resolve


@pytest.fixture(scope="module", params=ENCODERS)
def spec(request, resolved) -> EncoderSpec:
    return resolved(request.param)


@pytest.fixture(scope="module")
def encoder(spec):
    return load_encoder(spec)


def test_encode_returns_one_float32_row_per_text(spec, encoder):
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), spec.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert encoder.encode([]).shape == (0, spec.dim)
    assert (encoder.encoder_id, encoder.dim) == (spec.encoder_id, spec.dim)


def test_encode_has_a_vector_for_unusual_texts(encoder):
    assert np.isfinite(encoder.encode(["", " ", "\x00", "a\ud800b", "\u202e", "x" * 5_000])).all()


def test_encode_does_not_depend_on_the_batch(encoder):
    mixed = encoder.encode(TEXTS)
    np.testing.assert_allclose(np.concatenate([encoder.encode([text]) for text in TEXTS]), mixed, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], mixed, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS[4:] + TEXTS[:2])[:-2], mixed[4:], atol=1e-5)


def test_encode_tells_texts_apart(encoder):
    distinct = ["the best goals of the season", "a cab and a bed", "die Musik"]
    vectors = encoder.encode(distinct)
    assert min(np.abs(vectors[i] - vectors[j]).max() for i in range(3) for j in range(i)) > 1e-3


def test_embed_column_keeps_order_and_gives_null_for_null_and_empty_texts(spec, encoder):
    packed = embed_column([None, *TEXTS, "", TEXTS[0]], encoder, 2, 200)
    assert [i for i, vector in enumerate(packed) if vector is None] == [0, len(TEXTS) + 1]
    rows = unpack_vectors([vector for vector in packed if vector], spec.dim)
    np.testing.assert_allclose(rows, encoder.encode([*TEXTS, TEXTS[0]]), atol=5e-3)  # float16


def test_encode_is_the_same_after_another_load(spec, encoder):
    np.testing.assert_array_equal(load_encoder.__wrapped__(spec).encode(TEXTS), encoder.encode(TEXTS))


def test_encoder_id_names_what_makes_the_vectors(spec, resolved, request):
    name = request.node.callspec.params["spec"]
    relative = resolved(name, 1)
    assert relative.encoder_id != spec.encoder_id
    assert (relative.path, relative.digest) != (spec.path, spec.digest)


def test_load_encoder_refuses_a_changed_file(spec, tmp_path):
    folder = Path(shutil.copytree(spec.path, tmp_path / "copy"))
    load_encoder.__wrapped__(dataclasses.replace(spec, path=str(folder)))
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(EncoderError, match="has digest"):
        load_encoder.__wrapped__(dataclasses.replace(spec, path=str(folder)))


WORKER = """
import collections, json, os, sys
from pathlib import Path
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import limit_threads

def threads():
    return collections.Counter(Path(f"/proc/self/task/{task}/comm").read_text().strip() for task in os.listdir("/proc/self/task"))

task, own_name = json.loads(sys.stdin.read()), Path("/proc/self/comm").read_text().strip()
limit_threads(task["threads"])
before = threads()
vectors = [load_encoder(EncoderSpec(**spec | {"languages": ()})).encode(task["texts"]).tolist() for spec in task["specs"]]
after = threads()
print(json.dumps({"vectors": vectors, "intra": after[own_name] - before[own_name], "inter": after["tf_Compute"]}))
"""


@pytest.fixture(scope="module")
def in_workers(resolved):
    """What two processes with thread caps 1 and 3 report after they encoded TEXTS with all encoders of ENCODERS."""

    def start(cap: int) -> subprocess.Popen:
        task = {"threads": cap, "texts": TEXTS, "specs": [dataclasses.asdict(resolved(name)) for name in ENCODERS]}
        process = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write(json.dumps(task))
        process.stdin.close()
        return process

    processes = {cap: start(cap) for cap in (1, 3)}
    reports = {cap: json.loads(process.stdout.read()) for cap, process in processes.items()}
    assert not any(process.wait() for process in processes.values())
    return reports


def test_tensorflow_has_as_many_threads_as_allowed(in_workers):
    """Eigen's threads of the intra-op pool have the process's own name, those of the inter-op pool are tf_Compute."""
    assert {cap: (report["intra"], report["inter"]) for cap, report in in_workers.items()} == {1: (1, 1), 3: (3, 1)}


def test_encode_is_the_same_in_other_processes_with_other_thread_caps(in_workers, resolved):
    for number, name in enumerate(ENCODERS):
        vectors = load_encoder(resolved(name)).encode(TEXTS)
        for cap, report in in_workers.items():
            np.testing.assert_allclose(report["vectors"][number], vectors, atol=1e-6, err_msg=f"{name} with {cap} threads")


def test_resolve_encoder_downloads_a_url_once(served, resolved):
    assert resolved.__wrapped__("hub url") == resolved("hub url")
    assert [path for path in served[2] if path.startswith("/hub_shaped.tar.gz")] == ["/hub_shaped.tar.gz?tf-hub-format=compressed"]


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory) -> EncoderSpec:
    """An encoder that passes the check of its contract with two texts, but not with every batch."""
    import tensorflow as tf

    class Misbehaving(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            lengths = tf.cast(tf.strings.length(texts), tf.float32)
            vectors = tf.where(texts == "nan", float("nan"), tf.where(texts == "huge", 1e30, lengths))[:, None] + tf.zeros([1, 4])
            rows = tf.boolean_mask(vectors, texts != "dropped")
            return rows[:, : tf.where(tf.reduce_any(texts == "narrow"), 3, 4)]

    folder = tmp_path_factory.mktemp("misbehaving")
    tf.saved_model.save(Misbehaving(), str(folder))
    return saved_model_encoder(str(folder))


def test_embed_column_marks_what_is_no_vector_and_never_shifts_the_others(misbehaving):
    texts = ["a", "dropped", "bb", "nan", "narrow", "huge", "seven77", "eight888"]
    packed = embed_column(texts, load_encoder(misbehaving), 8, 1_000)
    marks = {text: vector for text, vector in zip(texts, packed, strict=True) if vector in (FAILED, NOT_FINITE)}
    assert marks == {"dropped": FAILED, "nan": NOT_FINITE, "narrow": FAILED, "huge": NOT_FINITE}
    others = [text for text in texts if text not in marks]
    vectors = unpack_vectors([vector for text, vector in zip(texts, packed, strict=True) if text not in marks], 4)
    np.testing.assert_array_equal(vectors[:, 0], [len(text) for text in others])


@pytest.mark.parametrize("kind", ["a row too few", "a row too many", "float64", "three axes"])
def test_saved_model_encoder_refuses_another_shape_or_type(kind, tmp_path):
    import tensorflow as tf

    class Wrong(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts):
            rows = tf.cast(tf.strings.length(texts), tf.float32)[:, None] + tf.zeros([1, 4])
            return {
                "a row too few": rows[1:],
                "a row too many": tf.pad(rows, [[0, 1], [0, 0]]),
                "float64": tf.cast(rows, tf.float64),
                "three axes": rows[None],
            }[kind]

    tf.saved_model.save(Wrong(), str(tmp_path / "model"))
    with pytest.raises(EncoderError, match=r"for two texts; an encoder maps string \[n\] -> float32 \[n, dim\]"):
        saved_model_encoder(str(tmp_path / "model"))
