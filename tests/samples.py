"""Rows, names and folders that several test modules share."""

import os
from pathlib import Path

PIP_CACHE = Path(os.environ.get("PIP_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "pip")).expanduser()

TITLES = {  # whole sentences: a few loose words do not tell their language
    ("en", "music"): "this is my favourite song on the guitar",
    ("en", "sports"): "the best goals of the football season",
    ("en", "gaming"): "we play the new game with our friends",
    ("fr", "music"): "ma chanson préférée à la guitare",
    ("fr", "sports"): "les meilleurs buts de la saison de football",
    ("fr", "gaming"): "nous jouons au nouveau jeu avec nos amis",
    ("de", "music"): "mein liebstes Lied auf der Gitarre",
    ("de", "sports"): "die besten Tore der Saison im Fußball",
    ("de", "gaming"): "wir spielen das neue Spiel mit unseren Freunden",
}
LABELS = ("music", "sports", "gaming")
ROWS = [
    {
        "video_id": f"{language}{i}",
        "title": f"{TITLES[language, label]} {i}",
        "tags": [],
        "description": None,
        "channel": f"{language}-channel{i}",
        "language": language,
        "labels": [label],
        "updated_at": None,
    }
    for language in ("en", "fr", "de")
    for i, label in enumerate(["music", "sports", "music", "gaming"] * 15)
]
for row in (ROWS[7], ROWS[100]):  # a column that is empty in every row is refused
    row |= {"tags": ["game"], "description": "a game", "updated_at": "2026-01-01T00:00:00Z"}

LANGUAGES = {
    *("ar", "de", "el", "en", "es", "fa", "fr", "he", "hi", "hu", "it", "ja"),
    *("ko", "nl", "pl", "pt", "ru", "sv", "th", "tr", "uk", "vi", "zh", "zh-Hant"),
}

SCORED = (
    "language string, labels array<string>, top_category string, top_confidence float, given array<string>, confidences map<string, float>, top_logit float"
)


def comparison_rows(languages=("en", "de", "cs")):
    """Rows of `encoder_comparison` without compared_at: two contenders, all groups and these languages."""
    rows = []
    for number, (contender, milliseconds) in enumerate((("muse", 1.5), ("pair", 9.25))):
        for language in ("all", "training", "known", "other", *languages):
            gain = 0.125 * number * (language in ("all", "other", "cs"))
            accuracy = {"top1": 0.5 + gain, "top1_at_50": 0.75, "majority_baseline": 0.25, "gap_to_training": -gain, "gain": gain, "lag": 0.125 * (not number)}
            accuracy |= {"gain_low": gain / 2, "gain_high": gain * 1.5, "lag_low": 0.0625 * (not number)}
            facts = {"milliseconds_per_text": milliseconds, "cost_per_million": 0.02, "memory_mib": None, "model_mib": 85.5, "vector_bytes": 1024.0}
            facts |= {"language_variance_share": 0.0625, "num_training_videos": 3_000}
            keys = {"comparison_id": "c1", "contender": contender, "language": language, "reference": "muse", "support": 1_234, "run_id": "r1"}
            keys["level"] = "language" if language in languages else "group"
            rows.append(keys | accuracy | (facts if language == "all" else dict.fromkeys(facts)))
    return rows


def completed(rows, table):
    """A DataFrame with all columns of the table's contract, and `is_new` if it has it: missing ones are null, or hold something if they may not be null."""
    from pyspark.sql import functions as F

    something = {"string": "", "bigint": 0, "array<string>": F.array(), "timestamp": F.current_timestamp()}
    missing = [column for column in table.columns if column.name not in rows.columns]
    return rows.withColumns({column.name: F.lit(something[column.type] if column.required else None).cast(column.type) for column in missing})
