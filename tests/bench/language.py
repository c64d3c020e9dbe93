"""How often a video's language is decided correctly from titles and tags alone, and what deciding it and preparing the text costs.

Bars: the detector alone agrees with the reference on 93 % of the videos in the catalogue's 25 most frequent languages, pooled
and as the mean of the languages; declaration and detection together on 97 % of all; half of the rows whose declaration contradicts
the reference are corrected; deciding, and preparing, each take at most 4 % of the encoder's processor time per video, all
three measured on the same videos in one process. `--quick` takes 4,000 rows, and 600 for the costs; same bars.

The detector's and the decision's constants were chosen on the channels whose hash is even; the figures here are of the odd
ones. No description and no channel language is used, except in the columns that name them: there a channel's usual language
is the majority of its other videos' declarations. Rows without a reference are not scored. The reference says `zh` for
both kinds of Chinese, so `zh-Hant` counts as `zh`; the kind that was detected is compared with the declared script instead.

The reference is a detector's answer, kept where the declared or the spoken language agreed with it, so it favours the
declaration. It is known to say `zh` for Japanese titles without kana; such rows count against xlclass.
"""

import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
from _checkout import ROOT, bench_parser, require_catalogue
from _verdict import verdict

from xlclass.catalog import emojis, hashtags, load_preparation, repeats, words
from xlclass.catalog.detector import detect, detection_text
from xlclass.catalog.language import Decision, base_language, decide_languages
from xlclass.config import load_settings

BARS = {"alone": 0.93, "alone_mean": 0.93, "together": 0.97, "corrected": 0.5, "decide_cost": 0.04, "prepare_cost": 0.04}
AT_MOST = ("decide_cost", "prepare_cost")  # shares of the encoder's time
QUICK_ROWS, ENCODED_ROWS, QUICK_ENCODED_ROWS = 4_000, 2_000, 600
TRADITIONAL = {"zh-Hant": "zh-Hant", "zh-TW": "zh-Hant", "zh-HK": "zh-Hant", "zh-CN": "zh", "zh-Hans": "zh"}


def main() -> int:
    """Measures, writes build/bench/language.json and prints the tables and the verdict."""
    arguments = bench_parser(__doc__, f"{QUICK_ROWS:,} rows").parse_args()
    require_catalogue("language", arguments.catalogue)
    whole = read(arguments.catalogue)
    videos = whole[~whole["tuned_on"]]
    if arguments.quick:
        videos = videos.sample(min(QUICK_ROWS, len(videos)), random_state=1)
    videos = scored(videos, decided(videos))
    frequent = whole["reference"].value_counts().index[:25].tolist()
    num_encoded = min(QUICK_ENCODED_ROWS if arguments.quick else ENCODED_ROWS, len(videos))
    seconds = costs(videos.sample(num_encoded, random_state=2))
    figures = accuracy(videos, frequent) | {f"{name}_cost": seconds[name] / seconds["encode"] for name in ("decide", "prepare")}
    microseconds = {name: round(1e6 * value) for name, value in seconds.items()}
    report = tables(videos, frequent)
    for name, rows in report.items():
        print(f"\n{name}\n{pd.DataFrame(rows).to_string(index=False, na_rep='')}")
    print(f"\n{len(videos):,} rows; microseconds of processor time a video: {microseconds}")
    return verdict("language", figures, BARS, AT_MOST, microseconds=microseconds, rows=len(videos), **report)


def read(catalogue: Path) -> pd.DataFrame:
    """The rows that have a reference, in the project's codes; `tuned_on` marks the channels that the numbers were chosen on."""
    columns = ["title", "tags", "description", "channel_id", "declared_language", "reference_language"]
    videos = pd.read_parquet(catalogue, columns=columns)
    videos["declared"] = [base_language(tag)[0] for tag in videos["declared_language"]]
    videos["channel_language"] = usual_languages(videos)
    videos = videos[videos["reference_language"].notna()].reset_index(drop=True)
    videos["reference"] = [base_language(tag)[0] for tag in videos["reference_language"]]
    agrees = plain(videos["declared"]) == videos["reference"]
    videos["declaration"] = ["null" if tag == "und" else "agrees" if same else "contradicts" for tag, same in zip(videos["declared"], agrees, strict=True)]
    videos["tuned_on"] = [hashlib.sha256(f"lang:{channel}".encode()).digest()[0] % 2 == 0 for channel in videos["channel_id"]]
    return videos


def usual_languages(videos: pd.DataFrame) -> list[str | None]:
    """For each video the language that most of its channel's other videos declare; null below three of them or without a majority of 60 %."""
    counts: dict[str, Counter[str]] = {}
    for channel, language in zip(videos["channel_id"], videos["declared"], strict=True):
        counts.setdefault(channel, Counter())[language] += language != "und"
    return [_usual(counts[channel], declared) for channel, declared in zip(videos["channel_id"], videos["declared"], strict=True)]


def _usual(counts: Counter[str], declared: str) -> str | None:
    """The usual language of a channel's videos but for one that declares `declared`."""
    others = counts - Counter([declared])
    language = max(others, key=others.get, default=None)
    return language if language and others[language] >= max(3, 0.6 * others.total()) else None


def plain(languages: pd.Series) -> pd.Series:
    """The languages, both kinds of Chinese as one."""
    return languages.replace({"zh-Hant": "zh"})


