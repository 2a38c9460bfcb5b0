"""OpenVINO on the CPU, for PCs with Intel's processors: it opens both formats. Measured only where it is asked for."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.runtimes import Session
from common.extras import how_to_add
from device.card import Card
from device.errors import ModelError, RuntimeMissing
from device.formats.model_facts import model_facts
from device.formats.model_file import read_model_bytes
from device.runtimes import FittedSession, first_line

TITLE = "OpenVINO"
FORMATS = frozenset({"onnx", "tflite"})
DISTRIBUTIONS = ("openvino",)
ON_REQUEST = True
FLOAT32 = "f32"  # by default OpenVINO computes in bfloat16 on processors that have it, which float32 does not promise


class OpenVinoSession(FittedSession):
    """A model compiled by OpenVINO for one picture at a time."""

    def __init__(self, path: Path, threads: int) -> None:
        """Open and compile. Raises ModelError where OpenVINO refuses the file, or would not compute in float32."""
        import openvino

        self.runtime_version = str(openvino.__version__).partition("-")[0]
        facts = model_facts(path, read_model_bytes(path))
        self._input_quantization, self._output_quantization = facts.input.quantization, facts.output.quantization
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": FLOAT32,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            core = openvino.Core()
            model = core.read_model(path)
            free_to_1 = [1 if side.is_dynamic else side.get_length() for side in model.inputs[0].get_partial_shape()]
            model.reshape(free_to_1)
            compiled = core.compile_model(model, "CPU", options)
        except Exception as error:  # RuntimeError for most files, others for damaged ones
            raise ModelError(f"{path}: OpenVINO {self.runtime_version} refuses the model: {first_line(error)}") from error
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if precision != FLOAT32:
            raise ModelError(f"{path}: OpenVINO {self.runtime_version} would compute in {precision}, asked for {FLOAT32}")
        self.input_shape = tuple(compiled.inputs[0].shape)
        self.input_dtype = np.dtype(compiled.inputs[0].get_element_type().to_dtype())
        self.output_shape = tuple(compiled.outputs[0].shape)
        self._request = compiled.create_infer_request()

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run the input tensor (1, H, W, C): the output tensor (1, classes), a copy."""
        output: npt.NDArray[Any] = self._request.infer([tensor], share_inputs=True)[0]
        return output


def import_library() -> None:
    """Import OpenVINO. Raises RuntimeMissing where it is not installed."""
    try:
        importlib.import_module("openvino")
    except ImportError as error:
        raise RuntimeMissing(f"OpenVINO cannot be imported ({error}): {how_to_add('openvino')}") from error


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a `.tflite` or `.onnx`."""
    session = OpenVinoSession(path, threads)
    session.fit(path, card)
    return session
