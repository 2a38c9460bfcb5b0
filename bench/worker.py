"""One fresh process that measures one row: run as `python -m bench.worker` with a job as JSON on standard input.

A process of its own gives a row's start-up and peak memory for itself, and a model that crashes costs its row, not the
run. The result goes to the file that the job names; standard output belongs to the libraries.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bench.runtimes import Session, find_runtime
from device.classify import EXIT_OK, Card, EdgeproofError, time_queries, warm_up

EXIT_REFUSED = 3  # the runtime is missing or refuses the model: the row is skipped with the reason
TRIAL_PICTURES = 20


@dataclass(frozen=True)
class Job:
    """What one process does: with `sizes` it runs test pictures for accuracy, without it times single queries."""

    runtime: str
    path: str
    card: dict[str, Any]
    threads: int
    pictures: str  # .npy, (N, H, W, C), uint8
    result: str  # .npz that the process writes
    queries: int = 0
    duration_ns: int = 0
    sizes: tuple[int, ...] = ()
    limit_s: float = 0.0


@runtime_checkable
class AnswersBatches(Protocol):
    """A session that runs many pictures at a time."""

    top_scores: npt.NDArray[np.float32] | None  # (N,), of the last call of `answers`

    def answers(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the top class (N,) of each picture (N, H, W, C)."""


class ScoresWatched:
    """A session that notes the top score of each picture as it passes, where the model's scores are real numbers."""

    def __init__(self, session: Session) -> None:
        self._session, self.runtime_version = session, session.runtime_version
        self._seen: list[float] = []
        self._quantized = False

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        return self._session.tensor(pixels)

    def infer(self, tensor: Any) -> Any:
        output = self._session.infer(tensor)
        self._quantized |= np.asarray(output).dtype.kind != "f"
        return output

    def scores(self, output: Any) -> npt.NDArray[np.float32]:
        scores = self._session.scores(output)
        self._seen.append(float(scores.max()))
        return scores

    @property
    def top_scores(self) -> npt.NDArray[np.float32] | None:
        """Return the top scores (N,), or None for a quantized output, whose steps of 1/256 carry no calibration error."""
        return None if self._quantized else np.array(self._seen, np.float32)


def main() -> int:
    """Run the job on standard input. A refusal is one line on standard error and exit code 3."""
    job = Job(**json.load(sys.stdin))
    try:
        run(job)
    except EdgeproofError as error:
        sys.stderr.write(f"\n{error}\n")
        return EXIT_REFUSED
    return EXIT_OK


def run(job: Job) -> None:
    """Measure and write the result."""
    pictures = np.load(job.pictures, mmap_mode="r")
    clock = time.perf_counter_ns
    runtime = find_runtime(job.runtime)
    start_ns = clock()
    runtime.import_library()
    imported_ns = clock()
    session = runtime.open_session(Path(job.path), Card.from_json(job.card), job.threads)
    loaded_ns = clock()
    tensors = [session.tensor(np.array(picture)) for picture in pictures[:64]]
    first_ns = clock()
    session.infer(tensors[0])
    times_ns = [imported_ns - start_ns, loaded_ns - imported_ns, clock() - first_ns]
    if job.sizes:
        watched = session if isinstance(session, AnswersBatches) else ScoresWatched(session)
        measured: dict[str, Any] = {"predictions": answer_pictures(watched, pictures, job.sizes, job.limit_s)}
        if watched.top_scores is not None:
            measured["top_scores"] = watched.top_scores
    else:
        calls = warm_up(session.infer, tensors)
        latency_ns = time_queries(session.infer, tensors, job.queries, job.duration_ns)
        measured = {"latency_ns": latency_ns, "warmup_calls": calls, "startup_ns": times_ns}
        measured["peak_rss_bytes"] = peak_rss_bytes()
    np.savez(job.result, runtime_version=np.array(session.runtime_version), **measured)


def answer_pictures(
    session: Session, pictures: npt.NDArray[np.uint8], sizes: tuple[int, ...], limit_s: float
) -> npt.NDArray[np.uint16]:
    """Return the top class of the first pictures (N, H, W, C): of the first of `sizes` that fits into `limit_s`."""
    if isinstance(session, AnswersBatches):
        return session.answers(np.array(pictures[: sizes[0]])).astype(np.uint16)
    answers: list[int] = []
    start_ns = time.perf_counter_ns()
    count = sizes[0]
    for number, picture in enumerate(pictures):
        if number == count:
            break
        answers.append(int(session.scores(session.infer(session.tensor(np.array(picture)))).argmax()))
        if number + 1 == TRIAL_PICTURES:
            picture_s = (time.perf_counter_ns() - start_ns) / 1e9 / TRIAL_PICTURES
            count = next((size for size in sizes if size * picture_s <= limit_s), sizes[-1])
    return np.array(answers, np.uint16)


def peak_rss_bytes() -> int:
    """Return this process's largest resident memory so far (VmHWM; getrusage would report a parent's after fork)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise EdgeproofError("/proc/self/status has no VmHWM: peak memory can be measured on Linux only")


def job_json(job: Job) -> str:
    """Return the job as the JSON that `main` reads."""
    return json.dumps(asdict(job))


if __name__ == "__main__":
    sys.exit(main())
