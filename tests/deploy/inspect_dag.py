"""Runs in the environment of airflow.txt: loads the file of a DAG, runs its first task, and prints both results as JSON on the last line."""

import json
import sys


def inspected(file: str) -> dict:
    """The DAG's properties that the tests check, and the ending of its task backfill."""
    from airflow.dag_processing.dagbag import DagBag  # not installed in the environment in which pytest collects this file

    bag = DagBag(file)
    assert not bag.import_errors, bag.import_errors
    (dag,) = bag.dags.values()
    properties = {name: getattr(dag, name) for name in ("dag_id", "schedule", "catchup", "max_active_runs")}
    properties["retries"] = {task.task_id: task.retries for task in dag.tasks}
    properties["downstream"] = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    properties["callbacks"] = sorted({callback.__name__ for task in dag.tasks for callback in task.on_failure_callback})
    return {**properties, "ending": ending(dag.task_dict["backfill"])}


def ending(task) -> tuple[str, str]:
    """The name and the message of the exception that ends the task; "done" and an empty text if there is none."""
    try:
        task.execute({})
    except Exception as error:
        return type(error).__name__, str(error)
    return "done", ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inspected(sys.argv[1])) + "\n")
