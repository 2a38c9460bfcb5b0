"""The job of a worker process."""

import json
import os
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

EXIT_REFUSED = 3  # the runtime is missing or refuses the model: the row is skipped with the reason
EXIT_FELL_BACK = 4  # it should run on an accelerator and ran elsewhere: the row is an error
REASON = "edgeproof: "  # before the reason on standard error; libraries may write after it

TRIAL_PICTURES = 20  # are answered first: their time decides how many more are answered

Task = Literal["accuracy", "latency", "profile", "sustain", "loadgen", "turns"]


@dataclass(frozen=True)
class Job:
    """The task of one process and its parameters."""

    task: Task
    runtime: str
    path: str
    threads: int
    card: dict[str, Any] | None  # None: random input
    cardless: dict[str, Any] | None = None  # how to feed a model that was not made here
    pictures: str | None = None  # .npy, (N, H, W, C), uint8; None: random input
    files: tuple[str, ...] = ()  # picture files, for the whole path
    result: str = ""  # the .npz that the process writes
    memory_bytes: int = 0  # its limit
    queries: int = 0
    duration_ns: int = 0
    sizes: tuple[int, ...] = ()
    limit_s: float = 0.0
    loadgen: str = ""  # the folder for LoadGen's logs
    parent_id: int = 0  # the process of the run that this one belongs to


def job_json(job: Job, result: str, memory_bytes: int) -> str:
    """Return the job as the JSON that `main` reads, with the file for its result and its memory limit."""
    return json.dumps(asdict(replace(job, result=result, memory_bytes=memory_bytes, parent_id=os.getpid())))
