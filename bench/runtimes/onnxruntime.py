"""onnxruntime on the CPU."""

import importlib
from pathlib import Path

from bench.runtimes import Session
from device.classify import Card, RuntimeMissing, open_session as open_on_device

FORMATS = frozenset({"onnx"})
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")


def import_library() -> None:
    """Import onnxruntime. Raises RuntimeMissing where it is not installed."""
    try:
        importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissing(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open an `.onnx` as a device does."""
    return open_on_device(path, card, threads)
