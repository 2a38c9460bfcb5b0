"""Device files of an SSH server on this machine."""

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

from bench.artifacts.find import find_artifacts
from bench.measure.row import Mode
from bench.remote.command import measure_devices
from bench.remote.loopback_sshd import Loopback
from bench.results.store import Results, load_results
from tests.conftest import ROOT, Finished

READY = ROOT / "data" / "ready" / "mnist_cnn_crop.int8.tflite"


def device_file(home: Path, server: Loopback, name: str = "board", **keys: Any) -> Path:
    """Write a device's file: this machine over SSH, with everything in a folder with a difficult name."""
    document = {
        "description": "the loopback",
        "host": "127.0.0.1",
        "user": server.user,
        "port": server.port,
        "key": str(server.key),
        "known_hosts": str(server.known_hosts),
        "python": [sys.executable],
        "ready": True,
        "folder": str(home / "far sidé"),
        **keys,
    }
    path = home / f"{name}.toml"
    path.write_text("".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in document.items()))
    return path


def arguments(*devices: Path, pictures: Path, output: Path, model: Path = READY) -> list[str]:
    where = ["--device", ",".join(map(str, devices)), "--data", str(pictures), "--output", str(output)]
    return ["run", str(model), "--runtime", "litert", "--seconds", "0.01", *where]


def measure(*devices: Path, pictures: Path, model: Path = READY) -> tuple[Finished, Results]:
    """Measure as the command does, in this process and with one process for each row: that is enough to test errors."""
    output = devices[0].parent / "bench.json"
    results, said = load_results(output) if output.exists() else Results(), io.StringIO()
    with contextlib.redirect_stdout(said):
        names, how_long = ",".join(map(str, devices)), Mode(64, 0.0, 1)
        found = find_artifacts([model])
        failures = measure_devices(names, found, ["litert"], how_long, [1], pictures, False, None, results, output)
    return Finished(int(bool(failures)), said.getvalue(), "\n".join(failures)), load_results(output)


def patched_python(folder: Path, code: str) -> list[str]:
    """Return a command that is this Python with some code run at its start."""
    (folder / "sitecustomize.py").write_text(code)
    return ["env", f"PYTHONPATH={folder}", sys.executable]
