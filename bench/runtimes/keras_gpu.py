"""Keras on TensorFlow's CUDA devices."""

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.machine.accelerators import Accelerator, probe
from bench.runtimes import FellBack, Session
from bench.runtimes.keras import KerasSession, import_library as import_keras
from device.card import Card
from device.errors import RuntimeMissing

TITLE = "Keras"
FORMATS = frozenset({"keras"})
DISTRIBUTIONS = ("tensorflow",)
API = "cuda"
# TensorFlow keeps these on the host for any model: arguments, constants, shapes, copies to and from the GPU
NOT_COMPUTING = frozenset(
    [
        *("_Arg", "_DeviceArg", "_Retval", "_DeviceRetval", "_Send", "_Recv", "_HostSend", "_HostRecv"),
        *("Const", "Identity", "NoOp", "ReadVariableOp", "VarHandleOp", "Shape", "StridedSlice", "Pack"),
    ]
)


class KerasGpuSession(KerasSession):
    """A `.keras` model, placed by TensorFlow, which sees a GPU; `ran_on` checks that it ran there."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__(path, threads, on_gpu=True)
        self._path = path

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> Any:
        """Turn pixels (H, W, C), uint8, into float32 (1, H, W, C) in the host's memory: the copy is part of the latency."""
        import tensorflow as tf

        with tf.device("/CPU:0"):
            return super().tensor(pixels)

    def ran_on(self, tensor: Any) -> Accelerator:
        """Return the GPU, after tracing the model once more for the devices that TensorFlow gave its operations."""
        elsewhere = operations_off_gpu(self._model, tensor)
        if elsewhere:
            raise FellBack(
                f"{self._path}: fell back: {len(elsewhere)} operations ran off the GPU: {', '.join(elsewhere[:5])}"
            )
        return probe(API).devices[0]


def operations_off_gpu(model: Any, tensor: Any) -> list[str]:
    """Return the computing operations of a model that TensorFlow, after its rewriting, did not run on a GPU.

    Raises FellBack where TensorFlow no longer reports it.
    """
    import tensorflow as tf
    from tensorflow.python.eager import context  # there is no other access to the partitioned graphs

    context.context().enable_run_metadata()
    context.context().enable_graph_collection()
    try:
        tf.function(lambda x: model(x, training=False))(tensor)  # a new one: graphs are only reported when they are made
        collected = context.context().export_run_metadata()
    finally:
        context.context().disable_graph_collection()
        context.context().disable_run_metadata()
    nodes = [node for function in collected.function_graphs for graph in function.partition_graphs for node in graph.node]
    if not nodes:
        raise FellBack("TensorFlow reports no device of any operation: where it ran is unknown")
    return sorted(node.op for node in nodes if "GPU" not in node.device.upper() and node.op not in NOT_COMPUTING)


def check_installed() -> None:
    """Raise RuntimeMissing where TensorFlow is missing, or built without CUDA."""
    try:
        metadata.version("tensorflow")
    except metadata.PackageNotFoundError as error:
        raise RuntimeMissing("this TensorFlow is built without CUDA: `make bench-gpu` has the other in .venv-gpu") from error


def import_library() -> None:
    """Import Keras and TensorFlow. Raises RuntimeMissing where TensorFlow does not see the GPU."""
    check_installed()
    import_keras()
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise RuntimeMissing("TensorFlow sees no GPU: its CUDA libraries are missing: pip install 'tensorflow[and-cuda]'")


def open_session(path: Path, card: Card, threads: int) -> Session:  # noqa: ARG001  # every runtime is opened alike
    """Open a `.keras` file on the GPU."""
    return KerasGpuSession(path, threads)
