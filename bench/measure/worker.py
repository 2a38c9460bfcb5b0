"""One fresh process that measures one row: run as `python -m bench.measure.worker` with a job as JSON on standard input.

A separate process measures a row's own start-up and peak memory, and a model that crashes loses its row, not the
run. The result is written to the file that the job names. On standard output are lines of libraries, and lines of JSON: of
a sustained run, one a minute, and of turns, one when it is warm and one for each further line on standard input.
"""

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bench.artifacts.cardless_input import CardlessInput
from bench.machine import conditions as watch
from bench.measure import end_to_end, interleaving
from bench.measure.job import EXIT_FELL_BACK, EXIT_REFUSED, REASON, TRIAL_PICTURES, Job
from bench.results.samples import NO_PATH
from bench.runtimes import FellBack, KnowsWhere, Profiles, Session, find_runtime, open_model
from bench.runtimes.support import operation_profile
from bench.runtimes.support.cardless_session import CardlessSession
from device.card import Card
from device.errors import EXIT_FAILED, EXIT_OK, EdgeproofError
from device.inference import require_numbers
from device.process import confine_memory, end_at_once, end_with_parent, leave_no_core_file
from device.timing import WarmUp, peak_rss_bytes, time_queries, warm_up

TENSORS = 64  # used in turn to measure latency


