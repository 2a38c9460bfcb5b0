"""One model in TensorFlow Lite for Microcontrollers' interpreter, in an environment of its own: see serving.py."""

import os
import re
import sys
from base64 import b64decode
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from bench.remote.microcontroller.serving import NotInstalled, Refused, serve
from common.micro_figures import how_to_set_up
from common.native_log import captured
from device.process import end_with_parent

LARGEST_ARENA_BYTES = 256 << 20  # more than any microcontroller has; memory that is not used costs nothing
HEAD = re.compile(r"Arena allocation head (\d+) bytes")  # tensors and scratch memory; the tail has all else
NODE = re.compile(r"^Node (\w+) \(number ", re.MULTILINE)
SOURCE = re.compile(r"^\S+\.(cc|h)(:\d+)? ")
NO_CAUSE = "TensorFlow Lite for Microcontrollers gives no reason"


class MicroModel:
    """A model and its interpreter; for each arena that is tried another interpreter."""

    def __init__(self, path: Path) -> None:
        try:
            from tflite_micro.python.tflite_micro import runtime
        except ImportError as error:
            raise NotInstalled(f"tflite-micro cannot be imported ({error}): {how_to_set_up()}") from error
        self._library, self._data = runtime, path.read_bytes()
        with captured() as log:
            try:
                self._interpreter = self._opened(LARGEST_ARENA_BYTES)
                self._takes = self._interpreter.get_input_details(0)
                self._gives = self._interpreter.get_output_details(0)
            except (RuntimeError, ValueError, IndexError) as error:
                raise Refused(f"the interpreter refuses the model: {_cause(log(), error)}") from error

    def facts(self) -> dict[str, Any]:
        """Return the version and the two ends."""
        version = metadata.version("tflite-micro")
        return {"version": version, "input": _details(self._takes), "output": _details(self._gives)}

    def infer(self, tensor: bytes) -> bytes:
        """Set the input, invoke, get the output."""
        with captured() as log:
            try:
                return self._run(self._interpreter, tensor)
            except (RuntimeError, ValueError) as error:
                raise Refused(f"the interpreter cannot run the model: {_cause(log(), error)}") from error

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Say whether an arena is large enough for an inference, or how much of it tensors take after one."""
        if "works" in request:
            return {"works": self._works(request["works"], b64decode(request["tensor"]))}
        with captured() as log:
            self._interpreter.print_allocations()
            found = HEAD.search(log())
        return {"tensor_bytes": int(found[1]) if found else 0}

    def _works(self, arena_bytes: int, tensor: bytes) -> bool:
        """Try an arena in a child process: one that is too small may crash the interpreter."""
        child = os.fork()
        if child == 0:
            end_with_parent()
            try:
                self._run(self._opened(arena_bytes), tensor)
            except BaseException:  # whatever it is, the arena is not enough
                os._exit(1)
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0

    def _opened(self, arena_bytes: int) -> Any:
        return self._library.Interpreter.from_bytes(self._data, arena_size=arena_bytes)

    def _run(self, interpreter: Any, tensor: bytes) -> bytes:
        interpreter.set_input(np.frombuffer(tensor, self._takes["dtype"]).reshape(self._takes["shape"]), 0)
        interpreter.invoke()
        output: bytes = np.asarray(interpreter.get_output(0)).tobytes()
        return output


def _details(tensor: dict[str, Any]) -> dict[str, Any]:
    quantization = tensor["quantization_parameters"]
    scales, zero_points = (list(quantization[name]) for name in ("scales", "zero_points"))
    one = (float(scales[0]), int(zero_points[0])) if len(scales) == 1 else (0.0, 0)
    return {
        "shape": [int(side) for side in tensor["shape"]],
        "dtype": np.dtype(tensor["dtype"]).name,
        "quantization": one,
    }


def _cause(log: str, error: Exception) -> str:
    """Return the operation that failed, and the first line that native code wrote, without the place in its source.

    That line names the cause; the lines after it and the exception name the effect.
    """
    cause = next((line.strip() for line in log.splitlines() if line.strip()), str(error) or NO_CAUSE)
    node = NODE.search(log)
    return f"{node[1]}: {SOURCE.sub('', cause)}" if node else SOURCE.sub("", cause)


if __name__ == "__main__":
    sys.exit(serve(MicroModel))
