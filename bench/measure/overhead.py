"""What this harness adds to a latency: our session and its turns compared with bare loops and LiteRT's own benchmark.

`python -m bench.measure.overhead [FILE]`, or `make overhead`. All comparisons are interleaved within one run.
"""

import importlib.util
import json
import math
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact, find_artifacts
from bench.machine.memory import available_memory_bytes
from bench.measure.fresh_processes import FreshProcesses, Side
from bench.measure.interleaving import LOOP
from bench.measure.job import Job
from bench.measure.worker_pool import Workers
from bench.runtimes import find_runtime, preferred_runtimes
from bench.stats import intervals
from bench.stats.promised_ratio import Promise
from common.cli import count_from, run_cli
from common.interval import Interval
from common.paths import BUILD, PROGRAM
from common.python_process import PYTHON
from common.verdict import EXIT_CODES, overall
from device.errors import CheckFailed, EdgeproofError, RuntimeMissing
from device.timing import time_queries, warm_up

RUNTIME = "litert"
THEIRS = "ai_edge_litert.tools.benchmark_litert_model"  # what the command litert-benchmark runs
PICTURES = 64
THEIR_STEP_NS = 10_000  # litert-benchmark rounds its median to hundredths of a millisecond
TIMEOUT_S = 600
AGAINST_BARE = Promise("session over a bare set/invoke/get loop", 0, 1.05)
AGAINST_LOOP = Promise("turns over an uninterrupted loop", 0, 1.02)
SWEEPS = 10  # of a round: a turn of each process, and one uninterrupted loop
AGAINST_THEIRS = Promise("session over litert-benchmark", 0.9, 1.1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=BUILD / "mobilenet_v2" / "mobilenet_v2.int8.tflite")
@click.option("--blocks", type=count_from(3), default=40, show_default=True, help="Blocks of mixed queries.")
@click.option("--queries", type=count_from(16), default=200, show_default=True, help="In each block and process.")
@click.option("--processes", type=count_from(2), default=8, show_default=True, help="Of both benchmarks.")
def main(file: Path, blocks: int, queries: int, processes: int) -> int:
    """Print the ratios of FILE, a .tflite, in LiteRT with one thread: 0 kept, 1 a promise is broken, 3 not shown."""
    found = find_artifacts([file])[0]
    if found.format != "tflite":
        raise EdgeproofError(f"{file}: the comparison is with LiteRT's own tools: name a .tflite")
    measured = [
        (AGAINST_BARE, against_bare_loop(found, blocks, queries)),
        (AGAINST_LOOP, against_uninterrupted_loop(found, processes)),
        (AGAINST_THEIRS, against_litert_benchmark(found, processes, queries)),
    ]
    click.echo(f"{file}, one thread, p50 over p50 with 99 % intervals")
    for promise, ratio in measured:
        click.echo(f"  {promise.line(ratio)}")
    return EXIT_CODES[overall(promise.verdict(ratio) for promise, ratio in measured)]


def against_bare_loop(found: Artifact, blocks: int, queries: int, seed: int = 0) -> Interval:
    """Time both query by query, in random order; the ratio is over the blocks' ratios of medians.

    Whole blocks in turn are not enough: other activity of the machine would affect only one side.
    """
    runtime = find_runtime(RUNTIME)
    runtime.import_library()
    session = runtime.open_session(found.path, found.card, 1)
    tensors = [session.tensor(picture) for picture in noise(found)]
    bare = bare_query(session)
    warm_up(session.infer, tensors)
    order = random.Random(seed)
    sides = (lambda tensor: time_queries(session.infer, [tensor], 1, 0)[0], bare)
    ratios = []
    for _ in range(blocks):
        samples_ns: tuple[list[int], list[int]] = ([], [])
        for number in range(queries):
            first = order.randrange(2)
            for side in (first, 1 - first):
                samples_ns[side].append(int(sides[side](tensors[number % len(tensors)])))
        ratios.append(float(np.median(samples_ns[0]) / np.median(samples_ns[1])))
    return stated(intervals.of_processes(ratios))


def against_uninterrupted_loop(found: Artifact, rounds: int, seed: int = 0) -> Interval:
    """Let the file take turns with all files of its folder, as in `bench run`, and measure a loop after each of its turns.

    The ratio of p50s is what the data of the other processes in the caches costs; each round is a fresh process.
    """
    beside = sorted(path for ending in ("tflite", "onnx") for path in found.path.parent.glob(f"*.{ending}"))
    files = find_artifacts([path for path in beside if path != found.path] or [found.path])
    runtimes = [(name, find_runtime(name).FORMATS) for name in preferred_runtimes()]
    others = [Side(one, name) for one in files for name, formats in runtimes if one.format in formats]
    order, ratios = random.Random(seed), []
    with FreshProcesses(lambda _: None) as fresh:
        for _ in range(rounds):
            with fresh.side_by_side([Side(found, RUNTIME), *others], order) as (own, *rest):
                sweeps = []
                for _ in range(SWEEPS):
                    for partner in order.sample(rest, len(rest)):
                        partner.ask()
                    sweeps.append(own.ask().p50_ns / own.ask(LOOP).p50_ns)
            ratios.append(float(np.median(sweeps)))
    return stated(intervals.of_processes(ratios))


