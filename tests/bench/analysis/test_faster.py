"""`bench faster`: files against the first of them, in processes that take turns."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.faster import faster, lines, sides_of
from bench.artifacts.find import find_artifacts
from bench.measure.fresh_processes import Side
from bench.measure.interleaving import Round
from device.errors import EXIT_USAGE, EdgeproofError
from tests.conftest import ROOT, needs_tflite_runtime, run_module

READY = ROOT / "data" / "ready"
FULL, CROP = READY / "mnist_cnn.int8.tflite", READY / "mnist_cnn_crop.int8.tflite"


class Simulated:
    """Rounds of processes whose latencies are so many nanoseconds, each scattering by a percent."""

    def __init__(self, *latencies_ns: float) -> None:
        self._logs, self._random = np.log(latencies_ns), np.random.default_rng(0)
        self.rounds = 0

    def round(self, sides: Sequence[Side], order: random.Random) -> Round:
        del order  # simulated latencies come in any
        self.rounds += 1
        logs = self._logs + self._random.normal(0, 0.01, len(sides))
        return Round(logs - logs.mean(), np.exp(logs))


@needs_tflite_runtime
def test_each_file_is_compared_with_the_first() -> None:
    simulated = Simulated(200, 100, 200, 400)
    ratios = faster(sides_of(find_artifacts([FULL, CROP]), ("litert", "tflite_runtime")), 12, simulated)
    assert simulated.rounds == 12
    assert [one.value for one in ratios] == pytest.approx([2, 1, 0.5], rel=0.02)
    assert [one.distinguishable for one in ratios] == [True, False, True]


def test_it_is_said_in_words_which_file_in_which_runtime() -> None:
    sides = sides_of(find_artifacts([FULL, CROP]), ())
    first, second = lines(sides, faster(sides, 8, Simulated(150, 100)))
    assert first == f"against {FULL} in LiteRT:"
    assert second.startswith(f"  {CROP} in LiteRT: 1.50 times faster (1.48 to 1.5")


@needs_tflite_runtime
def test_several_runtimes_are_sides_of_their_own() -> None:
    sides = sides_of(find_artifacts([CROP]), ("litert", "tflite_runtime"))
    assert [(side.found.path, side.runtime) for side in sides] == [(CROP, "litert"), (CROP, "tflite_runtime")]


@pytest.mark.parametrize(
    ("runtimes", "told"),
    [((), "nothing to compare it with"), (("onnxruntime",), "onnxruntime cannot open it"), (("tvm",), "tvm")],
    ids=["alone", "another format's runtime", "unknown runtime"],
)
def test_what_cannot_be_compared_is_refused(runtimes: tuple[str, ...], told: str) -> None:
    with pytest.raises(EdgeproofError, match=told):
        sides_of(find_artifacts([CROP]), runtimes)


@pytest.mark.slow
def test_real_processes_tell_a_ratio(tmp_path: Path) -> None:
    run = run_module("bench", "faster", str(FULL), str(CROP), "--rounds", "2", cwd=tmp_path)
    assert run.code == 0, run.stderr
    assert re.search(rf"^  {CROP} in LiteRT: .*\d times.* to .*\)$", run.stdout, re.MULTILINE)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    run = run_module("bench", "faster", str(FULL), "absent.tflite", cwd=tmp_path)
    assert (run.code, run.stdout) == (EXIT_USAGE, "")
    assert "absent.tflite: no such file" in run.stderr
