"""The figures of a trial's artifact. All but its accuracy follow from the size of the network, not from its weights."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact, find_artifacts
from bench.machine.memory import available_memory_bytes
from bench.measure.fresh_processes import FreshProcesses, Side
from bench.measure.host_counter import count_here
from bench.measure.interleaving import take_turns
from bench.measure.phases import Phases
from bench.measure.worker_pool import Workers
from bench.remote.connect import filled_in
from bench.remote.device_config import find_device
from bench.remote.emulation.device import of_core
from bench.remote.emulation.run_phases import run_emulated
from bench.remote.emulation.user_space import find_user_space
from bench.remote.microcontroller.measuring import Interpreters
from bench.remote.microcontroller.run import WORKERS
from bench.results.measurement import NS_PER_MS
from bench.results.row import HOST
from bench.search.budget_line import NOISY
from bench.search.spec import SearchSpec
from bench.stats import intervals
from bench.stats.ratios import STATED_ERROR
from common.files import scratch_folder
from common.micro_figures import DEVICE, MicroFigures, how_to_set_up
from common.python_process import module_command
from device.errors import EdgeproofError
from device.formats.model_file import model_size_bytes, read_model_bytes, split_card

ROUNDS = 3  # of fresh processes that take turns
FINAL_ROUNDS = 8  # of those that may win
BYTES_PER_MB = 1e6
MEMORY_SHARE = 4  # of what is free, for the interpreter's processes
Figures = dict[str, float]


class Measures(Protocol):
    """Measures artifacts."""

    def of(self, path: Path, runtime: str) -> Figures:
        """Return the figures that the search needs. Raises EdgeproofError where one cannot be measured."""

    def latencies(self, paths: Sequence[Path], runtime: str) -> list[Figures]:
        """Measure artifacts in turns with each other and the reference: their latencies, more exactly than `of` does."""

    def micro(self, path: Path) -> MicroFigures:
        """Return what a microcontroller's interpreter needs of an artifact. Raises EdgeproofError where it is not here."""


@contextmanager
def measures_for(spec: SearchSpec, say: Callable[[str], None]) -> Iterator[Measures]:
    """Yield what measures the figures of a search's trials on this machine. Raises EdgeproofError."""
    with ExitStack() as stack:
        yield _Measures(spec, stack, say)


class _Measures:
    def __init__(self, spec: SearchSpec, stack: ExitStack, say: Callable[[str], None]) -> None:
        self._spec = spec
        self._scratch = stack.enter_context(scratch_folder())
        self._order = random.Random(spec.seed)
        self._fresh = stack.enter_context(FreshProcesses(say, with_pictures=False))
        self._interpreter = _Interpreter(self._scratch) if "arena_bytes" in spec.figures else None
        self._device = None
        if "instructions" in spec.figures and spec.core != HOST:
            self._device = of_core(spec.core)
            find_user_space(self._device)  # it says what is missing before anything is trained
        self._reference = None if spec.reference is None else find_artifacts([spec.reference])[0]

    def of(self, path: Path, runtime: str) -> Figures:
        wanted = self._spec.figures
        found: Figures = {"size_bytes": model_size_bytes(path)}
        if path.suffix == ".tflite":
            found["flash_bytes"] = len(split_card(path, read_model_bytes(path))[0])
        (artifact,) = find_artifacts([path])
        if self._interpreter is not None:
            found["arena_bytes"] = self._interpreter.of(artifact).arena_bytes
        if "instructions" in wanted:
            found["instructions"] = self._instructions(path, runtime)
        if wanted & NOISY:
            found |= self._timed(artifact, runtime)
        return found

    def micro(self, path: Path) -> MicroFigures:
        return (self._interpreter or _Interpreter(self._scratch)).of(find_artifacts([path])[0])

    def _instructions(self, path: Path, runtime: str) -> float:
        phases = Phases(path, runtime)
        if self._device is None:
            return float(count_here(phases).steady_inference)
        return float(run_emulated(phases, self._device)[1].steady_inference)

    def latencies(self, paths: Sequence[Path], runtime: str) -> list[Figures]:
        assert self._reference is not None
        sides = [Side(found, runtime) for found in find_artifacts(paths)]
        return self._rounds([*sides, Side(self._reference, runtime)], FINAL_ROUNDS).ratios

    def _timed(self, artifact: Artifact, runtime: str) -> Figures:
        """Return latency, over that of the reference too where there is one, and peak memory; all in turns."""
        sides = [Side(artifact, runtime), *([Side(self._reference, runtime)] if self._reference else [])]
        done = self._rounds(sides, ROUNDS)
        return {"peak_rss_mb": done.peak_mb, **(done.ratios[0] if self._reference else {"latency_ms": done.p50_ms[0]})}

    def _rounds(self, sides: Sequence[Side], rounds: int) -> "_Rounds":
        """Measure the sides in turns, in fresh processes each round."""
        logs, p50_ns, peaks = [], [], []
        for _ in range(rounds):
            with self._fresh.side_by_side(sides, self._order) as partners:
                done = take_turns(partners, self._order)
                peaks.append(int(partners[0].talk.ready["peak_rss_bytes"] or 0))
            logs.append(done.log_ratios - done.log_ratios[-1])
            p50_ns.append(done.p50_ns)
        return _Rounds(np.array(logs), np.median(p50_ns, axis=0) / NS_PER_MS, max(peaks) / BYTES_PER_MB)


@dataclass(frozen=True)
class _Rounds:
    """What rounds of turns have shown."""

    logs: npt.NDArray[np.float64]  # of each side's latency over the last side's (rounds, sides)
    p50_ms: npt.NDArray[np.float64]  # (sides,)
    peak_mb: float  # of the first side

    @property
    def ratios(self) -> list[Figures]:
        """Return the latency of each side but the last, and its ratio to the last one's with the 95 % interval."""
        found = [intervals.of_log_differences(logs, STATED_ERROR) for logs in self.logs[:, :-1].T]
        return [
            {
                "latency_ms": float(p50_ms),
                "latency_ratio": one.value,
                "latency_ratio_low": one.low,
                "latency_ratio_high": one.high,
            }
            for one, p50_ms in zip(found, self.p50_ms, strict=False)
        ]


class _Interpreter:
    """A microcontroller's interpreter, which finds the least arena."""

    def __init__(self, scratch: Path) -> None:
        python = [filled_in(word) for word in find_device(DEVICE).python]
        if shutil.which(python[0]) is None:
            raise EdgeproofError(f"{python[0]} is not there, and the arena is measured with it: {how_to_set_up()}")
        memory_bytes = available_memory_bytes() // MEMORY_SHARE
        self._scratch = scratch
        self._interpreters = Interpreters(
            Workers(scratch, memory_bytes, module_command(f"{WORKERS}.micro_worker", python=python)),
            Workers(scratch, memory_bytes, module_command(f"{WORKERS}.reference_worker")),
        )

    def of(self, artifact: Artifact) -> MicroFigures:
        card = artifact.card
        none = np.zeros((1, card.height, card.width, card.channels), np.uint8)
        return self._interpreters.measure(artifact.path, card, none, self._scratch).figures
