"""The page: its contents, and that no text of the catalogue becomes markup. For a real browser see test_browser.py."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from samples import comparison_rows

from xlclass.report import charts
from xlclass.report.elements import About
from xlclass.report.page import page

TRAINING, KNOWN = ["en", "fr"], ["ar", "de", "es", "it", "ja", "ko", "nl", "pl", "pt", "ru", "th", "tr", "zh", "zh-Hant"]
LANGUAGES = [*TRAINING, *KNOWN, "cs", "da", "el", "fa", "fi", "he", "hi", "hu", "id", "ka", "kk", "km", "lt", "ro", "sv", "uk", "vi", "und"]
CATEGORIES = {"music": "Music", "sports": "Sports", "gaming": "Gaming", "news": "News & <b>Politics</b>"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><svg onload=alert(3)>",
    "{{ 7 * 7 }}",
    "\u202eright to left, אפס, without an end mark",
    "أفضل أهداف 😀 Ελληνικά",
]
VOID = {"meta", "input", "br", "link", "img", "hr"}


def _top1(rng, language):
    support = int(rng.integers(3, 900))
    top1 = round(rng.uniform(0.2, 0.95) * support) / support
    low, high = max(0.0, top1 - 0.1), min(1.0, top1 + 0.1)
    return {
        "language": language, "support": support, "top1": top1, "top1_low": low, "top1_high": high, "majority_baseline": 0.3, "macro_f1": 0.5,
        "gap_to_training": 0.8 - top1, "top1_at_50": min(1.0, top1 + 0.15), "top1_at_80": min(1.0, top1 + 0.05), "top1_at_100": top1,
    }  # fmt: skip


def _bins(rng, shift):
    return [{"num_videos": 100, "mean_confidence": c, "top1": float(np.clip(c - shift + rng.normal(0, 0.03), 0, 1))} for c in (0.2, 0.4, 0.6, 0.8, 0.95)]


def _confidence(rng, language):
    has_curve = bool(rng.random() > 0.3)
    return {
        "language": language, "num_videos": int(rng.integers(10, 5_000)), "mean_confidence": 0.7, "share_without_category": 0.12,
        "ece": 0.03 if has_curve else None, "ece_uncalibrated": 0.11 if has_curve else None, "brier": 0.05, "log_loss": 0.2,
        "reliability": _bins(rng, 0.02) if has_curve else [],
        "reliability_uncalibrated": _bins(rng, 0.15) if has_curve else [],
    }  # fmt: skip


def _run(job, outcome, rows, steps):
    counts = dict.fromkeys(("rows_in", "rows_ok"), rows) | dict.fromkeys(("rows_rejected", "rows_reused"), rows and 0)
    return {"started_at": "2026-11-25 10:00", "job": job, "outcome": outcome, "message": None, **counts, "steps": steps, "seconds": 75.0}


def _issue(place, language, title):
    kinds = ("mislabelled", "worth_labelling")
    return {
        "video_id": f"v{place}", "language": language, "issue": kinds[place % 2], "score": 1 - place / 10, "reason": "predicts <i>sports</i>", "title": title,
        "labels": ["music", "news"], "top_category": "sports", "top_confidence": 0.9,
    }  # fmt: skip


@pytest.fixture(scope="module")
def tables():
    """Tables of 34 languages with every column and with hostile titles."""
    return make_tables()


def make_tables():
    rng = np.random.default_rng(1)
    pairs = [(language, category) for language in LANGUAGES for category in CATEGORIES]
    steps = [{"name": "encode", "seconds": 61.2, "num_rows": 10}]
    return {
        "language_accuracy": [_top1(rng, language) for language in LANGUAGES[:-1]],
        "language_confidence": [_confidence(rng, language) for language in LANGUAGES],
        "category_accuracy": [{"language": a, "category": b, "f1": float(rng.random()) if rng.random() > 0.1 else None} for a, b in pairs],
        "confusion": [
            {"language": a, "label": b, "top_category": c, "num_videos": int(rng.integers(0, 90))}
            for a, b in pairs
            for c in [*CATEGORIES, "no_text"]
        ],
        "catalogue": [
            {"language": language, "text_source": source, "language_source": language_source, "num_videos": int(rng.integers(1, 900)), "num_labelled": 1}
            for language in LANGUAGES
            for source, language_source in [("title+tags", "declared"), ("title", "detected"), ("title+tags+description", "channel"), (None, "unknown")]
        ],
        "confidence_bins": [{"language": language, "bin": b, "num_videos": int(rng.integers(0, 10) * b) + 1} for language in LANGUAGES for b in range(21)],
        "top_categories": [{"language": a, "category": b, "num_videos": int(rng.integers(1, 90))} for a, b in pairs],
        "label_issues": [_issue(i, ["en", "ar", "he"][i % 3], title) for i, title in enumerate(HOSTILE)],
        "runs": [_run("pipeline", "done", 10, steps), _run("train", "failed", None, [])],
    }  # fmt: skip


ABOUT = About("/some/lake", "m-1234", "2026-11-25 11:00", TRAINING, [[*TRAINING, *KNOWN]], CATEGORIES, "2026-11-25 10:30")


@pytest.fixture(scope="module")
def html(tables):
    return page(ABOUT, tables)


class Elements(HTMLParser):
    """The parsed page: elements with their attributes, texts by parent element, and a check that elements nest."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1] if self.open else None, data))

    def of(self, tag, **attributes):
        return [attrs for name, attrs in self.elements if name == tag and all(attrs.get(key) == value for key, value in attributes.items())]

    def text_in(self, tag):
        return [text for parent, text in self.texts if parent == tag]


