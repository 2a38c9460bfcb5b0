"""A process that has one model open and answers requests about it: a line of JSON in, a line of JSON out.

It runs in the environment of a microcontroller's interpreter too, so it needs the standard library and numpy alone.
"""

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from bench.measure.job import EXIT_REFUSED, REASON
from device.errors import EXIT_FAILED, EXIT_OK
from device.process import confine_memory, end_with_parent, leave_no_core_file
from device.timing import peak_rss_bytes


class Refused(Exception):
    """The interpreter does not take the model, or cannot run it; the message is a line that says why."""


class NotInstalled(Exception):
    """The interpreter is not in this environment, although it was asked for by name: a failure, not a refusal."""


class OpenModel(Protocol):
    """A model that is open in an interpreter."""

    def facts(self) -> dict[str, Any]:
        """Return the interpreter's version, and `input` and `output`: shape, dtype, quantization (scale, zero point)."""

    def infer(self, tensor: bytes) -> bytes:
        """Return the output tensor's bytes for the input tensor's."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer another request than `infer` and `peak`."""


def serve(open_model: Callable[[Path], OpenModel]) -> int:
    """Open the model that the first line names, and answer the lines after it. A refusal is exit code 3."""
    job = json.loads(sys.stdin.readline())
    end_with_parent(job["parent_id"])
    leave_no_core_file()
    confine_memory(job["memory_bytes"])
    try:
        model = open_model(Path(job["model"]))
        _print(model.facts())
        for line in sys.stdin:
            _print(_answer(model, json.loads(line)))
    except Refused as refusal:
        sys.stderr.write(f"\n{REASON}{refusal}\n")
        return EXIT_REFUSED
    except NotInstalled as missing:
        sys.stderr.write(f"\n{REASON}{missing}\n")
        return EXIT_FAILED
    except MemoryError:
        sys.stderr.write(f"\n{REASON}out of memory: it needs more than {job['memory_bytes'] / 1e6:,.0f} MB\n")
        return EXIT_FAILED
    return EXIT_OK


def _answer(model: OpenModel, request: dict[str, Any]) -> dict[str, Any]:
    if "infer" in request:
        return {"output": b64encode(model.infer(b64decode(request["infer"]))).decode()}
    if "peak" in request:
        return {"peak_rss_bytes": peak_rss_bytes() or 0}
    return model.answer(request)


def _print(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
