"""What a microcontroller's interpreter says of the ready model, and a stand-in for the interpreter."""

import json
import os
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bench.results.row import Subject
from bench.results.store import Results
from common.micro_figures import DEVICE, MicroFigures
from common.paths import PROGRAM
from tests.conftest import ROOT
from tests.support.models.model_files import PLANTED, READY, own_bytes
from tests.support.results_builder import ENVIRONMENT, measurement

OPERATIONS = ("CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "QUANTIZE", "SOFTMAX")
MICRO_PYTHON = PROGRAM / ".venv-micro" / "bin" / "python"
needs_interpreter = pytest.mark.skipif(not MICRO_PYTHON.exists(), reason="the interpreter is not here: make setup-micro")


def figures(path: Path = READY, **changes: Any) -> MicroFigures:
    """Return the figures of a file, as the interpreter gives them for the ready model."""
    own = own_bytes(path)
    usual: dict[str, Any] = {
        "interpreter": "tflite-micro 0.dev1",
        "model_sha256": sha256(own).hexdigest(),
        "flash_bytes": len(own),
        "arena_bytes": 31_552,
        "tensor_bytes": 21_504,
        "operations": OPERATIONS,
        "compared": 111,
        "equal": 111,
    }
    return MicroFigures(**{**usual, **changes})


def results_of(*found: MicroFigures) -> Results:
    """Return results with a row of the interpreter for each of these."""
    rows = []
    for number, one in enumerate(found):
        row = measurement("tflite_micro", __file__, device=DEVICE)
        subject = Subject("m", None, f"int8_{number}" if number else "int8", "tflite", "tflite_micro", DEVICE, "cpu", 1)
        rows.append(replace(row, subject=subject, microcontroller=one))
    results = Results()
    results.merge(rows, [], ENVIRONMENT, device=DEVICE)
    return results


def saved_results(folder: Path, *found: MicroFigures) -> Path:
    """Write a bench.json with these figures."""
    path = folder / "bench.json"
    results_of(*found).save(path)
    return path


def stand_in(folder: Path, how: str = "") -> Path:
    """Write the file of a device whose interpreter is a stand-in, in which `how` goes wrong."""
    python = ["env", f"PYTHONPATH={PLANTED}{os.pathsep}{ROOT}", f"STAND_IN={how}", sys.executable]
    path = folder / f"{DEVICE}.toml"
    keys = {"description": "a stand-in", "interpreter": "tflite_micro", "python": python}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
    return path