def section(html, name):
    return re.search(rf'<section id="{name}">.*?</section>', html, re.DOTALL).group()


def test_page_nests_and_has_unique_ids(html):
    parsed = Elements(html)
    assert parsed.open == []
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert sorted(ids) == sorted(set(ids))
    referred = {attrs["href"] for _, attrs in parsed.elements if "href" in attrs}
    assert referred <= {f"#{i}" for i in ids}


def test_page_has_every_heading_and_the_numbers_of_the_tables(html, tables):
    parsed = Elements(html)
    assert parsed.text_in("h2") == [
        "Top-1 accuracy",
        "Confidence",
        "Calibration",
        "Accuracy against coverage",
        "Categories by language",
        "Confusion",
        "Data quality",
        "Videos to label",
        "Runs",
    ]
    assert len(parsed.of("p", **{"class": "explanation"})) == len(parsed.of("section")) == 9
    assert len(parsed.of("p", **{"class": "missing"})) == 1  # in noscript
    row = tables["language_accuracy"][0]
    cells = parsed.text_in("td")
    assert f"{row['top1']:.3f}" in cells
    assert f"{row['top1_low']:.3f} – {row['top1_high']:.3f}" in cells
    assert f"{row['support']:,}" in cells


def test_page_groups_the_languages(html, tables):
    groups = dict(re.findall(r'<tbody data-group="(\w+)">(.*?)</tbody>', section(html, "accuracy"), re.DOTALL))
    assert list(groups) == ["training", "supported", "unsupported"]
    assert set(re.findall(r'data-language="([\w-]+)"', groups["training"])) == set(TRAINING)
    rows = [row for row in tables["language_accuracy"] if row["language"] in TRAINING]
    top1 = sum(row["top1"] * row["support"] for row in rows) / sum(row["support"] for row in rows)
    assert f"training languages (2): top-1 {top1:.3f}" in groups["training"]


def test_page_escapes_texts_of_the_catalogue(tables):
    few = {name: [dict(row) for row in rows if row.get("language") in (None, "en", "he")] for name, rows in tables.items()}
    before = Elements(page(ABOUT, few))
    failures = {hostile: failed for hostile in HOSTILE if (failed := _unescaped_places(few, hostile, before))}
    assert failures == {}


def _unescaped_places(tables, hostile, before):
    """The checks that fail if `hostile` is in every text of the tables; `before` is the page without it."""
    attacked = {name: [dict(row) for row in rows] for name, rows in tables.items()}
    attacked["catalogue"][0] |= {"text_source": hostile, "language": hostile}
    attacked["confusion"][0] |= {"top_category": hostile, "language": hostile}
    attacked["language_accuracy"][0] |= {"language": hostile}
    attacked["label_issues"][0] |= {"title": hostile, "reason": hostile, "language": hostile}
    attacked["runs"][0] |= {"message": hostile}
    attacked["alerts"] = [{"rule": hostile}]
    about = dataclasses.replace(ABOUT, lake=hostile, model_version=hostile, categories={**CATEGORIES, "music": hostile})
    after = Elements(page(about, attacked))
    checks = {
        "nesting": after.open == [],
        "elements": {tag for tag, _ in after.elements} == {tag for tag, _ in before.elements},
        "attributes": {name for _, attrs in after.elements for name in attrs} == {name for _, attrs in before.elements for name in attrs},
        "scripts and images": (len(after.of("script")), len(after.of("img"))) == (2, 0),
    }
    parents = ("b", "bdi", "td", "th", "title", "option", "li", "span")
    checks |= {parent: any(hostile in text for text in after.text_in(parent)) for parent in parents}
    return [name for name, holds in checks.items() if not holds]


