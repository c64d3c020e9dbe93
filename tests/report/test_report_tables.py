"""The tables that the page is made of: counts, the newest evaluation, and a lake without an evaluation."""

import pytest
from pyspark.sql import functions as F
from samples import ROWS

from xlclass.errors import SettingsError
from xlclass.evaluation.evaluate import evaluate
from xlclass.lake.runs import utc_now
from xlclass.report.tables import MAX_ISSUES_PER_LANGUAGE, read_tables, report_file, report_page
from xlclass.runtime.files import write_whole
from xlclass.schemas import LABEL_ISSUES, PREDICTIONS

HOSTILE = "<script>alert(1)</script> ma chanson préférée à la guitare"


@pytest.mark.slow
def test_report_of_a_small_lake_before_and_after_its_evaluation(classified_in, tmp_path):
    rows = [{**row, "title": HOSTILE} if row["video_id"] == "fr59" else row for row in ROWS]
    run, version = classified_in(tmp_path, [*rows, {**rows[0], "video_id": "blank", "title": "", "channel": "blank", "labels": []}])
    lake = run.lake
    assert "has not been evaluated yet" in report_page(run, version)
    evaluation = evaluate(run, version)
    issues = [(evaluation, row["video_id"], row["language"], "mislabelled", 0.5 + i / 1_000, "another category") for i, row in enumerate(rows)]
    lake.append_values(LABEL_ISSUES, [*issues, ("older evaluation", "en0", "en", "mislabelled", 1.0, "stale")])
    started = run.started_at
    run.record("done")

    tables = read_tables(lake, version.name, evaluation)
    videos = {(row["language"], row["text_source"]): (row["num_videos"], row["num_labelled"]) for row in tables["catalogue"]}
    assert sum(num for num, _ in videos.values()) == 181
    assert (videos["de", "title"], videos["en", None]) == ((60, 60), (1, 0))
    bins = lake.read(PREDICTIONS).where("top_confidence IS NOT NULL").select("language", F.floor(F.col("top_confidence") * 20)).collect()
    counted = {(row["language"], row["bin"]): row["num_videos"] for row in tables["confidence_bins"]}
    assert counted == {key: bins.count(key) for key in set(map(tuple, bins))}
    assert sum(row["num_videos"] for row in tables["top_categories"]) == 180
    assert "alerts" not in tables
    issues = tables["label_issues"]
    assert [row["video_id"] for row in issues] == [f"{language}{i}" for language in ("de", "fr", "en") for i in range(59, 59 - MAX_ISSUES_PER_LANGUAGE, -1)]
    assert issues[0]["title"].startswith("wir spielen das neue Spiel")
    assert issues[0]["labels"] == ["gaming"]
    assert tables["runs"][0]["started_at"] == started.strftime("%Y-%m-%d %H:%M")
    assert [step["name"] for step in tables["runs"][0]["steps"]][-1] == "evaluate"

    lake.spark.createDataFrame([(utc_now(), "de", "psi", 0.31)], "raised_at timestamp, language string, rule string, value double").write.format("delta").save(
        f"{lake.root}/alerts"
    )
    file = report_file(lake, None)
    write_whole(file, report_page(run, version))
    html = file.read_text(encoding="utf-8")
    assert "Drift and alerts" in html
    assert "has not been evaluated" not in html
    assert "en: top-1" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; ma chanson" in html
    assert [entry.name for entry in tmp_path.joinpath("lake").glob("*.html")] == [file.name]


def test_report_file_rejects_a_folder_and_a_missing_folder(tmp_path):
    class LakeHere:
        root = str(tmp_path)

    assert report_file(LakeHere, None) == tmp_path / "report.html"
    with pytest.raises(SettingsError, match="is a folder: name a file in it"):
        report_file(LakeHere, str(tmp_path))
    with pytest.raises(SettingsError, match="there is no folder"):
        report_file(LakeHere, str(tmp_path / "none" / "page.html"))
