"""An Airflow 3 DAG: a backfill and an evaluation every night. Put it into the DAGs folder of workers that have /opt/xlclass (install.sh).

Why a custom operator: SparkSubmitOperator and BashOperator fail in the same way on every exit code. A retry would then repeat a
user's mistake (2), and an alert (3) would look like a crash. This operator uses BashOperator's hook and reads the exit code. It
runs spark-submit in client mode, because in cluster mode YARN and Kubernetes do not return the job's exit code.
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
NO_RETRY = {2: "a user's mistake, which a retry would repeat", 3: "an alert, which a person must look at"}  # by exit code


class XlclassJob(BaseOperator):
    """Runs a job by spark-submit: exit code 0 is done, 2 and 3 fail without a retry, any other is a crash that a retry resumes."""

    template_fields = ("arguments",)

    def __init__(self, job: str, arguments: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(task_id=kwargs.pop("task_id", job), **kwargs)
        self.job, self.arguments = job, arguments
        self._hook = SubprocessHook()

    def execute(self, context: Any) -> None:
        """Runs the job; its output is the task's log."""
        bin_folder = f"{PLACE}/.venv/bin"
        path = f"{bin_folder}:{os.environ.get('PATH', '')}"
        env = {**os.environ, "PATH": path, "PYSPARK_PYTHON": f"{bin_folder}/python", "SPARK_CONF_DIR": f"{PLACE}/conf"}
        command = [f"{bin_folder}/spark-submit", f"{PLACE}/jobs/{self.job}.py", "--conf", SETTINGS, *self.arguments]
        result = self._hook.run_command(command, env=env)
        if result.exit_code in NO_RETRY:
            raise AirflowFailException(f"{self.job}: {NO_RETRY[result.exit_code]}: {result.output}")
        if result.exit_code:
            raise AirflowException(f"{self.job}: exit code {result.exit_code}: {result.output}")

    def on_kill(self) -> None:
        """Ends the job and the processes that it started."""
        self._hook.send_sigterm()


def notify(context: Any) -> None:
    """Put your notifier here. It is called when a task has finally failed, also for an alert (exit code 3)."""
    log.error("xlclass: %s: %s", context["task_instance"].task_id, context.get("exception"))


with DAG(
    dag_id="xlclass_nightly",
    schedule="17 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # one backfill processes everything that is new, whatever the number of missed runs
    max_active_runs=1,  # the lake's lease would refuse a second one
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=20),
        "on_failure_callback": notify,
    },
    doc_md=__doc__,
):
    XlclassJob(job="backfill") >> XlclassJob(job="evaluate")
