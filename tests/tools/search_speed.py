"""How many times as many trials an hour two Dask workers do as one, each held to one core of this machine.

    python -m tests.tools.search_speed

Each trial is trained to its end, converted, verified and answers the validation pictures. A worker's first trial, in which
it imports TensorFlow and prepares the pictures, is not counted. Run it on a quiet machine with at least two cores.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.search.trial import Job
from bench.search.workers import Pool, pool_for
from tests.support.searching.dask_cluster import Cluster, dask_cluster

TRIALS = 8
WANTED = 1.7
SETTINGS = {"filters": 12, "epochs": 2, "training_images": 8_000}


def main() -> int:
    """Measure, print, and return the exit code."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2 or shutil.which("taskset") is None:
        sys.stderr.write("search_speed: needs two cores and taskset\n")
        return 2
    rates = [_trials_an_hour(cores[:count]) for count in (1, 2)]
    ratio = rates[1] / rates[0]
    said = f"one worker: {rates[0]:.0f} trials an hour; two: {rates[1]:.0f}"
    sys.stdout.write(f"{said}; {ratio:.2f} times as many (wanted: {WANTED})\n")
    return 0 if ratio >= WANTED else 1


def _trials_an_hour(cores: list[int]) -> float:
    with tempfile.TemporaryDirectory() as folder, dask_cluster(Path(folder), workers=0) as cluster:
        _add_workers(cluster, cores)
        with pool_for(1, cluster.address) as pool:
            while pool.slots < len(cores):
                time.sleep(0.1)
            _run(pool, range(len(cores)))
            start_s = time.monotonic()
            _run(pool, range(TRIALS))
            return TRIALS / (time.monotonic() - start_s) * 3600


def _add_workers(cluster: Cluster, cores: list[int]) -> None:
    for core in cores:
        cluster.add_worker("taskset", "-c", str(core))


def _run(pool: Pool, numbers: range) -> None:
    jobs = [
        Job(number, "mnist_cnn_crop", SETTINGS, {"name": "mnist"}, "int8.tflite", "litert", 0.99, 0, 1) for number in numbers
    ]
    for future in [pool.submit(job) for job in jobs]:
        future.result()


if __name__ == "__main__":
    sys.exit(main())
