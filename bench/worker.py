"""One fresh process that measures one row: run as `python -m bench.worker` with a job as JSON on standard input.

A process of its own gives a row's start-up and peak memory for itself, and a model that crashes costs its row, not the
run. The result goes to the file that the job names; standard output belongs to the libraries, and to the lines of JSON of
a sustained run, one a minute, and of turns, one for each further line on standard input.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bench import profiling, sustain, turns, watch, whole_path
from bench.given import Given
from bench.given_session import GivenSession
from bench.measurement import NO_PATH
from bench.runtimes import FellBack, KnowsWhere, Profiles, Session, find_runtime, open_model
from device.classify import EXIT_FAILED, EXIT_OK, Card, EdgeproofError, time_queries, warm_up

EXIT_REFUSED = 3  # the runtime is missing or refuses the model: the row is skipped with the reason
EXIT_FELL_BACK = 4  # asked for on an accelerator, computed elsewhere: the row is an error
REASON = "edgeproof: "  # before the reason on standard error, where libraries write after it too
TRIAL_PICTURES = 20
TENSORS = 64  # that latency is measured over, in turn
PR_SET_PDEATHSIG = 1

Task = Literal["accuracy", "latency", "profile", "sustain", "loadgen", "turns"]


@dataclass(frozen=True)
class Job:
    """What one process does."""

    task: Task
    runtime: str
    path: str
    threads: int
    card: dict[str, Any] | None  # None: random input
    given: dict[str, Any] | None = None  # how to feed a model that was not made here
    pictures: str | None = None  # .npy, (N, H, W, C), uint8; None: random input
    files: tuple[str, ...] = ()  # of pictures, for the whole path
    result: str = ""  # .npz that the process writes
    memory_bytes: int = 0  # its bound
    queries: int = 0
    duration_ns: int = 0
    sizes: tuple[int, ...] = ()
    limit_s: float = 0.0
    loadgen: str = ""  # the folder for LoadGen's logs
    parent_id: int = 0  # the process of the run that this one belongs to


@runtime_checkable
class AnswersBatches(Protocol):
    """A session that runs many pictures at a time."""

    top_scores: npt.NDArray[np.float32] | None  # (N,), of the last call of `answers`

    def answers(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the top class (N,) of each picture (N, H, W, C)."""


class ScoresWatched:
    """A session that notes the top score of each picture as it passes, where the model's scores are real numbers."""

    def __init__(self, session: Session | GivenSession) -> None:
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
    job = Job(**json.loads(sys.stdin.readline()))
    confine(job.memory_bytes, job.parent_id)
    try:
        run(job)
    except EdgeproofError as error:
        sys.stderr.write(f"\n{REASON}{error}\n")
        return EXIT_FELL_BACK if isinstance(error, FellBack) else EXIT_REFUSED
    except MemoryError:
        sys.stderr.write(f"\n{REASON}out of memory: it wanted more than {job.memory_bytes / 1e6:,.0f} MB\n")
        return EXIT_FAILED
    return EXIT_OK