def test_page_allows_no_request_and_only_its_own_script(html):
    policy = Elements(html).of("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'; ")
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL).group(1)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert not re.findall(r"https?:|url\(|@import", html)


def test_charts_have_text_alternatives(html):
    drawn = Elements(html).of("svg")
    assert len(drawn) > 100
    assert all((attrs.get("role") == "img" and attrs["aria-label"]) or attrs.get("aria-hidden") == "true" for attrs in drawn)
    assert "en: top-1" in " ".join(attrs.get("aria-label", "") for attrs in drawn)


def test_charts_take_their_colours_from_the_page(html):
    assert not re.findall(r"(?:fill|stroke): (?!none|var\(--)[^;\"]+", html)
    used, defined = set(re.findall(r"var\(--([\w-]+)\)", html)), set(re.findall(r"--([\w-]+):", html))
    assert used <= defined


def test_charts_draw_the_numbers():
    drawn = str(charts.interval_strip(0.5, 0.25, 0.75, 0.0, "x"))
    assert f'<use x="{charts.STRIP[0] / 2:g}" y="10"' in drawn
    assert "M 40.5 10  L 109.5 10" in drawn  # 6 + 138 x 0.25 and 0.75
    widths = [float(x) for x in re.findall(r"M ([\d.]+) 17", str(charts.stacked_strip([1, 2, 1], "x")))]
    assert widths == [0, 37.5, 112.5]
    assert charts.interval_strip(0.5, 0.25, 0.75, 0.0, "x") == drawn


EMPTY = {"language_confidence": [], "language_accuracy": [], "confusion": [], "catalogue": [], "label_issues": []}


@pytest.mark.parametrize("tables", [{}, {"runs": []}, EMPTY])
def test_page_of_an_empty_lake_says_what_is_missing(tables):
    html = page(ABOUT, tables)
    assert Elements(html).open == []
    assert "run jobs/backfill.py" in section(html, "data-quality")
    assert "not been evaluated yet" in section(html, "accuracy")
    assert "monitoring" not in re.findall(r'<section id="(\w+)"', html)


def test_page_without_labels_shows_confidences(tables):
    without = {name: rows for name, rows in tables.items() if name not in ("language_accuracy", "category_accuracy", "confusion", "label_issues")}
    unscored = {"ece": None, "brier": None, "log_loss": None, "reliability": [], "reliability_uncalibrated": []}
    without["language_confidence"] = [{**row, **unscored} for row in tables["language_confidence"]]
    html = page(ABOUT, without)
    assert "no labelled test video yet" in section(html, "accuracy")
    assert section(html, "confidence").count("<figure") == len(LANGUAGES)
    assert "no labelled test video yet" in section(html, "calibration")


def test_page_shows_drift_and_alerts_if_the_lake_has_them():
    alerts = [{"raised_at": "2026-11-25 09:00", "language": "de", "rule": "psi", "value": 0.31}]
    assert "0.310" in section(page(ABOUT, {"alerts": alerts, "drift": []}), "monitoring")
    assert "There is no drift and no alert." in section(page(ABOUT, {"alerts": []}), "monitoring")


def test_page_compares_encoders_if_the_lake_has_a_comparison():
    compared = section(page(ABOUT, {"encoder_comparison": comparison_rows(("en", "de", "cs", "fi"))}), "encoders")
    assert "Languages that muse was not trained on (1,234 test videos): pair is the best with 0.625" in compared
    groups = dict(re.findall(r'<tbody data-group="(\w+)">(.*?)</tbody>', compared, re.DOTALL))
    assert {key: re.findall(r'data-language="([\w-]+)"', rows) for key, rows in groups.items()} == {
        "training": ["en"], "supported": ["de"], "unsupported": ["cs", "fi"]
    }  # fmt: skip
    cs = re.search(r'<tr data-language="cs".*?</tr>', compared, re.DOTALL).group()
    assert re.findall(r"<td[^>]*>(.*?)</td>", cs) == ["1,234", "pair", "–", "50", "62"]
    hostile = [row | {"contender": "<b>x</b>.toml"} if row["contender"] == "pair" else row for row in comparison_rows()]
    assert "<b>x" not in page(ABOUT, {"encoder_comparison": hostile})
