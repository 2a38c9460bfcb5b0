"""Every runtime: found by its name, and answering as it should."""

import json
from functools import lru_cache
from pathlib import Path

import pytest

from bench.runtimes import Accelerated, find_runtime, runtime_names, runtimes_by_default
from bench.runtimes.openvino import OpenVinoSession
from device.errors import EdgeproofError, ModelError
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
    @pytest.mark.parametrize(
        ("name", "file_format"),
        [
            (name, file_format)
            for name in runtime_names()
            if not isinstance(find_runtime(name), Accelerated)
            for file_format in sorted(find_runtime(name).FORMATS)
        ],
    )
    def test_opens_its_formats_and_answers_as_keras(self, tiny: Tiny, name: str, file_format: str) -> None:
        keras_file = tiny.folder / "mnist_cnn.keras"
        path = keras_file if file_format == "keras" else tiny.artifact(f"float32.{file_format}")
        assert scores_in(name, path) == pytest.approx(scores_in("keras", keras_file), abs=1e-5)

    def test_an_unknown_one_lists_those_there_are(self) -> None:
        with pytest.raises(EdgeproofError, match="onnxruntime"):
            find_runtime("tvm")

    def test_one_that_must_be_named_is_not_measured_by_default(self) -> None:
        assert set(runtime_names()) - set(runtimes_by_default()) == {"openvino"}


class TestOpenVino:
    def test_answers_a_file_of_8_bits_in_the_scores_that_its_scale_says(self) -> None:
        path = ROOT / "data/ready/mnist_cnn.int8.tflite"
        assert scores_in("openvino", path) == pytest.approx(scores_in("litert", path), abs=2 / 256)

    def test_a_damaged_file_is_refused_by_name(self, tmp_path: Path) -> None:
        path = tmp_path / "cut-off.int8.tflite"
        path.write_bytes((ROOT / "data/ready/mnist_cnn.int8.tflite").read_bytes()[:20_000])
        with pytest.raises(ModelError, match="cut-off"):
            OpenVinoSession(path, 1)
