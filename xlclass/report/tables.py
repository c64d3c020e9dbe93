"""The lake to one HTML page: counts over all rows are made on the cluster, only small tables reach the driver."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from xlclass.catalog.taxonomy import load_taxonomy
from xlclass.encoders.contract import EncoderSpec
from xlclass.errors import SettingsError
from xlclass.lake.runs import Run, utc_now
from xlclass.lake.tables import Lake
from xlclass.model.bundle import ModelVersion
from xlclass.report.elements import About, Row
from xlclass.report.model_sections import NUM_BINS
from xlclass.report.page import page
from xlclass.schemas import CATEGORY_ACCURACY, CONFUSION, LABEL_ISSUES, LANGUAGE_ACCURACY, LANGUAGE_CONFIDENCE, PREDICTIONS, RUNS, VIDEOS, Table

MOST_RUNS = 20
MOST_ISSUES, MOST_ISSUES_OF_LANGUAGE = 200, 10
MOST_SIGNALS = 100
_EVALUATED = (LANGUAGE_ACCURACY, CATEGORY_ACCURACY, CONFUSION, LANGUAGE_CONFIDENCE)
_SIGNALS = ("alerts", "drift")  # tables that a lake may have
_TIME = "yyyy-MM-dd HH:mm"
_ISSUE = ("language", "issue", "score", "reason")
_OF_VIDEO = ("title", "labels", "top_category", "top_confidence")


def report_page(run: Run, version: ModelVersion, encoder: EncoderSpec) -> str:
    """The page on the newest evaluation of `version`, as HTML; what the lake has not yet, the page says."""
    with run.step("report") as step:
        evaluation_id, evaluated_at = _newest_evaluation(run.lake, version.name)
        about = About(
            lake=run.lake.root,
            model_version=version.name,
            made_at=utc_now().strftime("%Y-%m-%d %H:%M"),
            training=version.manifest()["languages"],
            known=encoder.languages,
            categories=load_taxonomy(run.settings.resolve(run.settings.taxonomy.file)).names,
            evaluated_at=evaluated_at,
        )
        tables = read_tables(run.lake, version.name, evaluation_id)
        step.num_rows = sum(map(len, tables.values()))
        return page(about, tables)


def report_file(lake: Lake, given: str | None) -> Path:
    """Where the page goes: the file given, from the working directory, or report.html in the lake's folder, beside its tables.

    Raises:
        SettingsError: there is no folder for it, or it is one.
    """
    file = Path(given).expanduser().absolute() if given else Path(lake.root) / "report.html"
    if not file.parent.is_dir() or file.is_dir():
        raise SettingsError(f"--out {file}: " + ("that is a folder: name a file in it" if file.is_dir() else f"there is no folder {file.parent}"))
    return file


def write_page(html: str, file: Path) -> None:
    """Writes the page whole or not at all: a reader never sees half of one."""
    draft = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        draft.write_text(html, encoding="utf-8")
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)


def read_tables(lake: Lake, model_version: str, evaluation_id: str | None) -> dict[str, list[Row]]:
    """The page's tables by name, of this model version and evaluation; one that the lake has not is left out.

    Those that are counted: `catalogue` (videos by language, text_source and language_source), `confidences` (by language and
    bin of the top confidence) and `given` (by language and top category).
    """
    found = {table.name: _where(lake, table, F.col("evaluation_id") == evaluation_id) for table in _EVALUATED if evaluation_id}
    predicted = _where(lake, PREDICTIONS, (F.col("model_version") == model_version) & F.col("top_confidence").isNotNull())
    found["catalogue"] = _counted(_where(lake, VIDEOS), "language", "text_source", "language_source", labelled=F.size("labels") > 0)
    found["confidences"] = _counted(predicted, "language", F.floor(F.col("top_confidence") * NUM_BINS).cast("int").alias("bin"))
    found["given"] = _counted(predicted, "language", F.col("top_category").alias("category"))
    found["label_issues"] = _issues(lake, evaluation_id)
    found["runs"] = _runs(lake)
    for name in _SIGNALS:
        found[name] = _newest(_where(lake, Table(name, "", (), ())))
    return {name: [row.asDict(recursive=True) for row in rows.collect()] for name, rows in found.items() if rows is not None}


def _where(lake: Lake, table: Table, condition: Column | bool = True) -> DataFrame | None:
    """The rows of a table, null where the lake has not the table."""
    if not lake.exists(table):
        return None
    rows = lake.read(table)
    return rows if condition is True else rows.where(condition)


def _newest_evaluation(lake: Lake, model_version: str) -> tuple[str | None, str | None]:
    """Id and time of the model version's newest evaluation; the time is null where it scored no video and its run is still going on."""
    rows = _where(lake, LANGUAGE_CONFIDENCE, F.col("model_version") == model_version)
    if rows is None:
        return None, None
    done = rows.select("evaluation_id", "run_id").distinct()
    scored, ended = _where(lake, LANGUAGE_ACCURACY), _where(lake, RUNS)
    times = [F.lit(None).cast("timestamp")]
    if scored is not None:
        done = done.join(scored.groupBy("evaluation_id").agg(F.max("evaluated_at").alias("scored_at")), "evaluation_id", how="left")
        times.append(F.col("scored_at"))
    if ended is not None:
        done = done.join(ended.select("run_id", "finished_at"), "run_id", how="left")
        times.append(F.col("finished_at"))
    at = F.coalesce(*times)
    newest = done.orderBy(F.desc_nulls_last(at)).select("evaluation_id", F.date_format(at, _TIME)).first()
    return (newest[0], newest[1]) if newest else (None, None)


