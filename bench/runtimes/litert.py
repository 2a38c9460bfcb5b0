"""LiteRT: the ai-edge-litert wheel, TFLite's present home."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.given import Given
from bench.given_session import GivenSession, InterpreterModel
from bench.profiling import Operation
from bench.runtimes import Session
from device.classify import Card, import_tflite, open_session as open_on_device

NAME = "litert"
PROFILE_NOTE = "whole microseconds, cut off: what is short reads low; timing each operation itself takes time"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("ai-edge-litert",)


def import_library() -> None:
    """Import the interpreter."""
    import_tflite(NAME)


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a `.tflite` as a device does."""
    return open_on_device(path, card, threads, NAME)


def open_given(path: Path, given: Given, threads: int) -> GivenSession:
    """Open a `.tflite` that was not made here."""
    return GivenSession(InterpreterModel(path, threads, NAME, given.shapes), given)


def profile(path: Path, card: Card | None, threads: int, inputs: Sequence[Any]) -> list[Operation]:  # noqa: ARG001
    """Time each operation over the inputs, each an array or a tuple of one an input."""
    from bench import litert_profiler

    return litert_profiler.profile(path, threads, [each if isinstance(each, tuple) else (each,) for each in inputs])
