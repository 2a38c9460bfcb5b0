"""onnxruntime on the CPU."""

import importlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.artifacts.cardless_input import CardlessInput
from bench.runtimes import Session
from bench.runtimes.support.cardless_session import CardlessSession, OnnxModel
from bench.runtimes.support.operation_profile import DURATION_NS, RUNS, WARM_UP_RUNS, Event, Operation, operations
from device.card import Card
from device.errors import RuntimeMissing
from device.open_model import open_session as open_on_device

TITLE = "onnxruntime"
FORMATS = frozenset({"onnx"})
PROFILE_NOTE = "whole microseconds; timing each operation takes time itself: trust shares, not the sum"
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
PREFERRED = True


def import_library() -> None:
    """Import onnxruntime. Raises RuntimeMissing where it is not installed."""
    try:
        importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RuntimeMissing(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error


def open_session(path: Path, card: Card, threads: int) -> Session:
    """Open an `.onnx` as a device does."""
    return open_on_device(path, card, threads)


def open_cardless(path: Path, cardless: CardlessInput, threads: int) -> CardlessSession:
    """Open an `.onnx` that was not made here."""
    return CardlessSession(OnnxModel(path, threads, cardless.shapes))


def profile(path: Path, card: Card | None, threads: int, inputs: Sequence[Any]) -> list[Operation]:
    """Time each operation over the inputs with onnxruntime's own profiler, opened as for the latency."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only
    options.enable_profiling = True
    session_fields = (card.document.get("session") or {}) if card else {}
    with tempfile.TemporaryDirectory(prefix="edgeproof-") as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=session_fields.get("disabled_optimizers") or None,
        )
        names = [entry.name for entry in session.get_inputs()]
        begin_ns, runs = time.perf_counter_ns(), 0
        while runs < 2 * WARM_UP_RUNS or (runs < RUNS and time.perf_counter_ns() - begin_ns < DURATION_NS):
            given = inputs[runs % len(inputs)]
            session.run(None, dict(zip(names, given if isinstance(given, tuple) else (given,), strict=True)))
            runs += 1
        entries = json.loads(Path(session.end_profiling()).read_text())
    return operations(_events(entries), runs - WARM_UP_RUNS)


def _events(entries: list[dict[str, Any]]) -> list[Event]:
    """Return the operations of an onnxruntime profile in the order of execution, without those of the warm-up."""
    borders = [entry["ts"] for entry in entries if entry["name"] == "model_run"]
    begin_us = sorted(borders)[WARM_UP_RUNS]
    places: dict[str, int] = {}
    found: list[Event] = []
    for entry in sorted(entries, key=lambda entry: entry["ts"]):
        if entry["cat"] != "Node" or not entry["name"].endswith("_kernel_time") or entry["ts"] < begin_us:
            continue
        name, about = entry["name"].removesuffix("_kernel_time"), entry["args"]
        place = places.setdefault(about["node_index"], len(places))
        found.append(Event(place, name, about["op_name"], about["provider"], float(entry["dur"])))
    return found
