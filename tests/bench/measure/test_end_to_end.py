"""The whole path from a picture file to the answer."""

import json

import numpy as np
import pytest

from bench.results.measurement import path_of
from bench.results.row import PathSpans
from tests.conftest import ROOT, Tiny, run

PATH_SCRIPT = """
import json, sys
from pathlib import Path
from bench.artifacts.find import find_artifacts
from bench.runtimes import find_runtime
from bench.measure.end_to_end import time_pictures
runtime, found = find_runtime(sys.argv[1]), find_artifacts([Path(sys.argv[2])])[0]
runtime.import_library()
session = runtime.open_session(found.path, found.card, threads=1)
print(json.dumps(time_pictures(session, found.card, sys.argv[3:]).tolist()))
"""


class TestWholePath:
    @pytest.mark.parametrize(("runtime", "key"), [("litert", "int8.tflite"), ("onnxruntime", "float32.onnx")])
    def test_decode_prepare_invoke_and_post_process_are_the_end_to_end_time(
        self, tiny: Tiny, runtime: str, key: str
    ) -> None:
        files = sorted((tiny.data / "test").rglob("*.png"))[:10]
        result = run(["-c", PATH_SCRIPT, runtime, tiny.artifact(key), *files], ROOT)
        assert result.code == 0, result.stderr
        spans = np.array(json.loads(result.stdout.splitlines()[-1]))
        parts, whole = spans[:, :-1].sum(axis=1), spans[:, -1]
        assert (spans > 0).all()
        assert (parts <= whole).all()  # one clock, one chain: parts cannot exceed the whole
        assert np.median(parts / whole) >= 0.95

    def test_the_spans_of_the_middle_pictures_are_stored_with_what_is_unaccounted(self) -> None:
        spans = np.array([[1, 2, 3, 4, 11], [2, 2, 3, 4, 12], [3, 2, 3, 4, 14]], np.int64) * 1_000_000
        assert path_of(spans) == PathSpans(2.0, 2.0, 3.0, 4.0, 12.0, 1.0)

    def test_parts_add_up_on_a_machine_of_two_paces(self) -> None:
        quick, slow = [100, 100, 1_000, 10, 1_212], [100, 100, 9_000, 10, 9_212]
        decode_slow = [5_000, 100, 1_000, 10, 6_112]
        path = path_of(np.array([quick] * 40 + [slow] * 30 + [decode_slow] * 30, np.int64))
        assert path is not None
        parts = path.decode_ms + path.prepare_ms + path.invoke_ms + path.postprocess_ms
        assert parts + path.unaccounted_ms == pytest.approx(path.end_to_end_ms)
        assert parts >= 0.95 * path.end_to_end_ms

    def test_without_pictures_there_is_none(self) -> None:
        assert path_of(np.empty((0, 5), np.int64)) is None
