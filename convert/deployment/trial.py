"""Opening a model as a trial in the runtime of a target, if that wheel's version is installed here.

What a file needs is read from it first; this finds what no table has: an operation that a runtime lacks for these
types, a shape that it refuses. The runtime runs in a process of its own, which a damaged file may crash.
"""

import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from convert.deployment.target import Wheel
from device.runtimes import TFLITE_RUNTIMES

TIMEOUT_S = 120
REFUSED = 7
TRIAL = f"""
import importlib, resource, sys
module, path = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
library = importlib.import_module(module)
try:
    if module == "onnxruntime":
        options = library.SessionOptions()
        options.log_severity_level = 4
        library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    else:
        interpreter = library.Interpreter(model_path=path)
        sides = [side for tensor in interpreter.get_input_details() for side in tensor["shape_signature"][1:]]
        if all(side > 0 for side in sides):  # free sides are set later
            interpreter.allocate_tensors()
except Exception as error:
    print("\\n" + (str(error).strip() or type(error).__name__).splitlines()[0])
    sys.exit({REFUSED})
"""


def refused_here(path: Path, wheel: Wheel) -> str | None:
    """Say why the wheel's runtime refuses a file; None: it opens the file, or that version is not installed here."""
    try:
        if metadata.version(wheel.distribution) != wheel.version:
            return None
        stat = path.stat()
    except (metadata.PackageNotFoundError, OSError):
        return None
    return _refused(path.resolve(), stat.st_size, stat.st_mtime_ns, wheel.distribution, wheel.runtime)


@cache
def _refused(path: Path, _size: int, _changed_ns: int, distribution: str, runtime: str) -> str | None:
    module = TFLITE_RUNTIMES[runtime][0] if runtime in TFLITE_RUNTIMES else "onnxruntime"
    command = [sys.executable, "-I", "-c", TRIAL, module, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{distribution} does not open it within {TIMEOUT_S} s"
    if done.returncode == REFUSED:
        return f"{distribution} refuses it: {(done.stdout.strip().splitlines() or ['no reason'])[-1][:200]}"
    return f"{distribution} crashes when it opens it" if done.returncode < 0 else None
