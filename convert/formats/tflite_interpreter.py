"""Opening a `.tflite` in LiteRT during conversion: on one thread, as in all figures of the project."""

import warnings
from typing import Any


def opened(data: bytes, keep_all: bool = False) -> Any:
    """Return an allocated Interpreter; with `keep_all` every tensor can be read after a run, not only the outputs."""
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns that keeping all tensors takes memory
        interpreter = Interpreter(model_content=data, num_threads=1, experimental_preserve_all_tensors=keep_all)
    interpreter.allocate_tensors()
    return interpreter
