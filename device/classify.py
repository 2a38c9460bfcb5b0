#!/usr/bin/env python3
"""Classify pictures with one model file: copy this folder and a `.tflite` (or `.onnx`) to a device and run this file.

Needs numpy, Pillow and one runtime (ai-edge-litert, tflite-runtime or tensorflow for `.tflite`; onnxruntime for
`.onnx`) and nothing else. Labels and preprocessing come from the card inside the model file.

The whole package is written for Python 3.9 and newer, numpy 1 and 2. Only this file is written so that any older Python
can read it too, and say what it needs.
"""

import sys

OLDEST_PYTHON = (3, 9)
EXIT_USAGE = 2  # as in errors.py; repeated, because errors.py may be missing
COPY = "copy the whole folder device/, or take the one file classify.pyz"


def tell(text):  # noqa: ANN001, ANN201
    # type: (str) -> None
    """Print a line on standard error."""
    sys.stderr.write("classify.py: " + text + "\n")


if sys.version_info < OLDEST_PYTHON:
    tell("needs Python 3.9 or newer, this is " + ".".join(map(str, sys.version_info[:2])))
    sys.exit(EXIT_USAGE)

import importlib.util  # noqa: E402  # what follows is not in older versions
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402


def be_a_package():  # noqa: ANN201
    # type: () -> None
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


def start(own_model=""):  # noqa: ANN001, ANN201
    # type: (str) -> int
    """Run the command, with the archive's own model if it has one. Where a part is missing, say what to copy or install."""
    try:
        if not __package__:
            be_a_package()
        from device.command_line import main, tell_crash
        from device.process import reopen_closed_streams, supervised
    except ImportError as error:
        name = error.name or "?"
        if name.partition(".")[0] == "device":
            tell(name.replace(".", "/") + ".py is missing or of another version: " + COPY)
        else:
            tell(str(error) + ": pip install numpy pillow")
        return EXIT_USAGE
    reopen_closed_streams()
    own = Path(own_model) if own_model else None
    return supervised(partial(main, own_model=own), partial(tell_crash, own_model=own))


if __name__ == "__main__":
    sys.exit(start())
