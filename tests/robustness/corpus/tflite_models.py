"""Bad TFLite files."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.robustness.corpus.card_models import _cards
from tests.robustness.corpus.defect import Bad, no_files, write
from tests.robustness.corpus.models import CLASSIFIES, GOOD, flips, good_card, good_tflite, signed, truncations

# ---- .tflite --------------------------------------------------------------------------------------------------------


def tflite_models(folder: Path) -> Iterator[Bad]:
    """Write every defective `.tflite`."""
    own, text = good_tflite()
    whole, card = GOOD.read_bytes(), good_card()
    yield from no_files(folder, ".tflite", whole)
    for kilobytes, data in truncations(whole):
        yield Bad(write(folder / f"truncated-at-{kilobytes:03}-kb.tflite", data), "truncated")
    for kilobytes, data in truncations(own):
        path = signed(folder / f"truncated-at-{kilobytes:03}-kb-with-a-card.tflite", data, card)
        yield Bad(path, "truncated, card signed for it", "damaged TFLite model")
    for number, data in enumerate(flips(whole)):
        yield Bad(write(folder / f"flip-{number:03}.tflite", data), "a bit flipped", any_end=True)
    for number, data in enumerate(flips(own, seed=1)):
        path = signed(folder / f"flip-{number:03}-with-a-card.tflite", data, card)
        yield Bad(path, "a bit flipped, card signed for it", any_end=True)
    for number, data in enumerate(flips(own, seed=2)):
        yield Bad(write(folder / f"flip-{number:03}-without-a-card.tflite", data), "a bit flipped, no card", any_end=True)
    yield Bad(write(folder / "wrong-magic.tflite", own[:4] + b"GGUF" + own[8:]), "wrong magic", "no TFLite model")
    yield Bad(
        write(folder / "is-a-jpeg.tflite", b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500)), "wrong magic", "no TFLite model"
    )
    yield Bad(write(folder / "wrong-ending.pt", whole), "wrong ending", r"\.tflite")
    for name, (change, says) in GRAPHS.items():
        path = signed(folder / f"{name}.tflite", _repacked(own, change), card)
        yield Bad(path, "a graph that is no classifier's", says, by=CLASSIFIES)
        path = write(folder / f"{name}-without-a-card.tflite", _repacked(own, change))
        yield Bad(path, "a graph that is no classifier's, no card", says, by=CLASSIFIES)
    yield from _cards(folder, own, text)


def _repacked(own: bytes, change: Callable[[Any], None]) -> bytes:
    """Unpack a `.tflite`, change its objects (ModelT) and pack them again."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(own, 0)
    change(model)
    builder = flatbuffers.Builder(len(own))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _graph(model: Any) -> Any:
    return model.subgraphs[0]


def _huge_tensor(model: Any) -> None:
    graph = _graph(model)
    middle = graph.tensors[graph.operators[len(graph.operators) // 2].outputs[0]]
    middle.shape = np.array([1, 65_535, 65_535, 64], np.int32)


def _huge_input(model: Any) -> None:
    graph = _graph(model)
    graph.tensors[graph.inputs[0]].shape = np.array([1, 100_000, 100_000, 1], np.int32)


def _two_inputs(model: Any) -> None:
    graph = _graph(model)
    graph.tensors.append(copy.deepcopy(graph.tensors[graph.inputs[0]]))
    graph.inputs = np.array([graph.inputs[0], len(graph.tensors) - 1], np.int32)


def _no_outputs(model: Any) -> None:
    _graph(model).outputs = np.array([], np.int32)


def _no_inputs(model: Any) -> None:
    _graph(model).inputs = np.array([], np.int32)


def _dynamic_shapes(model: Any) -> None:
    graph = _graph(model)
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shape, tensor.shapeSignature = np.array([1, 1, 1, 1], np.int32), np.array([-1, -1, -1, 1], np.int32)


def _nan_scales(model: Any) -> None:
    for tensor in _graph(model).tensors:
        if tensor.quantization is not None and tensor.quantization.scale is not None:
            tensor.quantization.scale = np.full(len(tensor.quantization.scale), np.nan, np.float32)


def _no_graph(model: Any) -> None:
    model.subgraphs = []


def _no_buffers(model: Any) -> None:
    model.buffers = []


def _text_input(model: Any) -> None:
    graph = _graph(model)
    graph.tensors[graph.inputs[0]].type = 5  # STRING


def _endless_loop_of_operators(model: Any) -> None:
    graph = _graph(model)
    for operator in graph.operators:
        operator.outputs = np.array([graph.inputs[0]], np.int32)


def _unknown_operation(model: Any) -> None:
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = 127, 30_000


def _custom_operation(model: Any) -> None:
    code = model.operatorCodes[0]
    code.deprecatedBuiltinCode = code.builtinCode = 32
    code.customCode = b"NoSuchOperation"


def _no_strides(model: Any) -> None:
    for operator in _graph(model).operators:
        for name in ("strideW", "strideH"):
            if hasattr(operator.builtinOptions, name):
                setattr(operator.builtinOptions, name, 0)


def _no_weights(model: Any) -> None:
    for buffer in model.buffers:
        buffer.data = None


GRAPHS: dict[str, tuple[Callable[[Any], None], str]] = {
    "huge-declared-tensor": (_huge_tensor, "declares a tensor"),
    "huge-declared-input": (_huge_input, "declares a tensor"),
    "two-inputs": (_two_inputs, "2 inputs"),
    "no-outputs": (_no_outputs, "0 outputs"),
    "no-inputs": (_no_inputs, "0 inputs"),
    "dynamic-shapes": (_dynamic_shapes, ""),
    "nan-weights": (_nan_scales, ""),
    "no-graph": (_no_graph, "no graph|is missing"),
    "no-buffers": (_no_buffers, "names buffer"),
    "text-input": (_text_input, ""),
    "operators-in-a-loop": (_endless_loop_of_operators, ""),
    "unknown-operation": (_unknown_operation, ""),
    "custom-operation": (_custom_operation, "NoSuchOperation"),
    "strides-of-0": (_no_strides, ""),
    "no-weights": (_no_weights, ""),
}
