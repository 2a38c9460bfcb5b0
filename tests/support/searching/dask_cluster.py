"""A Dask cluster on this machine: a scheduler and workers, each in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import ROOT

START_S = 60


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(self, name: str, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start `dask NAME`, under the command `before`."""
        command = [*before, sys.executable, "-m", f"distributed.cli.dask_{name}", *arguments]
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self.processes.append(process)
        return process

    def add_worker(self, *before: str) -> None:
        """Start a worker with one thread, under the command `before`."""
        options = ("--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(self.start("worker", self.address, *options, before=before))

    def kill_worker(self) -> None:
        """Kill the first worker, with the process that would start it again."""
        os.killpg(self.workers[0].pid, signal.SIGKILL)


@contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Yield a cluster, and end its processes."""
    cluster = Cluster(folder)
    file = folder / "scheduler.json"
    try:
        cluster.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        deadline_s = time.monotonic() + START_S
        while not (file.exists() and file.read_text().rstrip().endswith("}")):
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
        cluster.address = str(json.loads(file.read_text())["address"])
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        for process in cluster.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
