"""Where trials run: processes on this machine, or a Dask cluster. A worker that dies costs the trial that it has."""

import queue
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from bench.search.trial import Job, Work, work
from convert.child import Child, Workplace
from device.errors import CheckFailed
from train.points import dask_client

RUNNING = "running"  # what a client says of itself while it has its scheduler
PROCESS_JOBS = 30  # then a fresh one: TensorFlow keeps something of each network


class PoolGone(CheckFailed):
    """No worker can be reached any more."""


class Pool(Protocol):
    """Runs jobs."""

    @property
    def slots(self) -> int:
        """Return how many jobs run at a time. Raises PoolGone."""

    def submit(self, job: Job) -> Future[Work]:
        """Start a job. Raises PoolGone."""

    def lost(self, error: BaseException) -> PoolGone | None:
        """Return what to raise where a job's error means that the pool is gone; None: only the trial is lost."""


@contextmanager
def pool_for(jobs: int, dask: str | None) -> Iterator[Pool]:
    """Yield `jobs` processes here, or the Dask cluster at an address.

    Raises EdgeproofError where Dask is not installed or the address does not answer.
    """
    if dask is not None:
        with dask_client(dask) as client:
            yield _Cluster(client, dask)
        return
    with ExitStack() as stack:
        local = _Local(jobs)
        stack.callback(local.close)
        yield local


class _Local:
    """Processes on this machine, each with a thread that waits for it: they keep what they have imported and prepared."""

    def __init__(self, jobs: int) -> None:
        self.slots = jobs
        self._threads = ThreadPoolExecutor(jobs, "trial")
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._processes = [_Process() for _ in range(jobs)]
        for process in self._processes:
            self._idle.put(process)

    def submit(self, job: Job) -> Future[Work]:
        return self._threads.submit(self._run, job)

    def lost(self, _: BaseException) -> PoolGone | None:
        return None  # a new process takes the place of one that died

    def _run(self, job: Job) -> Work:
        process = self._idle.get()
        try:
            return process.run(job)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """End the processes; a running trial is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()
        self._threads.shutdown()
        for process in self._processes:
            process.end()


class _Process:
    """One process after another, so that none grows."""

    def __init__(self) -> None:
        self._child, self._jobs = Child(lambda _: None, "its process"), 0

    def run(self, job: Job) -> Work:
        if self._jobs >= PROCESS_JOBS:
            self._child.__exit__(None, None, None)
            self._child, self._jobs = Child(lambda _: None, "its process"), 0
        self._jobs += 1
        return self._child.run(_work_there, job)

    def kill(self) -> None:
        """End the process at once: it may be deep in a library, or ignore Ctrl-C as a shell's background jobs do."""
        self._child.kill()

    def end(self) -> None:
        """Remove what belongs to the process."""
        self._child.__exit__(None, None, None)


def _work_there(_: Workplace, job: Job) -> Work:
    return work(job)


class _Cluster:
    """A Dask cluster: its scheduler gives the job of a worker that died to another one."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._executor = client.get_executor(pure=False)

    @property
    def slots(self) -> int:
        try:
            return max(1, sum(int(threads) for threads in self._client.nthreads().values()))
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self._gone(error) from error

    def submit(self, job: Job) -> Future[Work]:
        if self._client.status != RUNNING:
            raise self._gone(RuntimeError(f"the client is {self._client.status}"))
        started: Future[Work] = self._executor.submit(work, job)
        return started

    def lost(self, error: BaseException) -> PoolGone | None:
        return self._gone(error) if isinstance(error, CancelledError) or self._client.status != RUNNING else None

    def _gone(self, error: BaseException) -> PoolGone:
        said = str(error).strip()[:80] or type(error).__name__
        return PoolGone(f"--dask {self._address}: its scheduler is gone ({said}): start it; the same command goes on")
