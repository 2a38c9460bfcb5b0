"""onnxruntime's CUDA provider: the onnxruntime-gpu build."""

import importlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.runtimes import Session
from bench.runtimes.support.onnx_accelerator import AcceleratedOnnxSession
from device.card import Card
from device.errors import RuntimeMissing

TITLE = "onnxruntime"
FORMATS = frozenset({"onnx"})
DISTRIBUTIONS = ("onnxruntime-gpu",)
API = "cuda"
NAME, PROVIDER = "onnxruntime_cuda", "CUDAExecutionProvider"


def check_installed() -> None:
    """Raise RuntimeMissing where this onnxruntime is not the build with CUDA."""
    try:
        metadata.version("onnxruntime-gpu")
    except metadata.PackageNotFoundError as error:
        # All builds install the same folder, so it cannot be installed beside the CPU build
        raise RuntimeMissing("onnxruntime-gpu is not installed here: `make bench-gpu` has it in .venv-gpu") from error


def import_library() -> None:
    """Import onnxruntime and load CUDA and cuDNN from their wheels, where installed. Raises RuntimeMissing."""
    check_installed()
    ort = importlib.import_module("onnxruntime")
    ort.preload_dlls()


def _choose(ort: Any, options: Any) -> list[str]:  # noqa: ARG001  # every provider chooses alike
    # get_available_providers() is no proof: it lists providers that cannot be loaded too
    return [PROVIDER]


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open an `.onnx` with every node on CUDA."""
    session = AcceleratedOnnxSession(path, card, threads, NAME, PROVIDER, API, _choose)
    session.fit(path, card)
    return session
