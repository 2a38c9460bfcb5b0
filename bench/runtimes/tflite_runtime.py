"""tflite-runtime: the last wheel of that name (2.14), which many existing devices use."""

from pathlib import Path

from bench.artifacts.cardless_input import CardlessInput
from bench.runtimes import Session
from bench.runtimes.support.cardless_session import CardlessSession, InterpreterModel
from device.card import Card
from device.open_model import open_session as open_on_device
from device.runtimes import import_tflite

NAME = "tflite_runtime"
TITLE = "tflite-runtime"
FORMATS = frozenset({"tflite"})
DISTRIBUTIONS = ("tflite-runtime",)
LAST_PYTHON = (3, 11)
QUANTIZED_ON_X86 = "tflite-runtime's x86 wheel runs quantized operations in plain reference code, not in XNNPACK"


def import_library() -> None:
    """Import the interpreter."""
    import_tflite(NAME)


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open a `.tflite` as a device does."""
    return open_on_device(path, card, threads, NAME)


def open_cardless(path: Path, cardless: CardlessInput, threads: int) -> CardlessSession:
    """Open a `.tflite` that was not made here."""
    return CardlessSession(InterpreterModel(path, threads, NAME, cardless.shapes))
