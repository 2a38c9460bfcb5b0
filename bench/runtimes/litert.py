"""LiteRT: the wheel ai-edge-litert, the successor of tflite-runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.artifacts.cardless_input import CardlessInput
from bench.runtimes import Session
from bench.runtimes.support.cardless_session import CardlessSession, InterpreterModel
from bench.runtimes.support.operation_profile import Operation
from device.card import Card
from device.open_model import open_session as open_on_device
from device.runtimes import import_tflite

NAME = "litert"
PROFILE_NOTE = "whole microseconds, rounded down, so short operations read low; timing each operation takes time itself"
TITLE = "LiteRT"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("ai-edge-litert",)
PREFERRED = True


def import_library() -> None:
    """Import the interpreter."""
    import_tflite(NAME)


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a `.tflite` as a device does."""
    return open_on_device(path, card, threads, NAME)


def open_cardless(path: Path, cardless: CardlessInput, threads: int) -> CardlessSession:
    """Open a `.tflite` that was not made here."""
    return CardlessSession(InterpreterModel(path, threads, NAME, cardless.shapes))


def profile(path: Path, card: Card | None, threads: int, inputs: Sequence[Any]) -> list[Operation]:  # noqa: ARG001
    """Time each operation over the inputs, each an array, or a tuple with an array for each input."""
    from bench.runtimes.support import litert_profiler

    return litert_profiler.profile(path, threads, [each if isinstance(each, tuple) else (each,) for each in inputs])
