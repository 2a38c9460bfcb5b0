"""Sessions of models that were not made here: any number of inputs and outputs, any numeric type, free sides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from device.card import Card
from device.errors import ModelError, RuntimeMissing
from device.outputs import UNSAID, meant_scores
from device.preprocessing.encoding import NCHW, Encoding, Quantization, encoding_of
from device.runtimes import TFLITE_RUNTIMES, import_tflite

ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Tensor:
    """An input or output: scale 0 means that it is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantization(self) -> Quantization:
        """Return scale and zero point."""
        return Quantization(self.scale, self.zero_point)

    def random(self, source: np.random.Generator) -> npt.NDArray[Any]:
        """Return values that any model accepts: 0..1 for floats, all values for 8 bits, and 0 or 1 for indices and flags."""
        if np.issubdtype(self.dtype, np.floating):
            return source.random(self.shape).astype(self.dtype)
        if self.dtype.itemsize == 1 and self.dtype != np.bool_:
            limits = np.iinfo(self.dtype)
            return source.integers(limits.min, limits.max, self.shape, self.dtype, endpoint=True)
        return source.integers(0, 2, self.shape).astype(self.dtype)


class Model(Protocol):
    """A model that is open in a runtime; only its tensors are known."""

    runtime_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Set all inputs, invoke, get all outputs."""


class CardlessSession:
    """A session as `bench.runtimes.Session`, of a model without a card."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._encoding, self._activation, self._labels = Encoding(), UNSAID, 0
        self.runtime_version, self.infer = model.runtime_version, model.run

    def random(self, count: int) -> list[tuple[npt.NDArray[Any], ...]]:
        """Return `count` random inputs, always the same ones."""
        source = np.random.default_rng(0)
        return [tuple(tensor.random(source) for tensor in self._model.inputs) for _ in range(count)]

    def fit(self, card: Card) -> None:
        """Use the steps and labels of a card. Raises ModelError where they do not fit the model."""
        inputs, outputs = self._model.inputs, self._model.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"has {len(inputs)} inputs and {len(outputs)} outputs"
            raise ModelError(f"{found}: accuracy needs one of each; without --labels only its latency is measured")
        encoding, labels = encoding_of(card.preprocess), len(card.labels)
        sides = (card.height, card.width)
        expected = (card.channels, *sides) if encoding.layout == NCHW else (*sides, card.channels)
        if inputs[0].shape[1:] not in ((expected, sides) if card.channels == 1 else (expected,)):
            raise ModelError(f"the steps and the layout {encoding.layout} give {(1, *expected)}, it takes {inputs[0].shape}")
        if math.prod(outputs[0].shape[1:]) not in ((labels, 1) if labels == 2 else (labels,)):
            raise ModelError(f"there are {labels} labels, its output is {outputs[0].shape}")
        self._encoding, self._activation, self._labels = encoding, card.activation or UNSAID, labels

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        """Turn pixels (H, W, C), uint8, 0..255, into the input as the card says."""
        tensor = self._model.inputs[0]
        return (self._encoding.tensor(pixels, tensor.shape, tensor.dtype, tensor.quantization),)

    def scores(self, output: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return the scores (classes,), float32, of the first picture, dequantized."""
        values, tensor = output[0].reshape(-1), self._model.outputs[0]
        values = values[: len(values) // self._model.inputs[0].shape[0]]
        if not np.issubdtype(values.dtype, np.floating):
            values = (values.astype(np.int64) - tensor.zero_point) * (tensor.scale or 1.0)
        return meant_scores(values.astype(np.float32), self._activation, self._labels)


class InterpreterModel:
    """A `.tflite` in a TFLite runtime."""

    def __init__(self, path: Path, threads: int, runtime: str, shapes: Mapping[str, Sequence[int]]) -> None:
        """Open the file, set free sides, and allocate. Raises ModelError where the runtime refuses."""
        from importlib import metadata

        _, interpreter_class = import_tflite(runtime)
        self.runtime_version = metadata.version(TFLITE_RUNTIMES[runtime][1])
        try:
            interpreter = interpreter_class(model_path=str(path), num_threads=threads)
            for details in interpreter.get_input_details():
                signature = [int(side) for side in details.get("shape_signature", details["shape"])]
                shape = resolved(path, details["name"], signature, shapes, len(interpreter.get_input_details()))
                if list(shape) != [int(side) for side in details["shape"]]:
                    interpreter.resize_tensor_input(details["index"], list(shape))
            interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
            self.inputs, self.outputs = (tuple(map(_of_details, each)) for each in (inputs, outputs))
        except (ValueError, RuntimeError, TypeError) as error:
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{path}: {runtime} {self.runtime_version} refuses the model: {first_line}") from error
        self._interpreter = interpreter
        self._input_indices = [details["index"] for details in inputs]
        self._output_indices = [details["index"] for details in outputs]

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Set all inputs, invoke, get all outputs."""
        for index, array in zip(self._input_indices, arrays, strict=True):
            self._interpreter.set_tensor(index, array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._output_indices]


def _of_details(details: Mapping[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if dtype.kind not in "fiub":
        raise ModelError(f"tensor {details['name']!r} is of type {dtype}: only numbers can be measured")
    return Tensor(details["name"], tuple(int(side) for side in details["shape"]), dtype, float(scale), int(zero_point))


class OnnxModel:
    """An `.onnx` in onnxruntime on the CPU."""

    def __init__(self, path: Path, threads: int, shapes: Mapping[str, Sequence[int]]) -> None:
        """Open the file. Raises RuntimeMissing, or ModelError where the runtime refuses."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise RuntimeMissing(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
        self.runtime_version = str(ort.__version__)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors only
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exception classes have no public base class
            first_line = str(error).strip().splitlines()[0]
            raise ModelError(f"{path}: onnxruntime {self.runtime_version} refuses the model: {first_line}") from error
        entries = self._session.get_inputs()
        self.inputs = tuple(
            Tensor(entry.name, resolved(path, entry.name, entry.shape, shapes, len(entries)), _onnx_dtype(path, entry))
            for entry in entries
        )
        self.outputs = tuple(
            Tensor(entry.name, tuple(side if isinstance(side, int) else 1 for side in entry.shape), _onnx_dtype(path, entry))
            for entry in self._session.get_outputs()
        )
        self._input_names = [tensor.name for tensor in self.inputs]
        self._output_names = [tensor.name for tensor in self.outputs]

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run with all inputs, return all outputs."""
        result: list[npt.NDArray[Any]] = self._session.run(
            self._output_names, dict(zip(self._input_names, arrays, strict=True))
        )
        return result


def _onnx_dtype(path: Path, entry: Any) -> np.dtype[Any]:
    if entry.type not in ONNX_TYPES:
        raise ModelError(f"{path}: tensor {entry.name!r} is {entry.type}: only tensors of numbers can be measured")
    return np.dtype(ONNX_TYPES[entry.type])


def resolved(
    path: Path, name: str, sides: Sequence[Any], shapes: Mapping[str, Sequence[int]], inputs: int
) -> tuple[int, ...]:
    """Return an input's shape with its free sides set: the first, the batch, to 1, the others as --input-shape says.

    Raises ModelError where the option is missing, or contradicts the model.
    """
    known = [side if isinstance(side, int) and side > 0 else None for side in sides]
    requested = shapes.get(name) or (shapes.get("") if inputs == 1 else None)
    if requested is None:
        if None in known[1:]:
            shown = ",".join("?" if side is None else str(side) for side in known)
            raise ModelError(f"{path}: input {name!r} has free sides ({shown}): give --input-shape '{name}=SIDES'")
        return tuple(1 if side is None else side for side in known)
    if len(requested) != len(known) or any(
        side not in (None, wanted) for side, wanted in zip(known, requested, strict=True)
    ):
        shown = ",".join("?" if side is None else str(side) for side in known)
        raise ModelError(f"{path}: input {name!r} is ({shown}), --input-shape says {tuple(requested)}")
    return tuple(requested)
