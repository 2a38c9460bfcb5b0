"""A float32 ONNX model as the reference that artifacts are compared with, as Keras is for a Keras model."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from device.errors import EdgeproofError
from device.runtimes import first_line

ENDING = ".imported_onnx"  # of the model in build/NAME; not ".onnx", since it is no artifact


class OnnxNetwork:
    """An `.onnx` over pixels (N, H, W, C), float32, 0..255, opened in onnxruntime; with the methods of a keras.Model."""

    def __init__(self, path: Path, data: bytes) -> None:
        """Open it. Raises EdgeproofError where onnxruntime refuses it."""
        self.data, self._session = data, opened(path, data)
        entry = self._session.get_inputs()[0]
        self._input, self.batch = entry.name, entry.shape[0] if isinstance(entry.shape[0], int) else None

    def predict_on_batch(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the scores (N, classes), float32; one picture at a time where the batch is fixed at one."""
        if self.batch is None:
            return self._run(pixels)
        return np.concatenate([self._run(picture[None]) for picture in pixels])

    def _run(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = self._session.run(None, {self._input: pixels})[0]
        return scores

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Return the names of the nodes that compute with weights, in their order."""
        import onnx

        weights = ("Conv", "Gemm", "MatMul")
        return tuple(node.name for node in onnx.load_from_string(self.data).graph.node if node.op_type in weights)


def opened(path: Path, data: bytes) -> Any:
    """Open a model in onnxruntime on one thread. Raises EdgeproofError with its first line where it refuses."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # only fatal ones: the exception has the rest
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exception classes have no public base class
        raise EdgeproofError(f"{path}: onnxruntime {ort.__version__} refuses it: {first_line(error)}") from error
