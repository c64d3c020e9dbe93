"""Promotion: a candidate is compared with the champion on the lake's test videos, and becomes the champion if the gate accepts it.

Without Spark, so an operator promotes without a JVM. It reads the labelled videos, and the vectors of those that are compared;
`gate.max_videos` bounds their number. A version answers from the vectors in `embeddings`; a version of another encoder or preparation
answers from its own rows in `predictions`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from xlclass.config import GateSettings
from xlclass.encoders.pair import Route
from xlclass.errors import ModelError
from xlclass.lake.model_events import BY_HAND, CANDIDATE, History
from xlclass.lake.reading import dataset, embeddings_on
from xlclass.lake.registry import Registry, is_whole
from xlclass.model.bundle import Bundle, ModelVersion
from xlclass.quality.gate import Answers, Verdict, judge
from xlclass.quality.test_set import VIDEO_COLUMNS, shared_test_set
from xlclass.schemas import PREDICTIONS, VIDEOS

if TYPE_CHECKING:
    from xlclass.lake.runs import Run

log = logging.getLogger(__name__)


def promote_if_better(run: Run, version: ModelVersion) -> ModelVersion:
    """The champion from now on: `version` if it is a candidate that the gate accepts, else the present champion.

    A retired version stays retired: the next run does not overrule a rollback.

    Raises:
        ModelError: neither can be used.
    """
    registry = Registry(run.lake.root)
    history = registry.history()
    assert history.champion  # the first version of a lake becomes the champion at once
    champion, event = history.champion.model_version, history.newest_event(version.name).event
    if version.name == champion:
        return version
    if event == CANDIDATE:
        accepted, sentence = promote(registry, history, version.name, run.settings.gate, run.run_id)
        if accepted:
            log.info("model version %s is now the champion, %s is retired: %s", version.name, champion, sentence)
            return version
    else:
        sentence = f"it is {event}; xlclass models promote {version.name} makes it the champion again"
    log.warning("model version %s does not become the champion, %s stays it: %s", version.name, champion, sentence)
    return _usable(run.lake.root, registry.version(history, champion), version, sentence)


def _usable(root: str, champion: ModelVersion, challenger: ModelVersion, sentence: str) -> ModelVersion:
    """The champion, if it can be used on the lake's vectors, which are of the challenger's preparation.

    Raises:
        ModelError: it is damaged, or of another preparation, or the lake has no vectors of its encoder.
    """
    if not (is_whole(champion) and _fits(root, champion.manifest(), challenger.manifest())):
        raise ModelError(
            f"model version {challenger.name} does not become the champion ({sentence}), and the champion {champion.name} cannot be used: it is damaged, "
            "or of another encoder or preparation than the lake's vectors; "
            f"set the settings back, or take the new one by xlclass models promote {challenger.name} --force REASON"
        )
    return champion


def _fits(root: str, champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> bool:
    """Whether the lake at `root` has vectors of the champion's encoders and of its preparation, which the challenger's is."""
    is_same = champion["preparation_version"] == challenger["preparation_version"]
    return is_same and embeddings_on(root, Route.of(champion)).head(1, columns=["video_id"]).num_rows > 0


def promote(registry: Registry, history: History, name: str, settings: GateSettings, run_id: str = BY_HAND, force: str | None = None) -> tuple[bool, str]:
    """Whether the version of that name became the champion, and the reason in a sentence; `force` is a reason to skip the gate.

    Raises:
        ModelError: there is no such version, it is damaged or the champion already, the two cannot be compared, or another change came first.
    """
    challenger = registry.version(history, name)
    champion = registry.version(history, history.champion.model_version) if history.champion else None
    if force or champion is None or champion.name == name:  # `make_champion` refuses the last
        accepted, sentence = True, f"forced: {force}" if force else "there was no champion"
    elif not is_whole(champion):
        accepted, sentence = True, f"accepted without a comparison: the folder of the champion {champion.name} is missing or damaged"
    else:
        verdict = compare(registry.root, champion, challenger, settings)
        accepted, sentence = verdict.is_accepted, verdict.sentence
    if accepted:
        registry.make_champion(history, name, run_id, sentence)
    return accepted, sentence


def compare(root: str, champion: ModelVersion, challenger: ModelVersion, settings: GateSettings) -> Verdict:
    """The gate's verdict on the test videos of the lake at `root` that both versions answer.

    Raises:
        ModelError: a folder is damaged, or the lake has neither vectors for a version nor predictions of it.
        LakeError: a table is missing.
    """
    both = (champion, challenger)
    videos = scored_videos(root, [version.manifest() for version in both], settings.max_videos)
    (before, has_before), (after, has_after) = (_answers(root, version, videos) for version in both)
    shared = has_before & has_after
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
    """A version's answers on the videos, and which videos it answers, `(n,) bool`."""
    vectors = _vectors(root, version.manifest(), videos)
    if len(vectors) or not len(videos):
        answers = _decided(version.load(), vectors)
    else:
        columns = ["video_id", "top_category", "top_confidence", "categories", "model_version"]
        predictions = _rows(dataset(root, PREDICTIONS), columns, videos.video_id)
        answers = predictions[predictions.model_version == version.name]
        if answers.empty:
            raise ModelError(
                f"model version {version.name} cannot be compared: the lake's vectors are of another encoder or preparation than it was trained on, "
                "and the lake has no predictions of it; promote another version, or this one with --force"
            )
        answers = answers.assign(is_given=answers.categories.map(lambda categories: categories is not None and len(categories) > 0))
    answers = answers.set_index("video_id").reindex(videos.video_id)
    right = [top in labels for top, labels in zip(answers.top_category, videos.labels, strict=True)]
    is_given = answers.is_given.eq(True).to_numpy()
    return Answers(np.array(right, bool), answers.top_confidence.to_numpy(np.float64), is_given), answers.is_given.notna().to_numpy()


