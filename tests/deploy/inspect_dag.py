"""Run by the environment of airflow.txt: what Airflow makes of a DAG's file, and how its first task ends, as JSON on the last line."""

import json
import sys

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
found = {
    "dag_id": dag.dag_id,
    "schedule": dag.schedule,
    "catchup": dag.catchup,
    "max_active_runs": dag.max_active_runs,
    "retries": {task.task_id: task.retries for task in dag.tasks},
    "downstream": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
    "callbacks": sorted({callback.__name__ for task in dag.tasks for callback in task.on_failure_callback}),
}
try:
    dag.task_dict["backfill"].execute({})
    found["ending"] = ["done", ""]
except Exception as error:
    found["ending"] = [type(error).__name__, str(error)]
sys.stdout.write(json.dumps(found) + "\n")
