"""Optional parts of the installation: which packages each contains, and the command that adds one here.

Which packages belong to an extra stands in pyproject.toml alone; a wheel carries it in its metadata.
"""

import importlib.util
import shlex
import sys
from importlib import metadata

from common.paths import PROGRAM

NAME = "edgeproof"
MODULES = {  # what a missing module belongs to
    "distributed": "dask",
    "keras": "train",
    "matplotlib": "train",
    "mlperf_loadgen": "loadgen",
    "onnxruntime_ep_webgpu": "webgpu",
    "optuna": "search",
    "openvino": "openvino",
    "sympy": "train",
    "tensorflow": "train",
    "tf2onnx": "train",
    "tf_keras": "keras2",
}
WITHOUT_DEPENDENCIES = ("keras2",)  # tf-keras demands a tensorflow beside the tensorflow-cpu that is there


def missing_extra(error: ImportError) -> str | None:
    """Return what to tell where an import failed for want of an extra; None where it failed for something else."""
    extra = MODULES.get((error.name or "").partition(".")[0]) if isinstance(error, ModuleNotFoundError) else None
    return None if extra is None else f"{error.name} is not installed: {how_to_add(extra)}"


def how_to_add(extra: str) -> str:
    """Return the command that adds an extra to this installation, as a sentence's end."""
    requirements = requirements_of(extra)
    if not requirements:
        return "run `make setup`" if (PROGRAM / "Makefile").exists() else f"there is no {extra} for this platform"
    pip = [sys.executable, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:  # an environment of `uv tool install`
        pip = ["uv", "pip", "install", "--python", sys.executable]
    options = ["--no-deps"] if extra in WITHOUT_DEPENDENCIES else []
    return f"it is in the extra {extra!r}; add it with: {shlex.join([*pip, *options, *requirements])}"


def requirements_of(extra: str) -> list[str]:
    """Return the requirements of an extra on this machine, [] where edgeproof runs from a checkout."""
    from packaging.requirements import Requirement

    try:
        stated = [Requirement(text) for text in metadata.requires(NAME) or []]
    except metadata.PackageNotFoundError:
        return []
    here = {"extra": extra}
    return [f"{r.name}{r.specifier}" for r in stated if r.marker and "extra" in str(r.marker) and r.marker.evaluate(here)]
