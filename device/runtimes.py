"""Runtimes for .tflite and .onnx files behind one interface."""

from __future__ import annotations

import importlib
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from device.card import Card
from device.errors import CardError, ModelError, RuntimeMissing
from device.files import read_bytes
from device.outputs import meant_scores
from device.preprocessing.encoding import NCHW, NOT_QUANTIZED, Encoding, Quantization, encoding_of
from device.process import without_chatter

TFLITE_RUNTIMES = {  # by the name in results: the module of Interpreter, the distribution that installs it
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite_runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "tensorflow": ("tensorflow.lite.python.interpreter", "tensorflow"),
}


class FittedSession:
    """The two ends of a session, as the model's card describes them: pixels to tensor, output to scores."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    input_dtype: np.dtype[Any]
    _input_quantization = NOT_QUANTIZED
    _output_quantization = NOT_QUANTIZED
    _encoding = Encoding()
    _activation: Optional[str] = None
    _labels = 0

    def fit(self, path: Path, card: Card) -> None:
        """Take over what the card says. Raises CardError where its input or labels are not those of the model."""
        encoding = encoding_of(card.preprocess)
        sides = (card.height, card.width)
        expected = (card.channels, *sides) if encoding.layout == NCHW else (*sides, card.channels)
        batch, *found = self.input_shape
        if tuple(found) not in ((expected, sides) if card.channels == 1 else (expected,)):
            raise CardError(f"{path}: card field input: the card says {(1, *expected)}, the model takes {self.input_shape}")
        outputs, labels = math.prod(self.output_shape) // batch, len(card.labels)
        activation = card.activation
        if outputs != labels and not (outputs == 1 and labels == 2 and activation is not None):
            raise CardError(f"{path}: card field labels: {labels} labels, the model has {outputs} outputs")
        self._encoding, self._activation, self._labels = encoding, activation, labels

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Turn pixels (H, W, C), uint8, 0..255, into the input tensor, in the input's shape and dtype."""
        return self._encoding.tensor(pixels, self.input_shape, self.input_dtype, self._input_quantization)

    def scores(self, output: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return the scores (classes,), float32, of an output tensor: the first picture's, dequantized."""
        values = output.reshape(-1)
        values = values[: len(values) // self.input_shape[0]]
        if not np.issubdtype(values.dtype, np.floating):
            # int64 first: uint8 minus a zero point would wrap around
            quantization = self._output_quantization
            values = (values.astype(np.int64) - quantization.zero_point) * (quantization.scale or 1.0)
        return meant_scores(values.astype(np.float32), self._activation, self._labels)


class TfliteSession(FittedSession):
    """A `.tflite` file opened in one TFLite runtime, ready for one picture at a time."""

    def __init__(self, path: Path, threads: int = 1, runtime: Optional[str] = None) -> None:
        """Open and allocate. Raises RuntimeMissing where no runtime is installed, ModelError where it refuses."""
        self.runtime, interpreter_class = import_tflite(runtime)
        try:
            with without_chatter():
                interpreter = interpreter_class(**_tflite_source(path), num_threads=threads)
                interpreter.allocate_tensors()
            inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        except Exception as error:  # mostly ValueError and RuntimeError; MemoryError and others for a damaged file
            said = f"{self.runtime} {self.runtime_version} refuses the model: {first_line(error)}"
            raise ModelError(f"{path}: {said}") from error
        self._take_details(path, inputs, outputs)
        self._interpreter = interpreter

    def _take_details(self, path: Path, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> None:
        """Keep shapes, types and quantization; bench's GPU session, which has no interpreter, calls it too."""
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        self.input_shape = tuple(int(side) for side in inputs[0]["shape"])
        self.input_dtype = np.dtype(inputs[0]["dtype"])
        self.output_shape = tuple(int(side) for side in outputs[0]["shape"])
        self._input_quantization, self._output_quantization = _quantization(inputs[0]), _quantization(outputs[0])
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        kinds = self.input_dtype.kind + np.dtype(outputs[0]["dtype"]).kind
        if set(kinds) - set("fiu") or "c" in kinds:
            raise ModelError(f"{path}: takes {self.input_dtype} and gives {outputs[0]['dtype']}, expected numbers")

    @property
    def runtime_version(self) -> str:
        """Return the version of the runtime's installed package."""
        return distribution_version(TFLITE_RUNTIMES[self.runtime][1])

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Set the input tensor (1, H, W, C), invoke, get the output tensor (1, classes)."""
        self._interpreter.set_tensor(self._input_index, tensor)
        self._interpreter.invoke()
        output: npt.NDArray[Any] = self._interpreter.get_tensor(self._output_index)
        return output


def _quantization(details: Mapping[str, Any]) -> Quantization:
    scale, zero_point = details["quantization"]
    return Quantization(float(scale), int(zero_point))


def _tflite_source(path: Path) -> dict[str, Any]:
    """Return the path, which a runtime maps into memory; for a model inside an archive, its bytes."""
    return {"model_path": str(path)} if path.is_file() else {"model_content": read_bytes(path)}


def import_tflite(runtime: Optional[str]) -> tuple[str, Any]:
    """Return the name and Interpreter class of the named TFLite runtime, or of the first that is installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow logs of an error is in its exception too
    for name in [runtime] if runtime else TFLITE_RUNTIMES:
        try:
            with without_chatter():
                return name, importlib.import_module(TFLITE_RUNTIMES[name][0]).Interpreter
        except ImportError as error:
            cause = error
    if runtime:
        raise RuntimeMissing(f"runtime {runtime} cannot be imported ({cause}): pip install {TFLITE_RUNTIMES[runtime][1]}")
    raise RuntimeMissing("no TFLite runtime is installed: pip install ai-edge-litert (or tflite-runtime)")


def distribution_version(distribution: str) -> str:
    """Return the version of an installed distribution, or of its build for CPUs; "unknown" where there is none."""
    from importlib import metadata  # imports email and zipfile: a tenth of the start-up time, and rarely needed

    for name in (distribution, f"{distribution}-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def import_onnxruntime() -> Any:
    """Return the module onnxruntime. Raises RuntimeMissing where it is not installed."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissing(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error


# TensorFlow's colours and names of functions, and Keras's first line, which says only where something happened
DECORATION = re.compile(r"\x1b\[[0-9;]*m|\{\{function_node [^}]*\}\}|^Exception encountered when calling .*$", re.MULTILINE)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text that tells something, or its type where it has none."""
    lines = (line.strip() for line in DECORATION.sub("", str(error)).splitlines())
    return next((line for line in lines if line), type(error).__name__)


ONNX_INPUTS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
}


class OnnxSession(FittedSession):
    """An `.onnx` file opened in onnxruntime on the CPU, ready for one picture at a time."""

    runtime = "onnxruntime"

    def __init__(self, path: Path, threads: int = 1, card: Optional[Card] = None) -> None:
        """Open the file with the settings of the card's `session`. Raises RuntimeMissing or ModelError."""
        ort = import_onnxruntime()
        self.runtime_version = str(ort.__version__)
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors only
        session_fields = (card.document.get("session") or {}) if card else {}
        try:
            self._session = self._create(ort, path, options, session_fields.get("disabled_optimizers") or None)
        except Exception as error:  # onnxruntime's exception classes have no public base class
            said = f"onnxruntime {self.runtime_version} refuses the model: {first_line(error)}"
            raise ModelError(f"{path}: {said}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        if inputs[0].type not in ONNX_INPUTS:
            raise ModelError(f"{path}: takes {inputs[0].type}, expected {' or '.join(ONNX_INPUTS)}")
        self.input_dtype = np.dtype(ONNX_INPUTS[inputs[0].type])
        # A free batch dimension has a name in place of a number
        self.input_shape = tuple(side if isinstance(side, int) else 1 for side in inputs[0].shape)
        self.output_shape = tuple(side if isinstance(side, int) else 1 for side in outputs[0].shape)
        self._input_name, self._output_names = inputs[0].name, [outputs[0].name]

    def _create(self, ort: Any, path: Path, options: Any, disabled_optimizers: Optional[Sequence[str]]) -> Any:
        """Open the file on the CPU; bench's sessions on other providers replace this."""
        providers = ["CPUExecutionProvider"]
        return ort.InferenceSession(
            str(path) if path.is_file() else read_bytes(path),
            options,
            providers=providers,
            disabled_optimizers=disabled_optimizers,
        )

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run the input tensor (1, H, W, C): the output tensor (1, classes)."""
        output: npt.NDArray[Any] = self._session.run(self._output_names, {self._input_name: tensor})[0]
        return output


Session = Union[TfliteSession, OnnxSession]
