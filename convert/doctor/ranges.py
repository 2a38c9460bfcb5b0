"""The quantization ranges in a model file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.calibration import Calibration
from convert.formats.tflite_reader import read_model


@dataclass(frozen=True)
class InputScale:
    """Scale and zero point of a quantized uint8 input."""

    scale: float
    zero_point: int

    @property
    def limits(self) -> tuple[float, float]:
        """Return the smallest and the largest value that the input can hold."""
        return -self.zero_point * self.scale, (255 - self.zero_point) * self.scale


@dataclass(frozen=True)
class Ranges:
    """The scales of a file's quantized activations by tensor, and of its input; None if the input is not quantized."""

    scales: Mapping[str, float]
    input: InputScale | None


@dataclass(frozen=True)
class Change:
    """The tensor whose scale differs most between two models; `relative` is 0 (same) to 1."""

    tensor: str
    first: float
    second: float

    @property
    def relative(self) -> float:
        """Return by how much the smaller scale falls short of the larger one, 0..1 of the larger."""
        return 1 - min(self.first, self.second) / max(self.first, self.second)


def largest_change(first: Mapping[str, float], second: Mapping[str, float]) -> Change | None:
    """Return the largest difference over the tensors that both have, or None if they have no tensor in common."""
    changes = [Change(name, first[name], second[name]) for name in first if name in second]
    return max(changes, key=lambda change: change.relative, default=None)


def read_ranges(path: Path) -> Ranges:
    """Read the ranges of a `.tflite` or `.onnx` file."""
    return _onnx_ranges(path) if path.suffix.lower() == ".onnx" else _tflite_ranges(path)


def _tflite_ranges(path: Path) -> Ranges:
    model = read_model(path.read_bytes())
    graph = model.subgraphs[0]
    scales: dict[str, float] = {}
    quantized_input = None
    for index, tensor in enumerate(graph.tensors):
        data = model.buffers[tensor.buffer].data
        quantization = tensor.quantization
        if (data is not None and len(data)) or quantization is None or quantization.scale is None:
            continue
        if len(quantization.scale) == 1:
            scales[tensor.name.decode(errors="replace")] = float(quantization.scale[0])
        if index in graph.inputs:
            quantized_input = InputScale(float(quantization.scale[0]), int(quantization.zeroPoint[0]))
    return Ranges(scales, quantized_input)


def _onnx_ranges(path: Path) -> Ranges:
    import onnx

    from convert.doctor.onnx_layers import activation_scales

    model = onnx.load(str(path))
    found = activation_scales(model)
    tensor = model.graph.input[0].name
    while tensor not in found:  # skip operations that only change the shape, up to the quantization of the pixels
        readers = [node for node in model.graph.node if tensor in node.input]
        if len(readers) != 1 or readers[0].op_type not in ("Reshape", "Transpose"):
            break
        tensor = readers[0].output[0]
    return Ranges(
        {name: scale for name, (scale, _) in found.items()}, InputScale(*found[tensor]) if tensor in found else None
    )


def halves(calibration: Calibration) -> tuple[Calibration, Calibration]:
    """Split calibration pictures into two disjoint halves, each class evenly (the pictures' order interleaves classes)."""
    second = np.zeros(len(calibration.labels), bool)
    for label in np.unique(calibration.labels):
        second[np.flatnonzero(calibration.labels == label)[1::2]] = True
    first, other = (
        Calibration(calibration.pixels[chosen], calibration.labels[chosen], calibration.seed) for chosen in (~second, second)
    )
    return first, other
