"""The encoding of a column: batches, failing texts, and the pandas UDF."""

import dataclasses
import gc
import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from xlclass.encoders.batches import FAILED, NOT_FINITE, batches_by_length, embed_column
from xlclass.encoders.contract import EncoderSpec
from xlclass.encoders.saved_model import load_encoder
from xlclass.encoders.udf import embed_udf
from xlclass.schemas import unpack_vectors


class Counting:
    """An encoder that records its batches; the vector of a text is its length."""

    encoder_id, dim, languages = "counting", 1, ()

    def __init__(self):
        self.batches = []

    def encode(self, texts, languages=None):
        self.batches.append(list(texts))
        return np.array([[len(text)] for text in texts], np.float32)


@given(st.lists(st.integers(0, 60)), st.integers(1, 7), st.integers(1, 100))
def test_batches_by_length_keep_the_limits_and_every_text(lengths, max_texts, max_characters):
    batches = list(batches_by_length(lengths, max_texts, max_characters))
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= max_texts
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= max_characters
    batched_lengths = [lengths[i] for batch in batches for i in batch]
    assert batched_lengths == sorted(batched_lengths)


def test_embed_column_keeps_order_and_encodes_equal_texts_once():
    encoder = Counting()
    packed = embed_column(["ccc", None, "a", "", "ccc", "bb"], encoder, 2, 100)
    assert [p and unpack_vectors([p], 1)[0, 0] for p in packed] == [3, None, 1, None, 3, 2]
    assert encoder.batches == [["a", "bb"], ["ccc"]]


def test_embed_column_marks_failing_texts_and_encodes_the_others():
    class Breaking(Counting):
        def encode(self, texts, languages=None):
            if "bb" in texts:
                raise ValueError("bb")
            return np.where(np.array(texts)[:, None] == "nan", np.nan, super().encode(texts))

    packed = embed_column(["ccc", "bb", "nan", "a"], Breaking(), 9, 100)
    assert packed[1:3] == [FAILED, NOT_FINITE]
    assert [unpack_vectors([p], 1)[0, 0] for p in (packed[0], packed[3])] == [3, 1]


def test_embed_udf_returns_the_vectors_as_float16_bytes(spark, fake_encoder):
    texts = ["one two three", None, "", "two", "one two three", "é 語 😀"]
    rows = spark.createDataFrame([(i, text) for i, text in enumerate(texts)], "i int, text string").repartition(3)
    embed = embed_udf(dataclasses.replace(fake_encoder, batch_texts=2), 1)
    packed = [row["vector"] for row in rows.select("i", embed("text").alias("vector")).orderBy("i").collect()]
    assert [p is None for p in packed] == [False, True, True, False, False, False]
    expected = load_encoder(fake_encoder).encode([text for text in texts if text])
    np.testing.assert_allclose(unpack_vectors([bytes(p) for p in packed if p], fake_encoder.dim), expected, atol=1e-3)


def test_embed_udf_runs_once_per_row_under_a_filter(spark, fake_encoder):
    plan = spark.range(10).select(embed_udf(fake_encoder, 1)(F.col("id").cast("string")).alias("vector")).where("vector IS NOT NULL")
    assert plan._jdf.queryExecution().executedPlan().toString().count("ArrowEvalPython") == 1


def test_embed_udf_limits_tensorflow_threads_in_the_worker(spark, fake_encoder):
    embed = embed_udf(fake_encoder, 1).func

    @F.pandas_udf("string")
    def limits(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for vectors in embed(batches):
            yield pd.Series([os.environ["TF_NUM_INTRAOP_THREADS"] + os.environ["TF_NUM_INTEROP_THREADS"]] * len(vectors))

    assert spark.range(1).select(limits(F.lit("x"))).first()[0] == "11"


def test_embed_udf_contains_no_model(spark, fake_encoder):
    from pyspark import cloudpickle

    assert len(cloudpickle.dumps(embed_udf(fake_encoder, 1).func)) < 5_000


def test_embed_udf_refuses_files_of_another_digest(spark, fake_encoder):
    other = EncoderSpec(fake_encoder.path, "0" * 64, fake_encoder.encoder_id, fake_encoder.dim)
    with pytest.raises(Exception, match="has digest"):
        spark.range(1).select(embed_udf(other, 1)(F.lit("x"))).collect()


def test_freeze_loaded_excludes_loaded_objects_from_garbage_collection(spark, fake_encoder):
    @F.pandas_udf("long")
    def num_frozen(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in batches:
            yield pd.Series([gc.get_freeze_count()] * len(batch))

    texts = spark.createDataFrame([("one",), ("two",)], "text string").repartition(2)
    texts.select(embed_udf(fake_encoder, 1)("text")).collect()
    assert max(row[0] for row in texts.select(num_frozen("text")).collect()) > 10_000  # TensorFlow alone creates more objects
