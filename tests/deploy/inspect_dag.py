"""Run by the environment of airflow.txt: what Airflow makes of a DAG's file, and how its first task ends, as JSON on the last line."""

import json
import sys


def inspected(file: str) -> dict:
    """What the tests look at."""
    from airflow.dag_processing.dagbag import DagBag  # not there where pytest collects this file

    bag = DagBag(file)
    assert not bag.import_errors, bag.import_errors
    (dag,) = bag.dags.values()
    found = {name: getattr(dag, name) for name in ("dag_id", "schedule", "catchup", "max_active_runs")}
    found["retries"] = {task.task_id: task.retries for task in dag.tasks}
    found["downstream"] = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    found["callbacks"] = sorted({callback.__name__ for task in dag.tasks for callback in task.on_failure_callback})
    return {**found, "ending": ending(dag.task_dict["backfill"])}


def ending(task) -> tuple[str, str]:
    """The name of the exception that the task ends with, and its message."""
    try:
        task.execute({})
    except Exception as error:
        return type(error).__name__, str(error)
    return "done", ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inspected(sys.argv[1])) + "\n")
