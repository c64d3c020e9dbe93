"""The texts that all contenders encode: real videos, prepared as in the backfill."""

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from xlclass.catalog import load_preparation
from xlclass.catalog.language import decide_languages
from xlclass.config import Settings

WARM_UP, FEW = 500, 2_000
_BLOCK = 5_000


def write_texts(catalogue: pd.DataFrame, settings: Settings, num: int, folder: Path) -> dict[str, Path]:
    """Parquet files by name, with rows of `videos` in a fixed random order.

    `distinct`: the first `num` distinct texts. `catalogue`: the first `num` texts, repeated ones included. `few`: the first FEW of
    `distinct`. `warm_up`: WARM_UP other distinct texts.

    Raises:
        ValueError: the catalogue has too few distinct texts.
    """
    prepared = pd.DataFrame()
    rows = catalogue.dropna(subset="video_id").drop_duplicates("video_id").sample(frac=1, random_state=1)
    for start in range(0, len(rows), _BLOCK):
        prepared = pd.concat([prepared, _prepared(rows[start : start + _BLOCK], settings)])
        if prepared.text.nunique() >= num + WARM_UP:
            break
    distinct = prepared.drop_duplicates("text")
    if len(distinct) < num + WARM_UP:
        raise ValueError(f"the catalogue has {len(distinct):,} distinct texts, {num + WARM_UP:,} are needed: give a smaller --texts")
    parts = {"distinct": distinct[:num], "catalogue": prepared[:num], "few": distinct[: min(FEW, num)], "warm_up": distinct[num : num + WARM_UP]}
    files = {name: folder / f"{name}.parquet" for name in parts}
    for name, part in parts.items():
        table = pa.Table.from_pandas(part, preserve_index=False)
        visual = table.schema.get_field_index("visual_vector")
        pq.write_table(table.set_column(visual, "visual_vector", pa.nulls(len(part), pa.binary())), files[name])  # a column of nulls has no type yet
    return files


def _prepared(rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The columns of `videos` that the encoding step reads, for the rows that have a text."""
    preparation = load_preparation(settings)
    decisions = decide_languages(rows.title, rows.tags, rows.description, rows.declared_language, [None] * len(rows))
    columns = zip(rows.title, rows.tags, rows.description, decisions, strict=True)
    prepared = [preparation.prepare(title, tags, description, None, decision.language) for title, tags, description, decision in columns]
    videos = pd.DataFrame(prepared).rename(columns={"source": "text_source", "quality": "text_quality"})
    videos = videos.assign(video_id=rows.video_id.to_numpy(), language=[decision.language for decision in decisions])
    videos = videos.assign(
        text_hash=[None if text is None else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32] for text in videos.text],
        preparation_version=preparation.version,
    )
    return videos.assign(visual_vector=pd.Series([None] * len(videos), dtype=object))[videos.text.notna()]
