"""Finding the Keras layer that a tensor of a converted graph belongs to."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convert.formats.onnx_network import OnnxNetwork

SUFFIX = re.compile(r"_\d+$")


@dataclass(frozen=True)
class LayerNames:
    """The layers of a Keras model in order, and the names of those with a kernel."""

    model: str
    layers: tuple[str, ...]
    with_kernel: frozenset[str]

    @staticmethod
    def of(network: Any) -> "LayerNames":
        """Read the layers of a keras.Model, also of nested models. For an OnnxNetwork, read the nodes with weights."""
        if isinstance(network, OnnxNetwork):
            return LayerNames("", network.layer_names, frozenset(network.layer_names))
        layers = list(network._flatten_layers(include_self=False))
        with_kernel = [layer.name for layer in layers if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")]
        return LayerNames(network.name, tuple(layer.name for layer in layers), frozenset(with_kernel))

    def readable(self, tensor: str, heavy: bool) -> str:
        """Return the layer that a tensor belongs to, or the tensor's own name if there is none.

        The tensor of a fused operation ("relu;batch_norm;conv") names several layers, and shared constants may add layers
        that it does not belong to. The first named layer is the one whose output it is. A `heavy` operation is the
        convolution or dense layer: the last one with a kernel.
        """
        mentioned = [layer for part in tensor.split(";") if (layer := self._layer_of(part)) is not None]
        if tensor.startswith("StatefulPartitionedCall"):  # the name of the model's output in an export
            return self.layers[-1]
        if not mentioned:
            return tensor.partition(";")[0]
        place = self.layers.index(mentioned[0])
        kernels = [self.layers.index(layer) for layer in mentioned if layer in self.with_kernel]
        # A folded convolution may name only its BatchNormalization or activation: take the nearest kernel before it
        every = [index for index, layer in enumerate(self.layers) if layer in self.with_kernel]
        before = [index for index in kernels or every if index <= place]
        return self.layers[max(before)] if heavy and before else mentioned[0]

    def _layer_of(self, scope: str) -> str | None:
        """Return the innermost layer of a name such as "mnist_cnn_1/conv2d_1_2/Relu:0": here conv2d_1.

        An export adds "_N" to every name, also to that of the model. Then conv2d_1 means the layer conv2d.
        """
        parts = scope.split("/")
        suffixed = parts[0] != self.model
        for part in reversed(parts):
            for name in (SUFFIX.sub("", part), part) if suffixed else (part, SUFFIX.sub("", part)):
                if name in self.layers:
                    return name
        return None


def heavy_operation(name: str) -> bool:
    """Say whether a TFLite or ONNX operation multiplies by a kernel."""
    return name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "Conv", "Gemm", "MatMul")


def computes(operation: str, passing: Sequence[str] = ()) -> bool:
    """Say whether an operation computes new values: if it only moves or chooses values, it has no error of its own."""
    movers = ("MAX_POOL_2D", "RESHAPE", "PAD", "TRANSPOSE", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SQUEEZE")
    onnx_movers = ("MaxPool", "Reshape", "Pad", "Transpose", "Concat", "Slice", "Squeeze", "Flatten")
    return operation not in (*movers, *onnx_movers, *passing)
