"""An Airflow 3 DAG: every night a backfill, then its scores. Put it into the DAGs folder of workers that have /opt/xlclass (install.sh).

Why an operator of its own: SparkSubmitOperator and BashOperator fail alike on every exit code, so that a retry would repeat a
mistake of the user's (2) and an alert (3) would look like a crash. This one is BashOperator's own hook with the exit codes read.
It runs spark-submit in client mode: in cluster mode YARN and Kubernetes keep the job's exit code to themselves.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

log = logging.getLogger(__name__)
PLACE = os.environ.get("XLCLASS_PLACE", "/opt/xlclass")
SETTINGS = os.environ.get("XLCLASS_SETTINGS", "/etc/xlclass/settings.toml")
ENDINGS = {2: "a mistake of the user's, which a retry would repeat", 3: "an alert, which someone is to look at"}


class XlclassJob(BaseOperator):
    """A job by spark-submit: 0 is done, 2 and 3 fail without a retry, anything else is a crash that a retry goes on from."""

    template_fields = ("arguments",)

    def __init__(self, job: str, arguments: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(task_id=kwargs.pop("task_id", job), **kwargs)
        self.job, self.arguments = job, arguments
        self._hook = SubprocessHook()

    def execute(self, context: Any) -> None:
        """Runs the job; its lines are the task's log."""
        programs = f"{PLACE}/.venv/bin"
        path = f"{programs}:{os.environ.get('PATH', '')}"
        env = {**os.environ, "PATH": path, "PYSPARK_PYTHON": f"{programs}/python", "SPARK_CONF_DIR": f"{PLACE}/conf"}
        command = [f"{programs}/spark-submit", f"{PLACE}/jobs/{self.job}.py", "--conf", SETTINGS, *self.arguments]
        done = self._hook.run_command(command, env=env)
        if done.exit_code in ENDINGS:
            raise AirflowFailException(f"{self.job}: {ENDINGS[done.exit_code]}: {done.output}")
        if done.exit_code:
            raise AirflowException(f"{self.job}: exit code {done.exit_code}: {done.output}")

    def on_kill(self) -> None:
        """Ends the job and all that it started."""
        self._hook.send_sigterm()


def tell(context: Any) -> None:
    """Where people are told: put your notifier here. It is called when a task has failed for good, an alert (exit code 3) too."""
    log.error("xlclass: %s: %s", context["task_instance"].task_id, context.get("exception"))


with DAG(
    dag_id="xlclass_nightly",
    schedule="17 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # a backfill takes all that is new: one run makes up for any number that were missed
    max_active_runs=1,  # a second one would be refused by the lake's lease
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=20),
        "on_failure_callback": tell,
    },
    doc_md=__doc__,
):
    XlclassJob(job="backfill") >> XlclassJob(job="evaluate")
