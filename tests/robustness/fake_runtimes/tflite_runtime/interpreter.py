"""An interpreter that works, crashes, uses too much memory or hangs, as the name of the model file says."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

HANGS_IN_PROCESS = 3
BUSY_S = 1.3


class Interpreter:
    """Replaces tflite_runtime.interpreter.Interpreter, with one float input (1, 4) and one output (1, 2)."""

    def __init__(self, model_path: str, num_threads: int) -> None:  # noqa: ARG002
        self._path, self._kept = Path(model_path), [np.ones(1)]
        self._first_s = time.monotonic()
        starts = self._path.with_suffix(".starts")
        with starts.open("a") as file:
            file.write(f"{os.getpid()}\n")
        self._process = len(starts.read_text().splitlines())

    def allocate_tensors(self) -> None:
        if "refused" in self._path.name:
            raise ValueError("no such operation")

    def get_input_details(self) -> list[dict[str, Any]]:
        shape = np.array([1, 4])
        return [{"name": "in", "index": 0, "shape": shape, "dtype": np.float32, "quantization": (0.0, 0)}]

    def get_output_details(self) -> list[dict[str, Any]]:
        shape = np.array([1, 2])
        return [{"name": "out", "index": 1, "shape": shape, "dtype": np.float32, "quantization": (0.0, 0)}]

    def set_tensor(self, index: int, value: Any) -> None: ...

    def invoke(self) -> None:
        if "crashing" in self._path.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hungry" in self._path.name:
            self._kept.append(np.ones(4_000_000))
        if "hanging" in self._path.name and self._process >= HANGS_IN_PROCESS:
            time.sleep(600)
        if "busy" in self._path.name and time.monotonic() > self._first_s + BUSY_S:
            self._path.with_suffix(".busy").touch()

    def get_tensor(self, index: int) -> Any:  # noqa: ARG002
        return np.array([[0.25, 0.75]], np.float32)
