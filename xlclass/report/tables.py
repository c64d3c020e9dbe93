"""The report page of a lake: Spark counts all rows on the cluster, and only small tables reach the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from xlclass.encoders.pair import Route
from xlclass.errors import SettingsError
from xlclass.lake.runs import Run, utc_now
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.report.elements import About, Row
from xlclass.report.model_sections import NUM_BINS
from xlclass.report.page import page
from xlclass.schemas import (
    CATEGORY_ACCURACY,
    CONFUSION,
    ENCODER_COMPARISON,
    LABEL_ISSUES,
    LANGUAGE_ACCURACY,
    LANGUAGE_CONFIDENCE,
    PREDICTIONS,
    RUNS,
    VIDEOS,
    Table,
)

MAX_RUNS = 20
MAX_ISSUES, MAX_ISSUES_PER_LANGUAGE = 200, 10  # of each kind
MAX_SIGNALS = 100
_EVALUATED = (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE)
_SIGNALS = ("alerts", "drift")  # optional tables
_TIME = "yyyy-MM-dd HH:mm"
_ISSUE_COLUMNS = ("language", "issue", "score", "reason")
_VIDEO_COLUMNS = ("title", "labels", "top_category", "top_confidence")


def report_page(run: Run, version: ModelVersion) -> str:
    """The page about `version` and its newest evaluation, as HTML; sections without data say what is missing."""
    with run.step("report") as step:
        evaluation_id, evaluated_at = _newest_evaluation(run.lake, version.name)
        about = About(
            lake=run.lake.root,
            model_version=version.name,
            created_at=utc_now().strftime("%Y-%m-%d %H:%M"),
            training_languages=version.manifest()["languages"],
            known_languages=Route.of(version.manifest()).known_languages,
            categories=run.taxonomy.names,
            evaluated_at=evaluated_at,
        )
        tables = read_tables(run.lake, version.name, evaluation_id)
        step.num_rows = sum(map(len, tables.values()))
        return page(about, tables)


def report_file(lake: Lake, path: str | None) -> Path:
    """The file for the page: `path`, relative to the working directory, or else report.html in the lake's folder.

    Raises:
        SettingsError: `path` is a folder, or its folder does not exist.
    """
    file = Path(path).expanduser().absolute() if path else Path(lake.root) / "report.html"
    if not file.parent.is_dir() or file.is_dir():
        raise SettingsError(f"--out {file}: " + ("this is a folder: name a file in it" if file.is_dir() else f"there is no folder {file.parent}"))
    return file


def read_tables(lake: Lake, model_version: str, evaluation_id: str | None) -> dict[str, list[Row]]:
    """The rows of the page's tables by name, for this model version and evaluation, without the tables that the lake does not have.

    Three of them are counts of videos: `catalogue` by language, text_source and language_source, `confidence_bins` by language and
    bin of the top confidence, and `top_categories` by language and top category.
    """
    frames = {table.name: _where(lake, table, F.col("evaluation_id") == evaluation_id) for table in _EVALUATED if evaluation_id}
    predicted = _where(lake, PREDICTIONS, (F.col("model_version") == model_version) & F.col("top_confidence").isNotNull())
    frames["catalogue"] = _counted(_where(lake, VIDEOS), "language", "text_source", "language_source", labelled=F.size("labels") > 0)
    frames["confidence_bins"] = _counted(predicted, "language", F.floor(F.col("top_confidence") * NUM_BINS).cast("int").alias("bin"))
    frames["top_categories"] = _counted(predicted, "language", F.col("top_category").alias("category"))
    frames["encoder_comparison"] = _newest_comparison(lake)
    frames["label_issues"] = _issues(lake, evaluation_id)
    frames["runs"] = _runs(lake)
    for name in _SIGNALS:
        frames[name] = _newest(_where(lake, Table(name, "", (), ())))
    return {name: [row.asDict(recursive=True) for row in rows.collect()] for name, rows in frames.items() if rows is not None}


def _where(lake: Lake, table: Table, condition: Column | bool = True) -> DataFrame | None:
    """The rows of a table; null if the lake does not have the table."""
    if not lake.exists(table):
        return None
    rows = lake.read(table)
    return rows if condition is True else rows.where(condition)


def _newest_evaluation(lake: Lake, model_version: str) -> tuple[str | None, str | None]:
    """Id and time of the model version's newest evaluation; the time is null if it scored no video and its run has not finished."""
    rows = _where(lake, LANGUAGE_CONFIDENCE, F.col("model_version") == model_version)
    if rows is None:
        return None, None
    evaluations = rows.select("evaluation_id", "run_id").distinct()
    accuracy, runs = _where(lake, LANGUAGE_ACCURACY), _where(lake, RUNS)
    times = [F.lit(None).cast("timestamp")]
    if accuracy is not None:
        evaluations = evaluations.join(accuracy.groupBy("evaluation_id").agg(F.max("evaluated_at").alias("scored_at")), "evaluation_id", how="left")
        times.append(F.col("scored_at"))
    if runs is not None:
        evaluations = evaluations.join(runs.select("run_id", "finished_at"), "run_id", how="left")
        times.append(F.col("finished_at"))
    at = F.coalesce(*times)
    newest = evaluations.orderBy(F.desc_nulls_last(at)).select("evaluation_id", F.date_format(at, _TIME)).first()
    return (newest[0], newest[1]) if newest else (None, None)


