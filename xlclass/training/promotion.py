"""A model version's way to the champion's place: compared with the champion on the lake's test videos, let through or refused.

Without Spark, so that an operator promotes without a JVM. What is read are the labelled videos, and the vectors of those that
are compared; `gate.most_videos` bounds how many that are. A version answers from the vectors in `embeddings`; one that they do
not fit, being of another encoder or preparation, and one of an older xlclass, from its own rows in `predictions`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from xlclass.config import GateSettings
from xlclass.errors import ModelError
from xlclass.lake.model_events import BY_HAND, CANDIDATE, History
from xlclass.lake.reading import dataset, embeddings_of
from xlclass.lake.registry import Registry, is_whole
from xlclass.model.bundle import Bundle, ModelVersion
from xlclass.quality.gate import Answers, Verdict, judge
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set
from xlclass.schemas import PREDICTIONS, VIDEOS, unpack_vectors

if TYPE_CHECKING:
    from xlclass.lake.runs import Run

log = logging.getLogger(__name__)
_MADE_BY = ("encoder_id", "preparation_version")  # what vectors and a version must have in common


def promote_if_better(run: Run, version: ModelVersion) -> ModelVersion:
    """The version that serves from now on: `version` where it is a candidate that the gate lets through, else the champion.

    One that served before and was retired stays so: whoever rolled it back is not overruled by the next run.

    Raises:
        ModelError: neither can serve.
    """
    registry = Registry(run.lake.root)
    history = registry.history()
    assert history.champion  # the first version of a lake is it at once
    champion, event = history.champion.model_version, history.newest_event(version.name).event
    if version.name == champion:
        return version
    if event == CANDIDATE:
        accepted, sentence = promote(registry, history, version.name, run.settings.gate, run.run_id)
        if accepted:
            log.info("model version %s is the champion now, %s retired: %s", version.name, champion, sentence)
            return version
    else:
        sentence = f"it is {event}; to have it back, xlclass models promote {version.name}"
    log.warning("model version %s does not become the champion, %s serves on: %s", version.name, champion, sentence)
    return _serving_on(registry.version(history, champion), version, sentence)


def _serving_on(champion: ModelVersion, challenger: ModelVersion, sentence: str) -> ModelVersion:
    """The champion, if it can go on.

    Raises:
        ModelError: it is damaged or of an older xlclass, or the lake's vectors are those of the challenger's encoder and
            preparation, which are not its own.
    """
    fits = is_whole(champion) and all(champion.manifest()[what] == challenger.manifest()[what] for what in _MADE_BY)
    if not fits:
        raise ModelError(
            f"model version {challenger.name} does not become the champion ({sentence}), and the champion {champion.name} cannot go on: it is damaged, of an "
            "older xlclass, or of another encoder or preparation than the lake's vectors; "
            f"set the settings back, or take the new one by xlclass models promote {challenger.name} --force REASON"
        )
    return champion


def promote(registry: Registry, history: History, name: str, settings: GateSettings, run_id: str = BY_HAND, force: str | None = None) -> tuple[bool, str]:
    """Whether the version of that name was made the champion, and why or why not in a sentence; `force` is a reason to pass the gate by.

    Raises:
        ModelError: there is no such version, it is not whole or the champion already, the two cannot be compared, or another
            change came first.
    """
    challenger = registry.version(history, name)
    champion = registry.version(history, history.champion.model_version) if history.champion else None
    if force or champion is None or champion.name == name:  # the last is refused by `make_champion`
        accepted, sentence = True, f"forced: {force}" if force else "there was no champion"
    elif not is_whole(champion):
        accepted, sentence = True, f"accepted uncompared: the folder of the champion {champion.name} is missing or damaged"
    else:
        verdict = compare(registry.root, champion, challenger, settings)
        accepted, sentence = verdict.is_accepted, verdict.sentence
    if accepted:
        registry.make_champion(history, name, run_id, sentence)
    return accepted, sentence


def compare(root: str, champion: ModelVersion, challenger: ModelVersion, settings: GateSettings) -> Verdict:
    """The gate's verdict on the test videos of the lake at `root` that both have an answer for.

    Raises:
        ModelError: a folder is damaged, or a version has neither vectors nor predictions to answer from.
        LakeError: a table is missing.
    """
    both = (champion, challenger)
    videos = scored_videos(root, [version.manifest() for version in both], settings.most_videos)
    (before, is_known), (after, is_told) = (_answers(root, version, videos) for version in both)
    shared = is_known & is_told
    return judge(videos.language[shared].tolist(), videos.channel_id[shared].tolist(), before.where(shared), after.where(shared), settings)


def scored_videos(root: str, manifests: Sequence[Mapping[str, Any]], most: int) -> pd.DataFrame:
    """Labelled videos that are on the test side of all `manifests` and whose text none was trained on (`quality/test_set.py`): VIDEO_COLUMNS.

    Of a language at most `most`, in the order of the hash of their ids.
    """
    batches = (batch.to_pandas() for batch in dataset(root, VIDEOS).to_batches(columns=list(VIDEO_COLUMNS)))
    videos = shared_test_set(batches, manifests)
    order = pd.util.hash_array(videos.video_id.to_numpy(object)).argsort(kind="stable")
    return videos.iloc[order].groupby("language").head(most).sort_values("video_id", ignore_index=True)


def _answers(root: str, version: ModelVersion, videos: pd.DataFrame) -> tuple[Answers, np.ndarray]:
    """What a version says of the videos, and which of them it has an answer for, `(n,) bool`."""
    vectors = _vectors(root, version.manifest(), videos)
    if len(vectors) or not len(videos):
        told = _decided(version.load(), vectors)
    else:
        columns = ["video_id", "top_category", "top_confidence", "categories", "model_version"]
        predictions = _rows(dataset(root, PREDICTIONS), columns, videos.video_id)
        told = predictions[predictions.model_version == version.name]
        if told.empty:
            raise ModelError(
                f"model version {version.name} cannot be compared: the lake's vectors are of another encoder or preparation than it was trained on, "
                "and the lake has no predictions of it; promote another version, or this one with --force"
            )
        told = told.assign(is_given=told.categories.map(lambda given: given is not None and len(given) > 0))
    told = told.set_index("video_id").reindex(videos.video_id)
    right = [top in labels for top, labels in zip(told.top_category, videos.labels, strict=True)]
    given = told.is_given.eq(True).to_numpy()
    return Answers(np.array(right, bool), told.top_confidence.to_numpy(np.float64), given), told.is_given.notna().to_numpy()


def _decided(bundle: Bundle, vectors: pd.DataFrame) -> pd.DataFrame:
    """video_id, top_category, top_confidence and is_given of rows of `embeddings`; nothing is given without a text."""
    with_text = vectors[vectors.vector.notna()]
    told = pd.DataFrame({"video_id": vectors.video_id, "top_category": None, "top_confidence": np.nan, "is_given": False})
    if len(with_text):
        decisions = bundle.decide(unpack_vectors(with_text.vector.tolist(), bundle.manifest["dim"]), with_text.language.tolist())
        told.loc[with_text.index, "top_category"] = np.array(bundle.categories, object)[decisions.top]
        told.loc[with_text.index, "top_confidence"] = decisions.confidences[np.arange(len(with_text)), decisions.top].astype(np.float64)
        told.loc[with_text.index, "is_given"] = decisions.passed.any(axis=1)
    return told


def _vectors(root: str, manifest: Mapping[str, Any], videos: pd.DataFrame) -> pd.DataFrame:
    """Rows of the version's encoder: video_id, encode_key, language and vector of the videos whose row is of its preparation and of their present text."""
    rows = _rows(embeddings_of(root, manifest["encoder_id"]), ["video_id", "encode_key", "language", "vector"], videos.video_id)
    texts = dict(zip(videos.video_id, videos.text_hash, strict=True))
    keys = zip(rows.video_id, rows.encode_key, strict=True)
    return rows[[key["preparation_version"] == manifest["preparation_version"] and key["text_hash"] == texts[video] for video, key in keys]]


def _rows(table: Any, columns: list[str], video_ids: pd.Series) -> pd.DataFrame:
    """Rows of these videos of a `pyarrow.dataset.Dataset`."""
    wanted = pc.field("video_id").isin(video_ids.tolist()) if len(video_ids) else pc.scalar(False)
    return table.to_table(columns=columns, filter=wanted).to_pandas()
