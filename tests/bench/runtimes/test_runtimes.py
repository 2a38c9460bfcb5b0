"""Every runtime: found by its name, and answering as it should."""

import json
from functools import lru_cache
from pathlib import Path

import pytest

from bench.runtimes import Accelerated, find_runtime, runtime_names
from device.errors import EdgeproofError
from tests.conftest import ROOT, Tiny, run

SCORES_SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from bench.artifacts.find import find_artifacts
from bench.runtimes import find_runtime
runtime, found = find_runtime(sys.argv[1]), find_artifacts([Path(sys.argv[2])])[0]
runtime.import_library()
session = runtime.open_session(found.path, found.card, threads=1)
pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
print(json.dumps(session.scores(session.infer(session.tensor(pixels))).tolist()))
"""


@lru_cache
def scores_in(runtime: str, path: Path) -> list[float]:
    """Return a runtime's scores of one noise picture; in its own process, since TFLite runtimes break one another."""
    result = run(["-c", SCORES_SCRIPT, runtime, str(path)], ROOT)
    assert result.code == 0, result.stderr
    scores: list[float] = json.loads(result.stdout.splitlines()[-1])
    return scores


class TestRuntimes:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", [name for name in runtime_names() if not isinstance(find_runtime(name), Accelerated)])
    def test_opens_its_format_and_answers_as_keras(self, tiny: Tiny, name: str) -> None:
        file_format = sorted(find_runtime(name).FORMATS)[0]
        keras_file = tiny.folder / "mnist_cnn.keras"
        path = keras_file if file_format == "keras" else tiny.artifact(f"float32.{file_format}")
        assert scores_in(name, path) == pytest.approx(scores_in("keras", keras_file), abs=1e-5)

    def test_an_unknown_one_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="onnxruntime"):
            find_runtime("tvm")