def confine(memory_bytes: int, parent_id: int) -> None:
    """Bound this process's memory, so that a model which eats it costs its row and neither the run nor the machine.

    The bound is on private writable memory (RLIMIT_DATA, getrlimit(2)): enforced by the kernel at the allocation, without
    a watcher that would disturb the timing; libraries that map much address space without using it are not hit. Should
    memory run out all the same, the kernel ends this process first. It goes with the run that started it, and leaves no
    core file.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    with contextlib.suppress(OSError):  # /proc may be read-only in a container
        Path("/proc/self/oom_score_adj").write_text("1000")
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent_id and os.getppid() != parent_id:  # the run ended before the kernel was told
        os._exit(EXIT_FAILED)


def run(job: Job) -> None:
    """Measure and write the result."""
    clock = time.perf_counter_ns
    runtime = find_runtime(job.runtime)
    card = None if job.card is None else Card.from_json(job.card)
    given = None if job.given is None else Given.from_json(job.given)
    start_ns = clock()
    runtime.import_library()
    imported_ns = clock()
    session = open_model(runtime, Path(job.path), card, given, job.threads)
    loaded_ns = clock()
    startup = Startup(session, imported_ns - start_ns, loaded_ns - imported_ns, inputs(session, card, job.pictures))
    if job.task == "accuracy":
        assert job.pictures is not None
        pictures = np.load(job.pictures, mmap_mode="r", allow_pickle=False)
        watched = session if isinstance(session, AnswersBatches) else ScoresWatched(session)
        measured: dict[str, Any] = {"predictions": answer_pictures(watched, pictures, job.sizes, job.limit_s)}
        if watched.top_scores is not None:
            measured["top_scores"] = watched.top_scores
        _save(job, session, **measured, **ran_on(session, startup.tensors))
    elif job.task == "latency":
        _save(job, session, **measure_latency(job, startup, card), **ran_on(session, startup.tensors))
    elif job.task == "loadgen":
        _save(job, session, loadgen=json.dumps(under_loadgen(session, startup.tensors, job)))
    elif job.task == "profile":
        if not isinstance(runtime, Profiles):
            raise EdgeproofError(f"{job.runtime} has no profiler of operations here: profile in litert or onnxruntime")
        operations = runtime.profile(Path(job.path), card, job.threads, startup.tensors)
        _save(job, session, operations=json.dumps(profiling.to_json(operations)))
    elif job.task == "turns":
        turns.answer(session.infer, startup.tensors, sys.stdin, _print)
    else:
        warm_up(session.infer, startup.tensors)
        for minute in sustain.minutes(session.infer, startup.tensors, job.duration_ns):
            _print(minute.to_json())


@dataclass(frozen=True)
class Startup:
    """A session that was just opened, how long that took, and what it will be fed."""

    session: Session | GivenSession
    import_ns: int
    load_ns: int
    tensors: list[Any]


def inputs(session: Session | GivenSession, card: Card | None, pictures: str | None) -> list[Any]:
    """Return the inputs to measure with: test pictures, or random ones where there are none."""
    if pictures is not None:
        return [
            session.tensor(np.array(picture)) for picture in np.load(pictures, mmap_mode="r", allow_pickle=False)[:TENSORS]
        ]
    if isinstance(session, GivenSession):
        return session.random(TENSORS)
    assert card is not None
    shape = (TENSORS, card.height, card.width, card.channels)
    return [session.tensor(pixels) for pixels in np.random.default_rng(0).integers(0, 256, shape, np.uint8)]


def measure_latency(job: Job, startup: Startup, card: Card | None) -> dict[str, Any]:
    """Time the first inference, the warm-up, single queries, and whole pictures; look at the machine beside the queries."""
    session, tensors = startup.session, startup.tensors
    start_ns = time.perf_counter_ns()
    session.infer(tensors[0])
    first_ns = time.perf_counter_ns() - start_ns
    warmed = warm_up(session.infer, tensors)
    before = watch.read()
    latency_ns = time_queries(session.infer, tensors, job.queries, job.duration_ns)
    conditions = replace(watch.between(before, watch.read()), steady=warmed.steady)
    peak_bytes = peak_rss_bytes()  # before whole pictures are decoded: the model's memory, not the pictures'
    return {
        "latency_ns": latency_ns,
        "warmup_calls": warmed.calls,
        "startup_ns": [startup.import_ns, startup.load_ns, first_ns, first_ns + warmed.steady_ns],
        "conditions": json.dumps(conditions.to_json()),
        "peak_rss_bytes": peak_bytes,
        "path_ns": NO_PATH if card is None else whole_path.time_pictures(session, card, job.files),
    }


def ran_on(session: Session | GivenSession, tensors: list[Any]) -> dict[str, Any]:
    """Return where a session on an accelerator really computed; asked after all else, since it costs time and memory."""
    if not isinstance(session, KnowsWhere):
        return {}
    device = session.ran_on(tensors[0])
    return {"accelerator": device.accelerator, "accelerator_name": device.name}


def under_loadgen(session: Session | GivenSession, tensors: list[Any], job: Job) -> dict[str, Any]:
    """Let MLPerf's LoadGen ask the queries, and return what it said."""
    from bench.loadgen import run_loadgen

    warm_up(session.infer, tensors)
    expected_ns = int(np.median(time_queries(session.infer, tensors, len(tensors), 0)))
    folder = Path(job.loadgen)
    result = run_loadgen(
        session.infer, tensors, folder, queries=job.queries, duration_ns=job.duration_ns, expected_ns=expected_ns
    )
    return result.to_json(folder)


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _save(job: Job, session: Session | GivenSession, **measured: Any) -> None:
    np.savez(job.result, runtime_version=np.array(session.runtime_version), **measured)


def answer_pictures(
    session: Session | GivenSession, pictures: npt.NDArray[np.uint8], sizes: tuple[int, ...], limit_s: float
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


def job_json(job: Job, result: str, memory_bytes: int) -> str:
    """Return the job as the JSON that `main` reads, with the file for its result and its bound of memory."""
    return json.dumps(asdict(replace(job, result=result, memory_bytes=memory_bytes, parent_id=os.getpid())))


if __name__ == "__main__":
    sys.exit(main())
