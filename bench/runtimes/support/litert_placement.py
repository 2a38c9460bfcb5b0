"""Whether LiteRT ran all of a model on an accelerator, from the C library in the wheel: the Python API does not say it.

`CompiledModel.is_fully_accelerated()` counts XNNPACK, on the CPU, as an accelerator and so proves nothing. The C API's
LiteRtCompiledModelIsNonCpuFullyAccelerated does not; the model is compiled again for it, with the same accelerator.
"""

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

from device.errors import CheckFailed

CPU, GPU = 1, 2  # kLiteRtHwAcceleratorCpu, kLiteRtHwAcceleratorGpu
TAG_RUNTIME_LIBRARY_DIR = 22  # kLiteRtEnvOptionTagRuntimeLibraryDir
TYPE_STRING = 8  # kLiteRtAnyTypeString


class _Value(ctypes.Union):
    _fields_ = (("integer", ctypes.c_int64), ("text", ctypes.c_char_p))


class _Any(ctypes.Structure):
    """LiteRtAny."""

    _fields_ = (("type", ctypes.c_int), ("value", _Value))


class _Option(ctypes.Structure):
    """LiteRtEnvOption."""

    _fields_ = (("tag", ctypes.c_int), ("any", _Any))


def is_all_on_accelerator(path: Path, accelerator: int = GPU) -> bool:
    """Compile a `.tflite` for the accelerator and say whether every operation is on an accelerator other than the CPU.

    Raises CheckFailed where the C library behaves differently from that of ai-edge-litert 2.3.
    """
    spec = importlib.util.find_spec("ai_edge_litert")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    library = ctypes.CDLL(str(folder / "libLiteRt.so"))
    option = _Option(TAG_RUNTIME_LIBRARY_DIR, _Any(TYPE_STRING, _Value(text=str(folder).encode())))
    environment, model, options, compiled = (ctypes.c_void_p() for _ in range(4))
    _call(library, "LiteRtCreateEnvironment", 1, ctypes.byref(option), ctypes.byref(environment))
    _call(library, "LiteRtCreateModelFromFile", environment, str(path).encode(), ctypes.byref(model))
    _call(library, "LiteRtCreateOptions", ctypes.byref(options))
    _call(library, "LiteRtSetOptionsHardwareAccelerators", options, accelerator)
    _call(library, "LiteRtCreateCompiledModel", environment, model, options, ctypes.byref(compiled))
    answer = ctypes.c_bool()
    _call(library, "LiteRtCompiledModelIsNonCpuFullyAccelerated", compiled, ctypes.byref(answer))
    return answer.value


def _call(library: ctypes.CDLL, name: str, *arguments: Any) -> None:
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise CheckFailed(f"this LiteRT has no {name}: where it ran is unknown; install ai-edge-litert 2.3.0") from error
    status = function(*arguments)
    if status != 0:
        raise CheckFailed(f"LiteRT's {name} failed with status {status}: where it ran is unknown")