def _counted(rows: DataFrame | None, *columns: Any, labelled: Column | None = None) -> DataFrame | None:
    """Number of videos by `columns`, and num_labelled if the condition `labelled` is set."""
    if rows is None:
        return None
    counts = [F.count("*").alias("num_videos")] + ([] if labelled is None else [F.count_if(labelled).alias("num_labelled")])
    return rows.groupBy(*columns).agg(*counts)


def _newest_comparison(lake: Lake) -> DataFrame | None:
    """The rows of the newest comparison of encoders, without its time."""
    rows = _where(lake, ENCODER_COMPARISON)
    newest = None if rows is None else rows.orderBy(F.desc("compared_at")).select("comparison_id").first()
    return rows.where(F.col("comparison_id") == newest[0]).drop("compared_at") if rows is not None and newest else None


def _issues(lake: Lake, evaluation_id: str | None) -> DataFrame | None:
    """The label issues with the highest scores, by kind and language, with the videos' titles, labels and top categories."""
    rows = _where(lake, LABEL_ISSUES, F.col("evaluation_id") == evaluation_id)
    if rows is None:
        return None
    of_language = Window.partitionBy("issue", "language").orderBy(F.desc("score"), "video_id")
    of_kind = Window.partitionBy("issue").orderBy(F.desc("score"), "video_id")
    listed = rows.withColumn("place", F.row_number().over(of_language)).where(F.col("place") <= MAX_ISSUES_PER_LANGUAGE)
    listed = listed.withColumn("place", F.row_number().over(of_kind)).where(F.col("place") <= MAX_ISSUES).select("video_id", *_ISSUE_COLUMNS, "place")
    with_titles = F.broadcast(listed).join(lake.read(VIDEOS).select("video_id", F.substring("title", 1, 300).alias("title"), "labels"), "video_id", how="inner")
    predictions = lake.read(PREDICTIONS).select("video_id", "top_category", "top_confidence")
    return F.broadcast(with_titles).join(predictions, "video_id", how="inner").orderBy("issue", "place").select("video_id", *_ISSUE_COLUMNS, *_VIDEO_COLUMNS)


def _runs(lake: Lake) -> DataFrame | None:
    """The newest runs, newest first, with their duration in seconds."""
    rows = _where(lake, RUNS)
    if rows is None:
        return None
    seconds = (F.unix_micros("finished_at") - F.unix_micros("started_at")) / F.lit(1e6)
    return (
        rows.orderBy(F.desc("started_at"))
        .limit(MAX_RUNS)
        .select(
            F.date_format("started_at", _TIME).alias("started_at"),
            "job", "outcome", "message", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "steps",
            seconds.alias("seconds"),
        )
    )  # fmt: skip


def _newest(rows: DataFrame | None) -> DataFrame | None:
    """The newest rows of the table alerts or drift by its first timestamp column; timestamps as text."""
    if rows is None:
        return None
    times = [name for name, kind in rows.dtypes if kind.startswith("timestamp")]
    ordered = rows.orderBy(F.desc(times[0])) if times else rows
    return ordered.limit(MAX_SIGNALS).select(*(F.date_format(name, _TIME).alias(name) if name in times else F.col(name) for name in rows.columns))
