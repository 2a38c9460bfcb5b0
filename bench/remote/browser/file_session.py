"""A model whose answers come from elsewhere: the file says what its ends are, and outputs are given in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device.card import Card
from device.errors import ModelError
from device.formats.model_facts import model_facts
from device.formats.model_file import read_model_bytes
from device.formats.model_graph import FREE, TensorFacts
from device.runtimes import FittedSession

NUMBERS = "fiu"  # numpy's kinds


class FileSession(FittedSession):
    """The two ends of a `.tflite` or `.onnx`, as the file has them; `infer` gives the next of the outputs."""

    def __init__(self, path: Path, card: Card, runtime: str, version: str) -> None:
        """Read the file, without a runtime. Raises ModelError or CardError where it cannot be used."""
        facts = model_facts(path, read_model_bytes(path))
        self.runtime, self.runtime_version = runtime, version
        self.input_shape, self.input_dtype = _shape(facts.input), _dtype(path, facts.input)
        self.output_shape, self.output_dtype = _shape(facts.output), _dtype(path, facts.output)
        self._input_quantization, self._output_quantization = facts.input.quantization, facts.output.quantization
        self._outputs: Iterator[npt.NDArray[Any]] = iter(())
        self.fit(path, card)

    @property
    def outputs(self) -> int:
        """Return how many values an output has."""
        return int(np.prod(self.output_shape))

    def answer_with(self, outputs: npt.NDArray[Any]) -> None:
        """Give these outputs (N, values), one for each of the next N inferences."""
        self._outputs = iter(outputs)

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:  # noqa: ARG002  # the page has got it
        """Return the next output."""
        return next(self._outputs)


def _shape(tensor: TensorFacts) -> tuple[int, ...]:
    return tuple(1 if side == FREE else side for side in tensor.shape)


def _dtype(path: Path, tensor: TensorFacts) -> np.dtype[Any]:
    kind = np.dtype(tensor.dtype) if hasattr(np, tensor.dtype) else np.dtype(bool)
    if kind.kind not in NUMBERS:
        raise ModelError(f"{path}: takes or gives {tensor.dtype}, expected numbers")
    return kind
