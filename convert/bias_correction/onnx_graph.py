"""A quantized `.onnx` (QDQ) whose parts can be run separately and whose int32 biases can be changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from convert.bias_correction.arithmetic import Means, NotOneEntryPerPicture, channel_means
from convert.bias_correction.segments import Operation, Segment
from train.data.dataset import Pixels, batches

Values = npt.NDArray[np.float32]  # (N, channels, ...)
HEAVY = ("Conv", "Gemm")
BIAS = 2  # index among the inputs of a node with weights
PICTURES_AT_ONCE = 10  # every layer's output is kept for this many
CHANNELS = 1  # the axis of a Conv's and a Gemm's output


@dataclass(frozen=True)
class Target:
    """A node with an int32 bias: its index, its name, and the initializers of the bias and of its scale."""

    place: int
    name: str
    bias: str
    scale: str


class OnnxGraph:
    """The graph of a QDQ model, its nodes in an order in which they can run."""

    def __init__(self, data: bytes) -> None:
        import onnx
        from onnxruntime.quantization.onnx_model import ONNXModel

        sorted_model = ONNXModel(onnx.load_from_string(data))
        sorted_model.topological_sort()
        self.model = sorted_model.model
        self._nodes = list(self.model.graph.node)
        self._constants = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self._makers = {name: node for node in self._nodes for name in node.output}

    @property
    def input(self) -> str:
        """Return the name of the graph's first input."""
        return str(self.model.graph.input[0].name)

    @property
    def at_once(self) -> int:
        """Return how many pictures to run at once: the batch of the graph if it is fixed."""
        return pictures_at_once(self.model)

    @cached_property
    def operations(self) -> list[Operation]:
        """Return the nodes in their order, with the tensors that they take and give; constants are left out."""
        return [
            Operation(
                tuple(name for name in node.input if name and name not in self._constants),
                tuple(name for name in node.output if name),
            )
            for node in self._nodes
        ]

    def targets(self) -> tuple[list[Target], int, int]:
        """Return the nodes to correct, and how many quantized nodes have no bias, or share it with another node."""
        readers: dict[str, int] = {}
        for node in self._nodes:
            for name in node.input:
                readers[name] = readers.get(name, 0) + 1
        found, without, shared = [], 0, 0
        for place, node in enumerate(self._nodes):
            if node.op_type not in HEAVY or self._dequantized(node.input[1]) is None:
                continue
            source = self._dequantized(node.input[BIAS]) if len(node.input) > BIAS and node.input[BIAS] else None
            if source is None:
                without += 1
            elif readers[node.input[BIAS]] > 1 or readers[source.input[0]] > 1:
                shared += 1
            else:
                found.append(Target(place, node.name, *source.input[:2]))
        return found, without, shared

    def run(self, segment: Segment, values: Mapping[str, Values]) -> Values:
        """Run a segment on known values; return the target's output (N, channels, ...). Raises NotOneEntryPerPicture."""
        import onnx

        output = self._nodes[segment.target].output[0]
        nodes = [self._nodes[place] for place in segment.operations]
        read = {name for node in nodes for name in node.input if name in self._constants}
        graph = onnx.helper.make_graph(
            nodes,
            "part",
            [_float_value(source, values[source].shape) for source in segment.sources],
            [_float_value(output, None)],
            [self._constants[name] for name in sorted(read)],
        )
        part = onnx.helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        feeds = {source: values[source] for source in segment.sources}
        found = [outputs[0] for outputs in _run(part.SerializeToString(), [output], feeds, self.at_once)]
        counts = [part.stop - part.start for part in batches(len(values[segment.sources[0]]), self.at_once)]
        if [len(some) for some in found] != counts:  # as in a transformer, whose first axis may be the tokens
            raise NotOneEntryPerPicture(
                f"{output} is {found[0].shape} for {counts[0]} pictures, not one entry for each picture"
            )
        return np.concatenate(found)

    def bias(self, target: Target) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """Return a node's bias (channels,) and the scale of its steps (channels,) or (1,)."""
        from onnx import numpy_helper

        bias, scale = (numpy_helper.to_array(self._constants[name]) for name in (target.bias, target.scale))
        return bias, scale.astype(np.float64).reshape(-1)

    def set_bias(self, target: Target, bias: npt.NDArray[np.int32]) -> None:
        """Give a node this bias."""
        from onnx import numpy_helper

        self._constants[target.bias].CopyFrom(numpy_helper.from_array(bias.astype(np.int32), target.bias))

    def packed(self) -> bytes:
        """Return the `.onnx` file's bytes, the same for the same graph."""
        return bytes(self.model.SerializeToString(deterministic=True))

    def _dequantized(self, name: str) -> Any | None:
        """Return the DequantizeLinear that makes a tensor of a constant, or None."""
        node = self._makers.get(name)
        return node if node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self._constants else None


def pictures_at_once(model: Any) -> int:
    """Return the batch of an onnx.ModelProto if it is fixed, else how many pictures to run at once."""
    return int(model.graph.input[0].type.tensor_type.shape.dim[0].dim_value) or PICTURES_AT_ONCE


def float_means(data: bytes, nodes: Sequence[str], pixels: Pixels) -> dict[str, Means]:
    """Run a float `.onnx` with pictures (N, H, W, C); return the channel means of the outputs of those nodes that it has."""
    sums: dict[str, Means] = {}
    for found in _outputs(data, nodes, pixels):
        for name, values in found.items():
            sums[name] = sums.get(name, np.float64(0)) + channel_means(values, CHANNELS) * len(values)
    return {name: total / len(pixels) for name, total in sums.items()}


def largest_output_bytes(data: bytes, nodes: Sequence[str], pixels: Pixels) -> int:
    """Return the size of the largest output of these nodes for one picture (1, H, W, C)."""
    return max((values.nbytes for found in _outputs(data, nodes, pixels) for values in found.values()), default=0)


def _outputs(data: bytes, nodes: Sequence[str], pixels: Pixels) -> Iterator[dict[str, Values]]:
    """Yield the outputs of those nodes that a float model has, for some pictures at once."""
    import onnx

    model, wanted = onnx.load_from_string(data), set(nodes)
    outputs = {node.name: node.output[0] for node in model.graph.node if node.name in wanted}
    if not outputs:  # without any name onnxruntime would return every output
        return
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(_float_value(name, None) for name in outputs.values() if name not in present)
    for found in _run(
        model.SerializeToString(), list(outputs.values()), {model.graph.input[0].name: pixels}, pictures_at_once(model)
    ):
        yield dict(zip(outputs, found, strict=True))


def _run(
    model: bytes, outputs: Sequence[str], feeds: Mapping[str, npt.NDArray[Any]], at_once: int
) -> Iterator[list[Values]]:
    """Yield a model's outputs, some pictures at once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for part in batches(len(next(iter(feeds.values()))), at_once):
        yield session.run(list(outputs), {name: values[part].astype(np.float32) for name, values in feeds.items()})


def _float_value(name: str, shape: Sequence[int] | None) -> Any:
    """Describe a float tensor; if its shape is known, all sides except the batch are fixed."""
    import onnx

    fixed: list[str | int | None] | None = None if shape is None else ["batch", *shape[1:]]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, fixed)
