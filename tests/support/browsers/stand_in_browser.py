"""A browser that is none: it asks for a page's task and answers it with LiteRT, or does what the variable STAND_IN says."""

import base64
import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 40
SCORE = 0.5  # a wrong one


def main(address: str, how: str) -> None:
    """Be a page at the address."""
    if how == "dies":
        sys.stderr.write("cannot open display\n")
        sys.exit(21)
    if how == "silent":
        time.sleep(600)
    task = json.loads(fetched(address, "task"))
    model = fetched(address, "model")
    fetched(address, "npm/@litertjs/core/wasm/litert.wasm")
    post(address, result_of(task, model, address, how))
    time.sleep(600)  # a browser stays open


def fetched(address: str, name: str) -> bytes:
    """Return what the server has under a name."""
    with urllib.request.urlopen(address + name) as response:  # noqa: S310  # the loopback's
        found: bytes = response.read()
    return found


def post(address: str, document: Any) -> None:
    """Post a result."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    urllib.request.urlopen(urllib.request.Request(address + "result", body, method="POST")).close()  # noqa: S310


def result_of(task: dict[str, Any], model: bytes, address: str, how: str) -> Any:
    """Return what the page posts."""
    if how in ("open", "run", "starting"):
        return {"stage": how, "error": "Element type INT8 is not supported.\n\x1b[31m<b>at line 3</b>"}
    if how == "garbage":
        return b"<html>not found</html>"
    outputs = answered(task, model, address)
    if how == "wrong":
        outputs[:] = np.roll(outputs, 1, axis=1)
    found = {
        "browser": "Stand-in 1.0", "isolated": True, "step_ms": 0.005, "fetch_ms": 20.0, "compile_ms": 300.0,
        "first_ms": 5.0, "steady_ms": 9.0, "warmup_calls": 50, "steady": True, "block": 4,
        "samples_ms": [0.25] * SAMPLES, "output_type": outputs.dtype.name,
        "outputs": base64.b64encode(outputs.tobytes()[: -1 if how == "short" else None]).decode(),
    }  # fmt: skip
    if how == "negative":
        found["fetch_ms"] = -1.0
    return found


def answered(task: dict[str, Any], model: bytes, address: str) -> Any:
    """Return the outputs of all tensors (N, classes)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    takes, gives = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    shape, kind, outputs = task["input_shape"], np.dtype(task["input_type"]), []
    for first in range(0, task["answers"], task["at_a_time"]):
        tensors = np.frombuffer(fetched(address, f"tensors/{first}"), kind).reshape(-1, *shape)
        for tensor in tensors[: task["answers"] - first]:
            interpreter.set_tensor(takes["index"], tensor)
            interpreter.invoke()
            outputs.append(interpreter.get_tensor(gives["index"])[0].copy())
    return np.array(outputs) if outputs else np.empty((0, 1), gives["dtype"])


def install(folder: Path, how: str = "") -> Path:
    """Write the file of a device whose browser is this stand-in, with packages that are as empty; return its path."""
    packages = folder / "node_modules"
    for name in ("@litertjs/core", "onnxruntime-web"):
        (packages / name).mkdir(parents=True)
        (packages / name / "package.json").write_text('{"version": "1.2.3"}')
    (packages / "@litertjs/core/wasm").mkdir()
    (packages / "@litertjs/core/wasm/litert.wasm").write_bytes(b"\0" * 10_000)
    browser = folder / "browser"
    browser.write_text(f'#!/bin/sh\nexec env "STAND_IN={how}" "{sys.executable}" "{Path(__file__)}" "$@"\n')
    browser.chmod(0o755)
    path = folder / "chromium.toml"
    keys = {"description": "a stand-in", "browser": [str(browser)], "packages": str(packages)}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
    return path


if __name__ == "__main__":
    main(sys.argv[-1], os.environ.get("STAND_IN", ""))
