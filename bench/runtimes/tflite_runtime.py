"""tflite-runtime: the last wheel of that name (2.14), which many devices in the field have."""

from pathlib import Path

from bench.given import Given
from bench.given_session import GivenSession, InterpreterModel
from bench.runtimes import Session
from device.classify import Card, import_tflite, open_session as open_on_device

NAME = "tflite_runtime"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("tflite-runtime",)


def import_library() -> None:
    """Import the interpreter."""
    import_tflite(NAME)


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a `.tflite` as a device does."""
    return open_on_device(path, card, threads, NAME)


def open_given(path: Path, given: Given, threads: int) -> GivenSession:
    """Open a `.tflite` that was not made here."""
    return GivenSession(InterpreterModel(path, threads, NAME, given.shapes), given)
