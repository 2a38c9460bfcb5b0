"""Sessions of models that were not made here: any number of inputs and outputs, any numeric type, free sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.given import Given
from device.classify import TFLITE_RUNTIMES, ModelError, RuntimeMissing, import_tflite

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

    def quantized(self, real: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Turn real values into the tensor's own type."""
        if np.issubdtype(self.dtype, np.floating):
            return real.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        values: npt.NDArray[Any] = np.clip(np.round(real / (self.scale or 1.0)) + self.zero_point, limits.min, limits.max)
        return values.astype(self.dtype)

    def random(self, source: np.random.Generator) -> npt.NDArray[Any]:
        """Return values that any model takes: 0..1 in float, all of 8 bits, and 0 or 1 as indices and flags."""
        if np.issubdtype(self.dtype, np.floating):
            return source.random(self.shape).astype(self.dtype)
        if self.dtype.itemsize == 1 and self.dtype != np.bool_:
            limits = np.iinfo(self.dtype)
            return source.integers(limits.min, limits.max, self.shape, self.dtype, endpoint=True)
        return source.integers(0, 2, self.shape).astype(self.dtype)


class Model(Protocol):
    """A model opened in a runtime, of which only its tensors are known."""

    runtime_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def run(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Set all inputs, invoke, get all outputs."""


class GivenSession:
    """A session as `bench.runtimes.Session`, of a model without a card."""

    def __init__(self, model: Model, given: Given) -> None:
        self._model, self._given = model, given
        self.runtime_version, self.infer = model.runtime_version, model.run

    def random(self, count: int) -> list[tuple[npt.NDArray[Any], ...]]:
        """Return so many random inputs, always the same ones."""
        source = np.random.default_rng(0)
        return [tuple(tensor.random(source) for tensor in self._model.inputs) for _ in range(count)]

    def check_fits(self, labels: Sequence[str], shape: tuple[int, ...]) -> None:
        """Raise ModelError where pictures (H, W, C) and labels are not what the model takes and gives."""
        inputs, outputs = self._model.inputs, self._model.outputs
        if len(inputs) != 1 or len(outputs) != 1:
            found = f"has {len(inputs)} inputs and {len(outputs)} outputs"
            raise ModelError(f"{found}: accuracy needs one of each; without --labels its latency is measured")
        height, width, channels = shape
        expected = (1, channels, height, width) if self._given.layout == "NCHW" else (1, height, width, channels)
        if inputs[0].shape != expected:
            raise ModelError(f"the steps and the layout {self._given.layout} give {expected}, it takes {inputs[0].shape}")
        if outputs[0].shape[-1:] != (len(labels),):
            raise ModelError(f"there are {len(labels)} labels, its output is {outputs[0].shape}")

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], ...]:
        """Turn pixels (H, W, C), uint8, 0..255, into the input as the person told."""
        return (self._model.inputs[0].quantized(self._given.encode(pixels)),)

    def scores(self, output: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return the scores (classes,), float32, dequantized."""
        values, tensor = output[0].reshape(-1), self._model.outputs[0]
        if np.issubdtype(values.dtype, np.floating):
            return values.astype(np.float32)
        return ((values.astype(np.int64) - tensor.zero_point) * (tensor.scale or 1.0)).astype(np.float32)


class InterpreterModel:
    """A `.tflite` in a TFLite runtime."""

    def __init__(self, path: Path, threads: int, runtime: str, shapes: Mapping[str, Sequence[int]]) -> None:
        """Open, give free sides their lengths, allocate. Raises ModelError where the runtime refuses."""
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
        """Open. Raises RuntimeMissing, or ModelError where the runtime refuses."""
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
        except Exception as error:  # onnxruntime's own exception classes share no public base
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
    """Return an input's shape with its free sides filled: the first, the batch, with 1, others as the person told.

    Raises ModelError where a free side is not told, or where what is told contradicts the model.
    """
    known = [side if isinstance(side, int) and side > 0 else None for side in sides]
    told = shapes.get(name) or (shapes.get("") if inputs == 1 else None)
    if told is None:
        if None in known[1:]:
            shown = ",".join("?" if side is None else str(side) for side in known)
            raise ModelError(f"{path}: input {name!r} has free sides ({shown}): give --input-shape '{name}=SIDES'")
        return tuple(1 if side is None else side for side in known)
    if len(told) != len(known) or any(side not in (None, asked) for side, asked in zip(known, told, strict=True)):
        shown = ",".join("?" if side is None else str(side) for side in known)
        raise ModelError(f"{path}: input {name!r} is ({shown}), --input-shape says {tuple(told)}")
    return tuple(told)
