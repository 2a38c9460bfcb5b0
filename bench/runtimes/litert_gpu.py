"""LiteRT's GPU accelerator: CompiledModel on WebGPU over Vulkan, from the wheel ai-edge-litert."""

import importlib
import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.machine.accelerators import Accelerator
from bench.runtimes import FellBack, Session
from common.native_log import captured
from device.card import Card
from device.errors import ModelError, RuntimeMissing
from device.runtimes import TfliteSession, import_tflite

TITLE = "LiteRT"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("ai-edge-litert",)
API = "vulkan"
ADAPTER = re.compile(r"Selected adapter: (?P<name>.*), arch=.*adapterType=(?P<type>.*)")


class LitertGpuSession(TfliteSession):
    """A `.tflite` compiled for the GPU. It is never compiled for GPU and CPU, which would fall back silently."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.compiled_model import CompiledModel
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
        from ai_edge_litert.options import CpuOptions, GpuOptions, Options

        self.runtime = "litert_gpu"
        self._path = path
        self._read_details(path)
        options = Options(
            hardware_accelerators=HardwareAccelerator.GPU,
            cpu_options=CpuOptions(num_threads=threads),
            gpu_options=GpuOptions(enforce_f32=True),  # float16 arithmetic would be another model
        )
        with captured() as log:  # only the log has the device's name and the cause of a failure
            try:
                self._model = CompiledModel.from_file(str(path), options=options)
                self._inputs, self._outputs = self._model.create_input_buffers(0), self._model.create_output_buffers(0)
            except RuntimeError as error:
                raise ModelError(f"{path}: LiteRT's GPU accelerator refuses the model: {_cause(log())}") from error
        self._log = log()
        self._values = int(np.prod(self.output_shape))

    @property
    def runtime_version(self) -> str:
        """Return the version of the package ai-edge-litert."""
        return metadata.version("ai-edge-litert")

    def _read_details(self, path: Path) -> None:
        """Read shapes and quantization, which CompiledModel does not give, without preparing any operation."""
        interpreter = import_tflite("litert")[1](model_path=str(path))
        self._take_details(path, interpreter.get_input_details(), interpreter.get_output_details())
        self.output_dtype = np.dtype(interpreter.get_output_details()[0]["dtype"])

    def tensor(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Quantize pixels (H, W, C), uint8, 0..255, as the file says: contiguous (1, H, W, C) in the input's dtype."""
        return np.ascontiguousarray(super().tensor(pixels))

    def infer(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Write the input (1, H, W, C) to the device, run, read the output (classes,) back."""
        self._inputs[0].write(tensor)
        self._model.run_by_index(0, self._inputs, self._outputs)
        output: npt.NDArray[Any] = self._outputs[0].read(self._values, self.output_dtype)
        return output

    def ran_on(self, tensor: Any) -> Accelerator:  # noqa: ARG002  # it is known since the model was compiled
        """Return the adapter that LiteRT logged. Raises FellBack unless LiteRT's C API says that all is accelerated."""
        from bench.runtimes.support.litert_placement import is_all_on_accelerator

        found = ADAPTER.search(self._log)
        if found is None:
            raise FellBack(f"{self._path}: LiteRT logged no GPU adapter: it fell back to the CPU, or its log has changed")
        if not is_all_on_accelerator(self._path):
            raise FellBack(f"{self._path}: fell back: LiteRT ran operations of it outside the GPU")
        return Accelerator(API, found["name"], software="CPU" in found["type"])


def _cause(log: str) -> str:
    """Return the first line of LiteRT's log that names an error, without the source position."""
    lines = [line for line in log.splitlines() if line.startswith(("ERROR", "E0000"))]
    return re.sub(r"^\S+ (\d\S+ +\d+ )?\[?[\w./]+:\d+\]? ?", "", lines[0]).strip() if lines else "it gives no reason"


def check_installed() -> None:
    """Raise RuntimeMissing where LiteRT or its WebGPU accelerator is not installed."""
    spec = importlib.util.find_spec("ai_edge_litert")
    if spec is None or spec.origin is None:
        raise RuntimeMissing("ai-edge-litert is not installed: pip install ai-edge-litert")
    if not Path(spec.origin).with_name("libLiteRtWebGpuAccelerator.so").exists():
        raise RuntimeMissing("this ai-edge-litert has no GPU accelerator: install its wheel for Linux on x86-64")


def import_library() -> None:
    """Import CompiledModel."""
    check_installed()
    importlib.import_module("ai_edge_litert.compiled_model")


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Compile a `.tflite` only for the GPU."""
    session = LitertGpuSession(path, threads)
    session.fit(path, card)
    return session
