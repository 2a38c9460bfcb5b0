"""Stands in for tflite-micro's interpreter: LiteRT's reference kernels in an arena; STAND_IN says what goes wrong."""

import os
import signal
import time
from typing import Any

import numpy as np

NEEDED_BYTES, HEAD_BYTES = 31_552, 21_504
CRASHES_BELOW_BYTES = 4_096
HOW = os.environ.get("STAND_IN", "")


class Interpreter:
    """Works in an arena of NEEDED_BYTES or more."""

    def __init__(self, data: bytes, arena_size: int) -> None:
        from ai_edge_litert.interpreter import Interpreter as Litert, OpResolverType

        print("Number of resource variables the model uses =  0")  # noqa: T201  # as the real one does
        if HOW == "refuses":
            os.write(2, b"tensorflow/lite/conv.cc:42 Hybrid models are not supported on TFLite Micro.\n")
            os.write(2, b"Node CONV_2D (number 2) failed to prepare with status 1\n")
            raise RuntimeError("TFLM failed to allocate tensors")
        if arena_size < CRASHES_BELOW_BYTES:  # as the real one does in an arena that is far too small
            os.kill(os.getpid(), signal.SIGSEGV)
        if arena_size < NEEDED_BYTES:
            os.write(2, b"Failed to resize buffer.\n")
            raise RuntimeError("TFLM failed to allocate tensors")
        self._litert = Litert(model_content=data, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
        self._litert.allocate_tensors()
        self._takes: dict[str, Any]
        self._gives: dict[str, Any]
        self._takes, self._gives = self._litert.get_input_details()[0], self._litert.get_output_details()[0]

    @classmethod
    def from_bytes(cls, data: bytes, arena_size: int) -> "Interpreter":
        return cls(data, arena_size)

    def get_input_details(self, index: int) -> dict[str, Any]:  # noqa: ARG002
        return self._takes

    def get_output_details(self, index: int) -> dict[str, Any]:  # noqa: ARG002
        return self._gives

    def set_input(self, values: Any, index: int) -> None:  # noqa: ARG002
        self._litert.set_tensor(self._takes["index"], values)

    def invoke(self) -> None:
        if HOW == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        if HOW == "hangs":
            time.sleep(600)
        self._litert.invoke()

    def get_output(self, index: int) -> Any:  # noqa: ARG002
        output = np.array(self._litert.get_tensor(self._gives["index"]))
        if HOW == "wrong":
            output.reshape(-1)[0] ^= 1
        return output[:, :-1] if HOW == "short" else output

    def print_allocations(self) -> None:
        head = f"[RecordingMicroAllocator] Arena allocation head {HEAD_BYTES} bytes\n"
        os.write(2, head.encode())
