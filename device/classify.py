#!/usr/bin/env python3
"""Classify pictures with one model file: copy this folder and a `.tflite` (or `.onnx`) to a device and run this file.

Needs numpy, Pillow and one runtime (ai-edge-litert, tflite-runtime or tensorflow for `.tflite`; onnxruntime for
`.onnx`) and nothing else. Labels and preprocessing come from the card inside the model file.

The whole package is written for Python 3.9 and newer, numpy 1 and 2.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from pathlib import Path
from typing import Optional

EXIT_USAGE = 2  # as in errors.py; repeated, because errors.py may be missing
COPY = "copy the whole folder device/, or take the one file classify.pyz"


def be_a_package() -> None:
    """Make the folder of this file the package `device`, whatever its name and its neighbours are.

    Python puts a script's own folder on the path. It is removed: its modules are not top-level modules.
    """
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != folder]
    path = folder / "__init__.py"
    spec = importlib.util.spec_from_file_location("device", path, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None or not path.is_file():
        raise ModuleNotFoundError("device/__init__.py is missing", name="device.__init__")
    package = importlib.util.module_from_spec(spec)
    sys.modules["device"] = package
    spec.loader.exec_module(package)


def start(own_model: Optional[str] = None) -> int:
    """Run the command, with the archive's own model if it has one. Where a part is missing, say what to copy or install."""
    try:
        if not __package__:
            be_a_package()
        from device.command_line import main, tell_crash
        from device.process import reopen_closed_streams, supervised
    except ImportError as error:
        name = error.name or "?"
        if name.partition(".")[0] == "device":
            print(f"classify.py: {name.replace('.', '/')}.py is missing or of another version: {COPY}", file=sys.stderr)
        else:
            print(f"classify.py: {error}: pip install numpy pillow", file=sys.stderr)
        return EXIT_USAGE
    reopen_closed_streams()
    own = Path(own_model) if own_model else None
    return supervised(partial(main, own_model=own), partial(tell_crash, own_model=own))


if __name__ == "__main__":
    sys.exit(start())
