"""LiteRT's reference kernels: the plain arithmetic that TensorFlow Lite for Microcontrollers' kernels repeat bit for bit.

LiteRT's usual kernels (XNNPACK) round otherwise here and there, so expected answers for a microcontroller come from these.
"""

from pathlib import Path
from typing import Any

import numpy as np

from device.card import Card
from device.errors import ModelError
from device.formats.model_file import read_model_bytes, split_card
from device.process import without_chatter
from device.runtimes import TfliteSession, first_line


class ReferenceSession(TfliteSession):
    """A `.tflite` in LiteRT's reference kernels, ready for one picture at a time."""

    def __init__(self, path: Path, card: Card) -> None:
        """Open the model's own bytes. Raises ModelError where LiteRT refuses them, CardError where the card does not fit."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self.runtime = "litert"
        own = split_card(path, read_model_bytes(path))[0]
        try:
            with without_chatter():
                interpreter = Interpreter(
                    model_content=own, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
                )
                interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except Exception as error:  # mostly ValueError and RuntimeError; MemoryError and others for a damaged file
            raise ModelError(f"{path}: LiteRT's reference kernels refuse the model: {first_line(error)}") from error
        self._take_details(path, inputs, outputs)
        self._interpreter = interpreter
        self.output_dtype = np.dtype(outputs[0]["dtype"])
        self.ends: tuple[dict[str, Any], dict[str, Any]] = (inputs[0], outputs[0])
        self.fit(path, card)