def bare_query(session: Any) -> Callable[[Any], int]:
    """Return a function that times a query of a tensor with nothing between the clock and the interpreter.

    It uses the session's own interpreter: another one has other memory addresses, which changes the time by some percent.
    """
    interpreter, source, target = session._interpreter, session._input_index, session._output_index
    set_tensor, invoke, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
    clock = time.perf_counter_ns

    def query(tensor: Any) -> int:
        start_ns = clock()
        set_tensor(source, tensor)
        invoke()
        get_tensor(target)
        return clock() - start_ns

    return query


def against_litert_benchmark(found: Artifact, processes: int, queries: int, seed: int = 0) -> Interval:
    """Run our worker and litert-benchmark in fresh processes, in random order; each process is one sample."""
    if importlib.util.find_spec(THEIRS) is None:
        raise RuntimeMissing("this ai-edge-litert has no litert-benchmark: pip install ai-edge-litert==2.3.0")
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as name:
        scratch = Path(name)
        np.save(scratch / "pictures.npy", noise(found))
        sides = {"ours": our_p50_ns, "theirs": their_p50_ns}
        schedule = [side for side in sides for _ in range(processes)]
        random.Random(seed).shuffle(schedule)
        p50s_ns: dict[str, list[float]] = {side: [] for side in sides}
        for side in schedule:
            p50s_ns[side].append(sides[side](found, scratch, queries))
    return with_rounding(stated(intervals.of_ratio(p50s_ns["ours"], p50s_ns["theirs"])), min(p50s_ns["theirs"]))


def with_rounding(ratio: Interval, rounded_ns: float, step_ns: float = THEIR_STEP_NS) -> Interval:
    """Widen the interval of a ratio by what rounding hides, where its denominator is rounded to multiples of `step_ns`.

    Processes show nothing of it: all of them are rounded alike.
    """
    half_ns = step_ns / 2
    high = ratio.high * rounded_ns / (rounded_ns - half_ns) if rounded_ns > half_ns else math.inf
    return Interval(ratio.value, ratio.low * rounded_ns / (rounded_ns + half_ns), high)


def stated(found: Interval | None) -> Interval:
    """Return the interval, which exists: the options require at least two samples."""
    assert found is not None
    return found


def our_p50_ns(found: Artifact, scratch: Path, queries: int) -> float:
    """Return the p50 of one process of this bench, in nanoseconds."""
    job = Job(
        task="latency",
        runtime=RUNTIME,
        path=str(found.path.resolve()),
        card=dict(found.card.document),
        threads=1,
        pictures=str(scratch / "pictures.npy"),
        queries=queries,
    )
    with Workers(scratch, available_memory_bytes()).result_of(job) as arrays:
        return float(np.median(arrays["latency_ns"]))


def their_p50_ns(found: Artifact, scratch: Path, queries: int) -> float:
    """Return the p50 of one process of litert-benchmark, in nanoseconds, rounded to THEIR_STEP_NS."""
    result = scratch / "theirs.json"
    arguments = ["--model", str(found.path.resolve()), "--num_runs", str(queries), "--warmup_runs", "64"]
    _run([*PYTHON, "-m", THEIRS, *arguments, "--num_threads", "1", "--result_json", str(result)], "")
    try:
        return float(json.loads(result.read_text())["latency"]["median_ms"]) * 1e6
    except (OSError, ValueError, KeyError) as error:
        raise CheckFailed(f"litert-benchmark wrote no result ({error}): install ai-edge-litert 2.3.0") from error


def noise(found: Artifact) -> npt.NDArray[np.uint8]:
    """Return random pictures, (N, H, W, C), of the size that the model takes."""
    card = found.card
    return np.random.default_rng(0).integers(0, 256, (PICTURES, card.height, card.width, card.channels), np.uint8)


def _run(command: Sequence[str], text: str) -> None:
    process = subprocess.run(
        command, cwd=PROGRAM, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if process.returncode != 0:
        last = (process.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise CheckFailed(f"{THEIRS} ended with {process.returncode}: {last}")


if __name__ == "__main__":
    run_cli(main, "bench.measure.overhead")
