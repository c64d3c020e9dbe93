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
from xlclass.errors import ModelError
from xlclass.lake.reading import dataset
from xlclass.lake.registry import BY_HAND, CANDIDATE, History, Registry, is_whole
from xlclass.model.bundle import Bundle, ModelVersion
from xlclass.quality.gate import Answers, Verdict, judge
from xlclass.quality.splits import TEST, TRAIN, Split
from xlclass.schemas import EMBEDDINGS, PREDICTIONS, VIDEOS, Table, unpack_vectors

if TYPE_CHECKING:
    from xlclass.lake.runs import Run

log = logging.getLogger(__name__)
_MADE_BY = ("encoder_id", "preparation_version")  # must be the same for vectors and a version
_VIDEO = ["video_id", "language", "text_hash", "channel_id", "labels"]


def promote_if_better(run: Run, version: ModelVersion) -> ModelVersion:
    """The champion from now on: `version` if it is a candidate that the gate accepts, else the present champion.

    A retired version stays retired: the next run does not overrule a rollback.

    Raises:
        ModelError: neither can be used.
    """
    registry = Registry(run.lake.root)
    history = registry.history()
    assert history.champion  # the first version of a lake becomes the champion at once
    champion, event = history.champion.model_version, history.require(version.name).event
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
    return _usable(registry.version(history, champion), version, sentence)


def _usable(champion: ModelVersion, challenger: ModelVersion, sentence: str) -> ModelVersion:
    """The champion, if it can be used on the lake's vectors, which are of the challenger's encoder and preparation.

    Raises:
        ModelError: it is damaged, or of another encoder or preparation.
    """
    if not (is_whole(champion) and all(champion.manifest()[key] == challenger.manifest()[key] for key in _MADE_BY)):
        raise ModelError(
            f"model version {challenger.name} does not become the champion ({sentence}), and the champion {champion.name} cannot be used: it is damaged, "
            "or of another encoder or preparation than the lake's vectors; "
            f"set the settings back, or take the new one by xlclass models promote {challenger.name} --force REASON"
        )
    return champion


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
    vectors = _rows(root, EMBEDDINGS, ["video_id", "encode_key", "language", "vector"], videos.video_id)
    (before, has_before), (after, has_after) = (_answers(root, version, videos, vectors) for version in both)
    shared = has_before & has_after
    return judge(videos.language[shared].tolist(), videos.channel_id[shared].tolist(), before.where(shared), after.where(shared), settings)


def scored_videos(root: str, manifests: Sequence[Mapping[str, Any]], most: int) -> pd.DataFrame:
    """Labelled videos that are on the test side of all `manifests` and whose text none was trained on: video_id, language, channel_id, labels.

    As `pipeline.scored_videos` chooses them for one version; a video counts where any of the versions knows a label of it. Of a
    language at most `most`, in the order of the hash of their ids. `channel_id` is the video's own id where it has no channel.
    """
    kept: list[pd.DataFrame] = []
    trained: set[str] = set()
    for batch in dataset(root, VIDEOS).to_batches(columns=_VIDEO):
        videos = batch.to_pandas()
        videos = videos[videos.labels.map(len) > 0]
        if len(videos):
            videos["channel_id"] = videos.channel_id.where(videos.channel_id.notna(), videos.video_id)
            is_test = np.column_stack([_sides(videos, manifest, trained) for manifest in manifests])
            kept.append(videos[is_test.all(axis=1)])
    known = {name for manifest in manifests for name in manifest["categories"]}
    videos = pd.concat(kept) if kept else pd.DataFrame(columns=_VIDEO)
    videos = videos[~videos.text_hash.isin(trained) & videos.labels.map(lambda labels: not known.isdisjoint(labels)).astype(bool)]
    order = pd.util.hash_array(videos.video_id.to_numpy(object)).argsort(kind="stable")
    return videos.iloc[order].groupby("language").head(most).drop(columns="text_hash").sort_values("video_id", ignore_index=True)


def _sides(videos: pd.DataFrame, manifest: Mapping[str, Any], trained: set[str]) -> np.ndarray:
    """Which of the videos are on the test side of a version; the text hashes of those it was trained on are added to `trained`."""
    split, known = Split(**manifest["split"]), set(manifest["categories"])
    side = videos.channel_id.map({channel: split.of(channel) for channel in videos.channel_id.unique()})
    of_training = (side == TRAIN) & videos.language.isin(manifest["languages"]) & videos.text_hash.notna()
    taught = videos[of_training]
    trained.update(text_hash for text_hash, labels in zip(taught.text_hash, taught.labels, strict=True) if not known.isdisjoint(labels))
    return (side == TEST).to_numpy()


def _answers(root: str, version: ModelVersion, videos: pd.DataFrame, vectors: pd.DataFrame) -> tuple[Answers, np.ndarray]:
    """A version's answers on the videos, and which videos it answers, `(n,) bool`."""
    manifest = version.manifest()
    fits = [all(key[part] == manifest[part] for part in _MADE_BY) for key in vectors.encode_key]
    if any(fits) or not len(videos):
        answers = _decided(version.load(), vectors[fits])
    else:
        columns = ["video_id", "top_category", "top_confidence", "categories", "model_version"]
        predictions = _rows(root, PREDICTIONS, columns, videos.video_id)
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
        decisions = bundle.decide(unpack_vectors(with_text.vector.tolist(), bundle.manifest["dim"]), with_text.language.tolist())
        answers.loc[with_text.index, "top_category"] = np.array(bundle.categories, object)[decisions.top]
        answers.loc[with_text.index, "top_confidence"] = decisions.confidences[np.arange(len(with_text)), decisions.top].astype(np.float64)
        answers.loc[with_text.index, "is_given"] = decisions.passed.any(axis=1)
    return answers


def _rows(root: str, table: Table, columns: list[str], video_ids: pd.Series) -> pd.DataFrame:
    """Rows of these videos."""
    is_one = pc.field("video_id").isin(video_ids.tolist()) if len(video_ids) else pc.scalar(False)
    return dataset(root, table).to_table(columns=columns, filter=is_one).to_pandas()
