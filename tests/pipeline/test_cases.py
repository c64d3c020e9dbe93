"""The inputs of ../shared/cases, each of which once broke the jobs, where that folder is there; `lake/test_sources.py` has such inputs of our own."""

import re
import shutil

import pytest
from conftest import ROOT
from delta.tables import DeltaTable
from pyspark.sql import functions as F
from refusals import message_of

from xlclass.config import load_settings
from xlclass.encoders import resolve_encoders
from xlclass.lake.sources import read_catalogue
from xlclass.pipeline.backfill import backfill
from xlclass.pipeline.changes import Input, compare
from xlclass.pipeline.planner import BackfillOptions
from xlclass.pipeline.readability import require_readable
from xlclass.schemas import VIDEOS

CASES = ROOT.parent / "shared" / "cases"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there: it is not in the repository")]
RIGHT = {  # folder: the number of videos, and the rules that rows break
    "01-csv-folder-other-column-order": (40, {}), "02-json-array": (20, {}), "02b-json-indented": (20, {}), "03-json-nan": (40, {}),
    "05-parquet-file-with-empty-column": (20, {}), "07-json-epoch-late-update": (12, {"duplicate_video_id": 12}),
    "07b-parquet-epoch-late-update": (12, {"duplicate_video_id": 12}), "08-csv-two-line-endings": (10, {}), "09-folder-of-csv": (10, {}), "09b-tsv": (5, {}),
    "10-parquet-nanoseconds": (10, {}), "11-partition-leading-zeros": (11, {}), "12-kaggle-tags": (12, {}), "19-column-with-backtick": (6, {}),
    "31-json-one-label-as-text": (31, {}), "32-json-one-tag-as-text": (31, {}), "33-json-tags-as-object": (31, {"wrong_type": 1}),
    "34-json-key-twice": (31, {}), "35-json-key-in-other-case": (31, {}), "36-json-own-names": (31, {}), "37-json-deep": (31, {}),
}  # fmt: skip
REFUSED = {  # folder: what the sentence says
    "04-csv-latin1": r"3 of 10 rows have bytes that are no utf-8 \(invalid_text\): set source.encoding",
    "06-tags-list-of-objects": r"source.columns.(tags|labels): the column (tags|labels) has an object, or a list of objects",
    "17-delimiter-empty": r"settings.toml: source.delimiter is empty",
    "27-parquet-folder-new-column": r"2023.parquet has no column labels",
}
MENDED = {  # folder: what to set, and the number of videos
    "04-csv-latin1": ("[source.columns]", 'encoding = "latin-1"\n[source.columns]', 10),
    "06-tags-list-of-objects": ('tags = "tags"\n', 'tags = "tags.name"\n', 10),
    "27-parquet-folder-new-column": ("[source.columns]", 'missing_columns = "null"\n[source.columns]', 20),
}


@pytest.fixture(scope="module")
def judged(new_run, tmp_path_factory):
    """The accepted rows of a case by id, and the rules that rows break; refused as the jobs refuse it."""
    run = new_run(tmp_path_factory.mktemp("cases"), [])

    def read(name, old="", new=""):
        folder = tmp_path_factory.mktemp(name)
        settings = load_settings(_copied(name, folder, old, new))
        catalogue = read_catalogue(run.lake.spark, settings)
        source = Input(catalogue, run.preparation, run.taxonomy, None, 0, run.started_at)
        comparison = compare(source, run.lake)
        try:
            require_readable(source, comparison, is_allowed=False)
            rows = source.ruled(source.rows()).where("rule IS NULL").collect()
        finally:
            comparison.rows.unpersist()
        return {row["video_id"]: row for row in rows}, {rule: number for rule, number in comparison.rules.items() if number}

    return read