def _decided(bundle: Bundle, vectors: pd.DataFrame) -> pd.DataFrame:
    """video_id, top_category, top_confidence and is_given of rows of `embeddings`; a video without a text is given no category."""
    with_text = vectors[vectors.vector.notna()]
    answers = pd.DataFrame({"video_id": vectors.video_id, "top_category": None, "top_confidence": np.nan, "is_given": False})
    if len(with_text):
        languages = with_text.language.tolist()
        decisions = bundle.decide(bundle.space.unpacked(with_text.vector.tolist(), with_text.encoder_id.tolist(), languages), languages)
        answers.loc[with_text.index, "top_category"] = np.array(bundle.categories, object)[decisions.top]
        answers.loc[with_text.index, "top_confidence"] = decisions.confidences[np.arange(len(with_text)), decisions.top].astype(np.float64)
        answers.loc[with_text.index, "is_given"] = decisions.passed.any(axis=1)
    return answers


def _vectors(root: str, manifest: Mapping[str, Any], videos: pd.DataFrame) -> pd.DataFrame:
    """video_id, encoder_id, encode_key, language and vector of the videos, on the version's route, of its preparation and of the present text."""
    rows = _rows(embeddings_on(root, Route.of(manifest)), ["video_id", "encoder_id", "encode_key", "language", "vector"], videos.video_id)
    texts = dict(zip(videos.video_id, videos.text_hash, strict=True))
    keys = zip(rows.video_id, rows.encode_key, strict=True)
    return rows[[key["preparation_version"] == manifest["preparation_version"] and key["text_hash"] == texts[video] for video, key in keys]]


def _rows(table: Any, columns: list[str], video_ids: pd.Series) -> pd.DataFrame:
    """Rows of these videos, from a `pyarrow.dataset.Dataset`."""
    is_one = pc.field("video_id").isin(video_ids.tolist()) if len(video_ids) else pc.scalar(False)
    return table.to_table(columns=columns, filter=is_one).to_pandas()
