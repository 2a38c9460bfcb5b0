"""Conversion to ONNX: float32, NHWC, pixels 0..255, free batch; int8 as QDQ that onnxruntime turns into integer kernels.

It starts from the frozen graph: tf2onnx's from_tflite silently dropped a Dense layer's bias, so outputs are always
compared with Keras's afterwards (convert/verification/verify.py).
"""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convert.calibration import Calibration
from convert.formats.constant_shapes import make_shapes_constant
from convert.formats.frozen_graph import frozen_graph
from convert.variants import Variant

OPSET = 17
INPUT_NAME = "image"
# Prefixes of the names of nodes that are added around an imported graph. They stay float: one integer step for the
# scales of all channels would cost the scores their last digits.
FRONT, BEHIND = "from_pixels_", "to_probabilities_"
# Softmax is not faster in integers, and its uint8 output would cost the scores their last digits.
FLOAT_OPERATIONS = frozenset({"Softmax"})
# What a MatMul without weights is called here. It stays float: both its sides are activations, and there is no int8 weight.
ATTENTION = "MatMul of two activations"
# Moves quantization into the float block below and makes the model 1.6 times slower than without it.
HARMFUL_TO_MIXED_MODELS = "QDQPropagationTransformer"
# onnxruntime 1.31 ends with SIGSEGV in it while it opens some transformers in float16 with a free batch.
CRASHES_ON_FLOAT16 = "NchwcTransformer"


@dataclass(frozen=True)
class OnnxModel:
    """A converted model, the Conv, Gemm and MatMul nodes that stayed float, and the settings that a session needs."""

    data: bytes
    float_nodes: tuple[str, ...] = ()
    session: Mapping[str, Any] | None = None


def convert(variant: Variant, source: OnnxModel, calibration: Callable[[], Calibration]) -> OnnxModel:
    """Convert a float32 model to the variant, by the function `make_NAME` below; pictures are prepared only if needed."""
    result: OnnxModel = globals()[f"make_{variant.name}"](source, calibration)
    return result


def make_float32(source: OnnxModel, _calibration: Callable[[], Calibration]) -> OnnxModel:
    """Return the model as it is."""
    return source


def make_float16(source: OnnxModel, _calibration: Callable[[], Calibration]) -> OnnxModel:
    """Convert weights and activations; input and output stay float32."""
    return convert_float16(source)


def make_int8(source: OnnxModel, calibration: Callable[[], Calibration]) -> OnnxModel:
    """Quantize with the calibration pictures."""
    return quantize(source, calibration())


def convert_float32(model: Any) -> OnnxModel:
    """Convert a keras.Model."""
    import tf2onnx

    # An optimizer that fails logs a traceback and leaves the graph unchanged; the result is compared with Keras's anyway
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    frozen = frozen_graph(model, INPUT_NAME)
    image, scores = frozen.inputs[0].name, frozen.outputs[0].name
    proto, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name=model.name,
        input_names=[image],
        output_names=[scores],
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
        tensors_to_rename={image: INPUT_NAME, scores: model.output_names[0]},
    )
    make_shapes_constant(proto)
    return OnnxModel(proto.SerializeToString(deterministic=True))


