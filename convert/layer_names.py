"""From the tensors of a converted graph back to the Keras layers that people know."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SUFFIX = re.compile(r"_\d+$")


@dataclass(frozen=True)
class LayerNames:
    """The layers of a Keras model in their order, and which of them have a kernel."""

    model: str
    layers: tuple[str, ...]
    with_kernel: frozenset[str]

    @staticmethod
    def of(network: Any) -> "LayerNames":
        """Read them from a keras.Model; layers of models inside it are found too."""
        layers = list(network._flatten_layers(include_self=False))
        with_kernel = [layer.name for layer in layers if hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")]
        return LayerNames(network.name, tuple(layer.name for layer in layers), frozenset(with_kernel))

    def readable(self, tensor: str, heavy: bool) -> str:
        """Return the layer that a tensor belongs to, or the tensor's own name where none is found.

        A fused operation's tensor ("relu;batch_norm;conv") names several layers, and shared constants even some that it
        has nothing to do with. The first is the one whose output it is; a `heavy` operation is its convolution or dense
        layer: the last one with a kernel up to there.
        """
        mentioned = [layer for part in tensor.split(";") if (layer := self._layer_of(part)) is not None]
        if tensor.startswith("StatefulPartitionedCall"):  # what an export calls the model's output
            return self.layers[-1]
        if not mentioned:
            return tensor.partition(";")[0]
        place = self.layers.index(mentioned[0])
        kernels = [self.layers.index(layer) for layer in mentioned if layer in self.with_kernel]
        # A folded convolution may name its BatchNormalization or activation alone: it is the nearest one before
        every = [index for index, layer in enumerate(self.layers) if layer in self.with_kernel]
        before = [index for index in kernels or every if index <= place]
        return self.layers[max(before)] if heavy and before else mentioned[0]

    def _layer_of(self, scope: str) -> str | None:
        """Return the innermost layer in "mnist_cnn_1/conv2d_1_2/Relu:0": here conv2d_1.

        An export puts "_N" behind every name, the model's too, and then conv2d_1 means the layer conv2d.
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
    """Say whether an operation makes new values: those that only move or choose values have no error of their own."""
    movers = ("MAX_POOL_2D", "RESHAPE", "PAD", "TRANSPOSE", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SQUEEZE")
    onnx_movers = ("MaxPool", "Reshape", "Pad", "Transpose", "Concat", "Slice", "Squeeze", "Flatten")
    return operation not in (*movers, *onnx_movers, *passing)
