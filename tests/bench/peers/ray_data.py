"""Ray Data: `map_batches` with two actors of one CPU each, written as Parquet.

Ray Data creates new actors for every data set. The other contenders are measured with the model loaded, so each actor loads the
model and warms up when it is created, and waits for the other actor; only then the time starts. Ray gets four logical CPUs, because
its tasks that read and write need one each in addition to the actors'. It runs on the same two cores as all other contenders.
"""

import os
import tempfile
import time
from pathlib import Path

import passes
import pyarrow.parquet as pq
import ray
import vectors

ACTORS = 2


class Sentences:
    def __init__(self, folder: str, warm_up: str, batch: int, gate: str):
        self.model, self.batch = vectors.load_once(folder), batch
        vectors.encode(self.model, pq.read_table(warm_up)["text"].to_pylist(), batch)
        (Path(gate) / f"{os.getpid()}").touch()
        deadline = time.monotonic() + 300
        while len(os.listdir(gate)) < ACTORS:
            if time.monotonic() > deadline:
                raise TimeoutError("the other actor did not start")
            time.sleep(0.01)

    def __call__(self, rows):
        return {"video_id": rows["video_id"], "vector": vectors.encode(self.model, rows["text"], self.batch)}


def encoding(job):
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=2**30, runtime_env={"env_vars": _worker_environment()})
    ray.data.DataContext.get_current().enable_progress_bars = False

    def encode(file: str, batch: int, out: str) -> float:
        if file == job["warm_up"]:  # each actor warms up when it is created
            return 0.0
        gate = tempfile.mkdtemp(dir=job["scratch"])
        rows = (
            ray.data.read_parquet(file).select_columns(["video_id", "text"]).repartition(job["partitions"])
        )  # otherwise one file is one block, which one actor gets
        actors, arguments = ray.data.ActorPoolStrategy(size=ACTORS), (job["encoder"], job["warm_up"], batch, gate)
        rows.map_batches(Sentences, fn_constructor_args=arguments, batch_size=batch, compute=actors, num_cpus=1).write_parquet(out)
        end = time.time()
        return end - max(file.stat().st_mtime for file in Path(gate).iterdir())

    return encode


def _worker_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PYTHONPATH", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "TF_CPP_MIN_LOG_LEVEL")}


if __name__ == "__main__":
    passes.run(encoding)