def _erfc(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Write TensorFlow's Erfc, which gelu uses and ONNX lacks, as 1 - Erf."""
    erf = context.make_node("Erf", [node.input[0]])
    one = context.make_const(f"{node.name}/one", np.array(1, np.float32))
    outputs, shapes, types = node.output, node.output_shapes, node.output_dtypes
    context.remove_node(node.name)
    context.make_node("Sub", [one.output[0], erf.output[0]], name=node.name, outputs=outputs, shapes=shapes, dtypes=types)


def convert_float16(source: OnnxModel) -> OnnxModel:
    """Convert a float32 model to float16 weights and activations; input and output stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel as OnnxGraph

    graph = OnnxGraph(convert_float_to_float16(onnx.load_from_string(source.data), keep_io_types=True))
    graph.topological_sort()  # the casts at the ends were appended
    data = graph.model.SerializeToString(deterministic=True)
    session = None if _opens(data) else {"disabled_optimizers": [CRASHES_ON_FLOAT16]}
    return OnnxModel(data, session=session)


def _opens(data: bytes) -> bool:
    """Say whether onnxruntime survives opening a model as it does by default: in a process of its own."""
    code = (
        "import sys, onnxruntime; onnxruntime.InferenceSession(sys.stdin.buffer.read(), providers=['CPUExecutionProvider'])"
    )
    command = [sys.executable, "-c", code, "CPUExecutionProvider"]
    return subprocess.run(command, input=data, capture_output=True, check=False).returncode >= 0


def float32_constants(graph: Any) -> frozenset[str]:
    """Return the constants of a float16 onnx.GraphProto that are float32 all the same: of operators without a float16."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST

    readers: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    kept = {"Resize", *DEFAULT_OP_BLOCK_LIST}  # Resize: its scales are float32 in every model
    return frozenset(name for name, read_by in readers.items() if read_by <= kept)


def fold(source: OnnxModel, path: Path) -> None:
    """Write a float32 model, pre-processed for quantization, to a path: BatchNormalization is folded into Conv."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    float_path = path.with_suffix(".float.onnx")
    float_path.write_bytes(source.data)
    quant_pre_process(str(float_path), str(path), skip_symbolic_shape=True)


def quantize(
    source: OnnxModel,
    calibration: Calibration,
    float_nodes: Sequence[str] = (),
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> OnnxModel:
    """Quantize a float32 model: QDQ, uint8 activations, int8 weights per channel, MinMax calibration.

    Each of these settings is needed: without per_channel or the pre-processing (which folds BatchNormalization into Conv)
    accuracy falls, with int8 activations or another format speed does. Weights have 7 bits, but for those of depthwise
    convolutions: onnxruntime's kernels for x86 without VNNI add two products of a uint8 and an int8 in 16 bits, which
    8 bits overflow (they saturate, and the answers are others than on every other processor). Depthwise kernels add in
    32 bits. `float_nodes` stay float besides those that always do; `ranges` are the least and largest values that single
    tensors hold instead.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        folded_path, int8_path = (Path(folder) / f"{name}.onnx" for name in ("folded", "int8"))
        fold(source, folded_path)
        kept_float = _nodes_kept_float(folded_path, float_nodes)
        quantize_static(
            str(folded_path),
            str(int8_path),
            _calibration_reader(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=[name for name, _ in kept_float],
            extra_options={"TensorQuantOverrides": _overrides(ranges or {}) | _whole_range(_depthwise_weights(folded_path))},
        )
        heavy = tuple(name for name, operation in kept_float if operation in ("Conv", "Gemm", "MatMul"))
        session = {"disabled_optimizers": [HARMFUL_TO_MIXED_MODELS]} if heavy else None
        return OnnxModel(int8_path.read_bytes(), heavy, session)


def _overrides(ranges: Mapping[str, tuple[float, float]]) -> dict[str, list[dict[str, Any]]]:
    """Return ranges in the form of quantize_static's option TensorQuantOverrides."""
    return {name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()}


def _whole_range(weights: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the option TensorQuantOverrides that gives weights all 8 bits, a scale for each output channel."""
    from onnxruntime.quantization import QuantType

    return {name: [{"axis": 0, "quant_type": QuantType.QInt8, "reduce_range": False}] for name in weights}


def _depthwise_weights(path: Path) -> list[str]:
    """Return the names of the weights of convolutions in which each channel has a filter of its own."""
    import onnx

    graph = onnx.load(str(path)).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in shapes]
    groups = {node.input[1]: next((item.i for item in node.attribute if item.name == "group"), 1) for node in convolutions}
    return [name for name, group in groups.items() if group > 1 and shapes[name][:2] == [group, 1]]


def _nodes_kept_float(path: Path, float_nodes: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return (name, operation) of the nodes that are not quantized: the requested ones and those that never are.

    A first convolution over one channel has so little work for each value that its quantized kernel loses more than
    integers gain (half of the small CNN's time), so the graph up to its pooling stays float.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    requested = set(float_nodes)
    kept = [
        (node.name, node.op_type)
        for node in graph.node
        if node.op_type in FLOAT_OPERATIONS or node.name in requested or node.name.startswith((FRONT, BEHIND))
    ]
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    kept += [(node.name, ATTENTION) for node in graph.node if node.op_type == "MatMul" and not set(node.input) & set(shapes)]
    nodes = list(graph.node)
    first = next((place for place, node in enumerate(nodes) if node.op_type == "Conv"), None)
    if first is None or shapes.get(nodes[first].input[1], [0, 0])[1] != 1:
        return kept
    end = first + 1
    while end < len(nodes) and nodes[end].op_type in ("Relu", "Clip", "MaxPool"):
        end += 1
    return kept + [(node.name, node.op_type) for node in nodes[:end]]


def _calibration_reader(calibration: Calibration) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is untyped
        def __init__(self) -> None:
            self.pictures = iter(calibration.pixels)

        def get_next(self) -> dict[str, Any] | None:
            pixels = next(self.pictures, None)
            return None if pixels is None else {INPUT_NAME: pixels[None].astype(np.float32)}

    return Reader()
