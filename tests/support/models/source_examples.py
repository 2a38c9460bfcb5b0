"""Small models of every source format, as users have them. Each answers with the colours of `Paint`."""

import importlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.models.imported_models import COLOURS, SIDE, colour_network, save, sequential
from tests.support.models.onnx_models import HUGGING_FACE, KERAS, OLD, TIMM, TORCH, TORCH_DYNAMO, save_onnx
from tests.support.models.tflite_files import GraphBuilder


@dataclass(frozen=True)
class Example:
    """One kind of model. `told` is what `convert run`, or `convert card`, has to be told besides labels and pictures."""

    source: str  # the name of the module in convert/importing/sources
    name: str
    build: Callable[[Path], Path]  # writes it into a folder
    range: str | None = "-1..1"
    size: int | None = None
    converted: bool = False  # it is taken as it is
    labelled: bool = False  # it comes with its labels


def _keras2(folder: Path) -> Path:
    return save(sequential(library=importlib.import_module("tf_keras")), folder, "h5")


def _teachable_keras(folder: Path) -> Path:
    """Write the ZIP that Teachable Machine downloads as Keras."""
    model = _keras2(folder)
    return _zipped(folder / "converted_keras.zip", {"keras_model.h5": model.read_bytes()})


def _teachable_tflite(folder: Path) -> Path:
    model = colour_tflite(folder / "model.tflite", "uint8", 1 / 127.5, 127)
    return _zipped(folder / "converted_tflite_quantized.zip", {"model.tflite": model.read_bytes()})


def _zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("labels.txt", "".join(f"{number} {name}\n" for number, name in enumerate(COLOURS)))
    return path


def colour_tflite(path: Path, dtype: str = "float32", scale: float = 0.0, zero_point: int = 0) -> Path:
    """Write a model that answers the colour whose channel's mean over a picture is largest, from values -1..1."""
    graph, shape = GraphBuilder(), (1, SIDE, SIDE, 3)
    source = graph.tensor(shape, dtype, scale, zero_point)
    values = source
    if scale:
        values = graph.operation("DEQUANTIZE", [source], graph.tensor(shape, "float32"), version=2)
    axes = graph.tensor([2], "int32", values=np.array([1, 2]))
    mean = graph.operation("MEAN", [values, axes], graph.tensor([1, 3], "float32"), "ReducerOptions", keepDims=False)
    weight = graph.tensor([3, 3], "float32", values=np.eye(3) * 6)
    bias = graph.tensor([3], "float32", values=np.zeros(3))
    scores = graph.operation(
        "FULLY_CONNECTED", [mean, weight, bias], graph.tensor([1, 3], "float32"), "FullyConnectedOptions"
    )
    return graph.write(
        path, source, graph.operation("SOFTMAX", [scores], graph.tensor([1, 3], "float32"), "SoftmaxOptions", beta=1.0)
    )


def _onnx(export: Any, external: bool = False) -> Callable[[Path], Path]:
    return lambda folder: save_onnx(export, folder, external=external)


EXAMPLES = (
    Example("keras_file", "Keras 3 `.keras`", lambda folder: save(colour_network(), folder)),
    Example("keras_file", "Keras 3 Sequential `.keras`", lambda folder: save(sequential(), folder)),
    Example("keras_file", "Keras 2 `.h5`", _keras2),
    Example("saved_model", "SavedModel", lambda folder: save(colour_network(), folder, "saved_model")),
    Example("teachable_machine", "Teachable Machine, Keras", _teachable_keras, range=None, labelled=True),
    Example(
        "teachable_machine", "Teachable Machine, quantized TFLite", _teachable_tflite, None, converted=True, labelled=True
    ),
    Example("onnx_file", "ONNX of PyTorch", _onnx(TORCH)),
    Example("onnx_file", "ONNX of PyTorch, weights beside it", _onnx(TORCH_DYNAMO, external=True)),
    Example("onnx_file", "ONNX of timm", _onnx(TIMM)),
    Example("onnx_file", "ONNX of Hugging Face, free sides", _onnx(HUGGING_FACE), size=SIDE),
    Example("onnx_file", "ONNX of Keras, channels last", _onnx(KERAS)),
    Example("onnx_file", "ONNX of opset 9", _onnx(OLD)),
    Example("onnx_file", "ONNX in float16", _onnx(replace(TORCH, half=True))),
    Example("tflite_file", "TFLite, float", lambda folder: colour_tflite(folder / "paint.tflite"), converted=True),
    Example(
        "tflite_file",
        "TFLite, uint8",
        lambda folder: colour_tflite(folder / "paint.tflite", "uint8", 1 / 127.5, 127),
        None,
        converted=True,
    ),
    Example(
        "tflite_file",
        "TFLite, int8",
        lambda folder: colour_tflite(folder / "paint.tflite", "int8", 1 / 127.5, -1),
        None,
        converted=True,
    ),
)