def _copied(name, folder, old="", new="", encoder=""):
    """The settings file of a copy of the case, changed."""
    for path in (CASES / name).rglob("*"):
        target = folder / path.relative_to(CASES / name)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    text = (CASES / name / "settings.toml").read_text().replace("CONF", str(ROOT / "conf"))
    if "labels.name" not in new and "tags.name" in new:
        text = text.replace('labels = "labels"', 'labels = "labels.label"')
    (folder / "settings.toml").write_text(text.replace(old, new) + encoder)
    return folder / "settings.toml"


def test_every_folder_is_tried():
    tried = {*RIGHT, *REFUSED, *CHANGED, "21-arabic-tatweel"}  # tests/catalog/test_letters.py has the Arabic titles
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == tried


@pytest.mark.parametrize("name", RIGHT)
def test_case_is_read_right(judged, name):
    rows, rules = judged(name)
    assert (len(rows), rules) == RIGHT[name]
    for video_id, row in rows.items():
        _require_right(name, video_id, row)


def _require_right(name, video_id, row):
    """What a person reads in the file."""
    number = re.sub(r"\D", "", video_id)
    if name[:2] == "03":
        assert row["channel_id"] != "NaN"
        assert "NaN" not in [*(row["tags"] or ()), *(row["labels"] or ())]
    elif name[:2] == "07":
        assert row["title"].startswith("CORRECTED")
    elif name[:2] == "11":
        assert row["channel_id"] in {"001", "002", "003", "1", "2", "3"}
    elif name[:2] == "12":
        assert row["tags"] in (None, ["last week", "john of the west", "late show"])
    elif name[0] == "3":
        assert video_id == "odd" or (row["title"], row["tags"]) == (f"football match number {number}, all the goals", ["football", "goals"])
        assert row["labels"] == (["Music"] if video_id == "odd" else ["Sports"])
    else:
        assert (row["title"].endswith(f" {number}"), len(row["labels"]), row["updated_at"].year) == (True, 1, 2024)


@pytest.mark.parametrize("name", REFUSED)
def test_case_is_refused(judged, name):
    assert re.search(REFUSED[name], message_of(judged, name))


@pytest.mark.parametrize("name", MENDED)
def test_case_is_read_right_with_the_setting_that_the_sentence_names(judged, name):
    *change, number = MENDED[name]
    rows, rules = judged(name, *change)
    assert (len(rows), rules) == (number, {})
    assert not any("\ufffd" in row["title"] or "{" in str(row["tags"]) for row in rows.values())
    assert name[:2] != "06" or {tuple(row["tags"]) for row in rows.values()} == {("cats", "dogs")}


CHANGED = ("13-cdf-switched-off-and-on", "13b-cdf-vacuumed", "24-delta-features")


@pytest.mark.parametrize("name", CHANGED)
def test_case_of_a_delta_table_is_followed_although_its_change_feed_cannot_be_read(spark, new_run, tmp_path, caplog, name, fake_encoder):
    """The last run read an early version of the table, and since then its feed was switched off, vacuumed, or lost a column."""
    first = new_run(tmp_path, [])
    settings = load_settings(_copied(name, tmp_path, encoder=f'\n[encoder]\nmodel = "{fake_encoder.path}"\n'))
    source = settings.resolve(settings.source.path)

    def update(version_before=None, **options):
        run = new_run.again(first)
        backfill(run, read_catalogue(spark, settings), [resolve_encoders(settings)], None, BackfillOptions(**options))
        run.source_version = version_before or run.source_version
        run.record("done")
        return {row["video_id"] for row in run.lake.read(VIDEOS).collect()}

    before = update(version_before="1" if name[:2] == "24" else "0")
    rows = spark.read.format("delta").load(source)
    gone = min(before)
    rows.where(F.col("video_id") == gone).withColumn("video_id", F.lit("night")).write.format("delta").mode("append").save(source)
    DeltaTable.forPath(spark, source).delete(F.col("video_id") == gone)
    assert update() == before | {"night"}
    assert [record.getMessage() for record in caplog.records if "change feed" in record.getMessage() and "--full" in record.getMessage()]
    assert update(full=True, allow_deletes=True) == (before | {"night"}) - {gone}