def decided(videos: pd.DataFrame, *, descriptions: bool = False, channels: bool = False) -> list[Decision]:
    """The decisions from title, tags and declaration, and from descriptions and channel languages where these are switched on."""
    nothing = [None] * len(videos)
    texts = (videos["title"], videos["tags"], videos["description"] if descriptions else nothing)
    return decide_languages(*texts, videos["declared_language"], videos["channel_language"] if channels else nothing)


def scored(videos: pd.DataFrame, decisions: list[Decision]) -> pd.DataFrame:
    """The videos with the detected and the decided languages, and whether each is correct."""
    answers = detect([detection_text(title, tags) for title, tags in zip(videos["title"], videos["tags"], strict=True)])
    videos = videos.assign(
        detected=[language for language, _ in answers], confidence=[confidence for _, confidence in answers], source=[d.source for d in decisions]
    )
    videos["alone"] = plain(videos["detected"]) == videos["reference"]
    for name, answer in (("together", decisions), ("with_channel", decided(videos, channels=True)), ("with_description", decided(videos, descriptions=True))):
        videos[name] = plain(pd.Series([d.language for d in answer], index=videos.index)) == videos["reference"]
    return videos


def accuracy(videos: pd.DataFrame, frequent: list[str]) -> dict[str, float]:
    """The figures that have a bar, without the costs."""
    common = videos[videos["reference"].isin(frequent)]
    return {
        "alone": common["alone"].mean(),
        "alone_mean": common.groupby("reference")["alone"].mean().mean(),
        "together": videos["together"].mean(),
        "corrected": videos.loc[videos["declaration"] == "contradicts", "together"].mean(),
    }


def costs(videos: pd.DataFrame) -> dict[str, float]:
    """Processor time per video of deciding its language, preparing its text, and encoding that with MUSE, as the jobs do them."""
    from xlclass.encoders import resolve_encoders
    from xlclass.encoders.batches import embed_column
    from xlclass.encoders.saved_model import load_encoder
    from xlclass.encoders.udf import limit_threads

    limit_threads(1)
    settings = load_settings(ROOT / "conf" / "youtube.toml")
    preparation, spec = load_preparation(settings), resolve_encoders(settings).main
    encoder = load_encoder(spec)
    fields = [videos[name].tolist() for name in ("title", "tags", "description", "declared_language")]
    nothing = [None] * len(videos)
    embed_column(fields[0][:64], encoder, 64, 20_000)  # traces the graph
    languages = [decision.language for decision in decide_languages(*fields, nothing)]  # loads the word lists that these texts need
    list(map(preparation.prepare, *fields[:3], nothing, languages))
    preparation, seconds, started = load_preparation(settings), {}, time.process_time()
    _forget()
    for name in ("decide", "prepare", "encode"):
        if name == "decide":
            decide_languages(*fields, nothing)
        elif name == "prepare":
            texts = [preparation.prepare(*row).text for row in zip(*fields[:3], nothing, languages, strict=True)]
        else:
            embed_column(texts, encoder, spec.batch_texts, spec.batch_characters)
        ended = time.process_time()
        seconds[name], started = (ended - started) / len(videos), ended
    return seconds


def _forget() -> None:
    """Empties the caches of words: a second pass over the same videos would find all of them there."""
    for function in (hashtags._split_hashtag, words.is_common, words.segment_word, words._replace_capital_i, repeats._best_form, emojis._names):
        function.cache_clear()


def tables(videos: pd.DataFrame, frequent: list[str]) -> dict[str, list[dict[str, object]]]:
    """The report's tables: by language, by declaration, by confidence, Chinese by its declared script, and the sources of the decisions."""
    kinds = ["alone", "together", "with_channel", "with_description"]
    by_language = videos.groupby("reference")[kinds[:2]].mean().join(videos["reference"].value_counts().rename("rows"))
    for declaration, rows in videos.groupby("declaration"):
        by_language[declaration] = rows.groupby("reference")["together"].mean()
    by_declaration = videos.groupby("declaration")[kinds].mean().join(videos["declaration"].value_counts().rename("rows"))
    bins = pd.cut(videos["confidence"], [-1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 1])
    by_confidence = videos.groupby(bins.astype(str)).agg(rows=("alone", "size"), confidence=("confidence", "mean"), right=("alone", "mean"))
    script = videos["declared_language"].map(TRADITIONAL)
    chinese = videos[script.notna() & videos["detected"].isin(["zh", "zh-Hant"])].assign(same=lambda rows: rows["detected"] == script[rows.index])
    printed = by_language.sort_values("rows", ascending=False).loc[lambda table: table.index.isin(frequent) | (table["rows"] >= 50)]
    return {
        "languages": _rows(printed), "declarations": _rows(by_declaration), "confidences": _rows(by_confidence),
        "chinese": _rows(chinese.groupby("declared_language").agg(rows=("same", "size"), same_script=("same", "mean"))),
        "sources": _rows(videos["source"].value_counts(normalize=True).rename("share").to_frame()),
    }  # fmt: skip


def _rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """The table's rows as JSON objects; null for a missing value."""
    return json.loads(table.round(4).rename_axis("of").reset_index().to_json(orient="records"))


if __name__ == "__main__":
    sys.exit(main())