def _counted(rows: DataFrame | None, *columns: Any, labelled: Column | None = None) -> DataFrame | None:
    """Videos by `columns`, and those of them that are `labelled`."""
    if rows is None:
        return None
    counts = [F.count("*").alias("num_videos")] + ([] if labelled is None else [F.count_if(labelled).alias("num_labelled")])
    return rows.groupBy(*columns).agg(*counts)


def _issues(lake: Lake, evaluation_id: str | None) -> DataFrame | None:
    """The most urgent label issues of each kind and language, with the videos' titles, labels and top categories."""
    rows = _where(lake, LABEL_ISSUES, F.col("evaluation_id") == evaluation_id)
    if rows is None:
        return None
    of_language = Window.partitionBy("issue", "language").orderBy(F.desc("score"), "video_id")
    of_kind = Window.partitionBy("issue").orderBy(F.desc("score"), "video_id")
    first = rows.withColumn("place", F.row_number().over(of_language)).where(F.col("place") <= MOST_ISSUES_OF_LANGUAGE)
    first = first.withColumn("place", F.row_number().over(of_kind)).where(F.col("place") <= MOST_ISSUES).select("video_id", *_ISSUE, "place")
    with_titles = F.broadcast(first).join(lake.read(VIDEOS).select("video_id", F.substring("title", 1, 300).alias("title"), "labels"), "video_id", how="inner")
    predicted = lake.read(PREDICTIONS).select("video_id", "top_category", "top_confidence")
    return F.broadcast(with_titles).join(predicted, "video_id", how="inner").orderBy("issue", "place").select("video_id", *_ISSUE, *_OF_VIDEO)


def _runs(lake: Lake) -> DataFrame | None:
    """The newest runs, newest first; seconds from start to end."""
    rows = _where(lake, RUNS)
    if rows is None:
        return None
    seconds = (F.unix_micros("finished_at") - F.unix_micros("started_at")) / F.lit(1e6)
    return (
        rows.orderBy(F.desc("started_at"))
        .limit(MOST_RUNS)
        .select(
            F.date_format("started_at", _TIME).alias("started_at"),
            "job", "outcome", "message", "rows_in", "rows_ok", "rows_rejected", "rows_reused", "steps",
            seconds.alias("seconds"),
        )
    )  # fmt: skip


def _newest(rows: DataFrame | None) -> DataFrame | None:
    """Some rows of a table of drift or alerts, the newest first by their first column of time; times as text."""
    if rows is None:
        return None
    times = [name for name, kind in rows.dtypes if kind.startswith("timestamp")]
    ordered = rows.orderBy(F.desc(times[0])) if times else rows
    return ordered.limit(MOST_SIGNALS).select(*(F.date_format(name, _TIME).alias(name) if name in times else F.col(name) for name in rows.columns))