@runtime_checkable
class AnswersBatches(Protocol):
    """A session that answers many pictures at a time."""

    top_scores: npt.NDArray[np.float32] | None  # (N,), of the last call of `answers`

    def answers(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the top class (N,) of each picture (N, H, W, C)."""


class ScoresWatched:
    """A session that records the top score of each picture, if the model's scores are real numbers."""

    def __init__(self, session: Session | CardlessSession) -> None:
        self._session, self.runtime_version = session, session.runtime_version
        self._seen: list[float] = []
        self._quantized = False

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """Return the session's input of prepared pixels (H, W, C), uint8."""
        return self._session.tensor(pixels)

    def infer(self, tensor: Any) -> Any:
        """Run the model once, and note whether its output is quantized."""
        output = self._session.infer(tensor)
        self._quantized |= np.asarray(output).dtype.kind != "f"
        return output

    def scores(self, output: Any) -> npt.NDArray[np.float32]:
        """Return the scores of an output, (classes,), and record the top one."""
        scores = self._session.scores(output)
        self._seen.append(float(scores.max()))
        return scores

    @property
    def top_scores(self) -> npt.NDArray[np.float32] | None:
        """Return the top scores (N,), or None for a quantized output: its steps of 1/256 are too coarse."""
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
        sys.stderr.write(f"\n{REASON}out of memory: it needs more than {job.memory_bytes / 1e6:,.0f} MB\n")
        return EXIT_FAILED
    return EXIT_OK


def confine(memory_bytes: int, parent_id: int) -> None:
    """Limit this process's memory, so that a model that takes too much loses its row, not the run or the machine.

    The limit is on private writable memory (RLIMIT_DATA, getrlimit(2)): the kernel enforces it at the allocation, without
    a watcher that would disturb the timing. Libraries that map much address space without using it are not affected. Should
    memory run out all the same, the kernel ends this process first. It ends with the run that started it, and leaves no
    core file.
    """
    leave_no_core_file()
    if memory_bytes:
        confine_memory(memory_bytes)
    with contextlib.suppress(OSError):  # /proc may be read-only in a container
        Path("/proc/self/oom_score_adj").write_text("1000")
    end_with_parent(parent_id)


def run(job: Job) -> None:
    """Measure and write the result."""
    clock = time.perf_counter_ns
    runtime = find_runtime(job.runtime)
    card = None if job.card is None else Card.from_json(job.card)
    cardless = None if job.cardless is None else CardlessInput.from_json(job.cardless)
    start_ns = clock()
    runtime.import_library()
    imported_ns = clock()
    session = open_model(runtime, Path(job.path), card, cardless, job.threads)
    loaded_ns = clock()
    startup = Startup(session, imported_ns - start_ns, loaded_ns - imported_ns, inputs(session, card, job.pictures))
    if job.task == "accuracy":
        assert job.pictures is not None
        pictures = np.load(job.pictures, mmap_mode="r", allow_pickle=False)
        watched = session if isinstance(session, AnswersBatches) else ScoresWatched(session)
        answered: dict[str, Any] = {"predictions": answer_pictures(watched, pictures, job.sizes, job.limit_s)}
        if watched.top_scores is not None:
            answered["top_scores"] = watched.top_scores
        _save(job, session, **answered, **ran_on(session, startup.tensors))
    elif job.task == "latency":
        _save(job, session, **measure_latency(job, startup, card), **ran_on(session, startup.tensors))
    elif job.task == "loadgen":
        _save(job, session, loadgen=json.dumps(under_loadgen(session, startup.tensors, job)))
    elif job.task == "profile":
        if not isinstance(runtime, Profiles):
            raise EdgeproofError(f"{job.runtime} has no profiler of operations: profile in litert or onnxruntime")
        operations = runtime.profile(Path(job.path), card, job.threads, startup.tensors)
        _save(job, session, operations=json.dumps(operation_profile.to_json(operations)))
    elif job.task == "turns":
        measured = measure_in_turns(startup, card, job)
        if measured is not None:
            _save(job, session, **measured, **ran_on(session, startup.tensors))
            _print({"saved": True})
    else:
        from bench.measure import sustained_load

        warm_up(session.infer, startup.tensors)
        for minute in sustained_load.minutes(session.infer, startup.tensors, job.duration_ns):
            _print(minute.to_json())


@dataclass(frozen=True)
class Startup:
    """A session that was just opened, how long that took, and its inputs."""

    session: Session | CardlessSession
    import_ns: int
    load_ns: int
    tensors: list[Any]


def inputs(session: Session | CardlessSession, card: Card | None, pictures: str | None) -> list[Any]:
    """Return the inputs to measure with: test pictures, or random ones if there are none."""
    if pictures is not None:
        return [
            session.tensor(np.array(picture)) for picture in np.load(pictures, mmap_mode="r", allow_pickle=False)[:TENSORS]
        ]
    if isinstance(session, CardlessSession):
        return session.random(TENSORS)
    assert card is not None
    shape = (TENSORS, card.height, card.width, card.channels)
    return [session.tensor(pixels) for pixels in np.random.default_rng(0).integers(0, 256, shape, np.uint8)]


def measure_latency(job: Job, startup: Startup, card: Card | None) -> dict[str, Any]:
    """Time the first inference, the warm-up, single queries and the whole path, and record the machine's conditions."""
    begun = Begun.now(startup)
    latency_ns = time_queries(startup.session.infer, startup.tensors, job.queries, job.duration_ns)
    return {"latency_ns": latency_ns, **begun.finished(startup, card, job.files)}


def measure_in_turns(startup: Startup, card: Card | None, job: Job) -> dict[str, Any] | None:
    """Do the same in turns, one for each line on standard input; None where these ended without END."""
    begun = Begun.now(startup)
    _print({"ready": True, "cpu_ns": time.process_time_ns(), "peak_rss_bytes": peak_rss_bytes()})
    turns = interleaving.answer(startup.session.infer, startup.tensors, sys.stdin, _print, job.threads)
    if turns is None:
        return None
    if not turns.latency_ns:
        raise EdgeproofError("it was ended before its first turn")
    latency_ns = np.concatenate(turns.latency_ns)
    sizes = np.array([len(turn) for turn in turns.latency_ns], np.int64)
    finished = begun.finished(startup, card, job.files, turns.waited)
    return {"latency_ns": latency_ns, "turn_queries": sizes, **finished}


@dataclass(frozen=True)
class Begun:
    """A session after its first inference and its warm-up, when its timed queries begin."""

    first_ns: int
    warmed: WarmUp
    before: watch.Reading

    @classmethod
    def now(cls, startup: Startup) -> "Begun":
        """Time the first inference and warm up."""
        start_ns = time.perf_counter_ns()
        startup.session.infer(startup.tensors[0])
        first_ns = time.perf_counter_ns() - start_ns
        warmed = warm_up(startup.session.infer, startup.tensors)
        return cls(first_ns, warmed, watch.read())

    def finished(
        self, startup: Startup, card: Card | None, files: Sequence[str], waited: float | None = None
    ) -> dict[str, Any]:
        """Return what stands beside the latencies, which end now; the whole path is timed last."""
        conditions = replace(watch.between(self.before, watch.read()), steady=self.warmed.steady, waited=waited)
        # read before pictures are decoded: this is the model's memory, not the pictures'; gVisor does not say it
        peak_bytes = peak_rss_bytes() or 0
        steady_ns = self.first_ns + self.warmed.steady_ns
        return {
            "warmup_calls": self.warmed.calls,
            "startup_ns": [startup.import_ns, startup.load_ns, self.first_ns, steady_ns],
            "conditions": json.dumps(conditions.to_json()),
            "peak_rss_bytes": peak_bytes,
            "path_ns": NO_PATH if card is None else end_to_end.time_pictures(startup.session, card, files),
        }


def ran_on(session: Session | CardlessSession, tensors: list[Any]) -> dict[str, Any]:
    """Return where a session on an accelerator really computed; done last, since it costs time and memory."""
    if not isinstance(session, KnowsWhere):
        return {}
    device = session.ran_on(tensors[0])
    return {"accelerator": device.accelerator, "accelerator_name": device.name}


def under_loadgen(session: Session | CardlessSession, tensors: list[Any], job: Job) -> dict[str, Any]:
    """Let MLPerf's LoadGen send the queries, and return its result."""
    from bench.measure.loadgen import run_loadgen

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


def _save(job: Job, session: Session | CardlessSession, **measured: Any) -> None:
    np.savez(job.result, runtime_version=np.array(session.runtime_version), **measured)


def answer_pictures(
    session: Session | CardlessSession, pictures: npt.NDArray[np.uint8], sizes: tuple[int, ...], limit_s: float
) -> npt.NDArray[np.uint16]:
    """Return the top class of the first pictures (N, H, W, C), as many as the first of `sizes` that fits into `limit_s`.

    What counts is the CPU time of a trial, by its median picture: a busy machine lengthens the time on the clock, and must
    not change how many pictures a row answers.
    """
    if isinstance(session, AnswersBatches):
        return session.answers(np.array(pictures[: sizes[0]])).astype(np.uint16)
    answers: list[int] = []
    spent_ns: list[int] = []
    count = sizes[0]
    for number, picture in enumerate(pictures):
        if number == count:
            break
        start_ns = time.process_time_ns() if number < TRIAL_PICTURES else 0
        scores = session.scores(session.infer(session.tensor(np.array(picture))))
        require_numbers(scores)  # as on a device
        answers.append(int(scores.argmax()))
        if number < TRIAL_PICTURES:
            spent_ns.append(time.process_time_ns() - start_ns)
        if number + 1 == TRIAL_PICTURES:
            picture_s = float(np.median(spent_ns)) / 1e9
            count = next((size for size in sizes if size * picture_s <= limit_s), sizes[-1])
    return np.array(answers, np.uint16)


if __name__ == "__main__":
    end_at_once(main())  # TensorFlow tidies up for a second, and a run ends hundreds of such processes
