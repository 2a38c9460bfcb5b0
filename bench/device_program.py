"""What runs on a device: the very classify.py that a user runs there, and the pictures, pushed once and named by content."""

import hashlib
from collections.abc import Sequence
from typing import Any

from bench import device_health
from bench.device_answers import RowCrashed, RowRefused
from bench.device_file import CHECKOUT
from bench.device_pictures import DevicePictures
from bench.link import Link
from bench.phases import Phases
from device.classify import EXIT_FAILED, EXIT_OK, EXIT_USAGE

CLASSIFY = CHECKOUT / "device" / "classify.py"
MARKED = CHECKOUT / "bench" / "marked.py"
PROCESS_LIMIT_S = 900.0
WATCH_EVERY_S = 1.0


class DeviceProgram:
    """classify.py at the other end of a link."""

    def __init__(self, link: Link, runner: Sequence[str], code: bytes) -> None:
        self._link, self._runner, self._code = link, runner, code
        self._name = f"files/{hashlib.sha256(code).hexdigest()}/classify.py"
        self._pushed: set[str] = set()
        self.push(self._name, code)

    def push(self, name: str, data: bytes) -> None:
        """See to it that a file is there."""
        digest = hashlib.sha256(data).hexdigest()
        if name in self._pushed:
            return
        if not self._link.ask("have", names={name: digest}, limit_s=300)["have"]:
            self._link.push(name, data, digest)
        self._pushed.add(name)

    def push_pictures(self, pictures: DevicePictures, count: int) -> None:
        """See to it that the first `count` pictures are there."""
        missing = {shard.folder: shard for shard in pictures.shards(count) if shard.folder not in self._pushed}
        there = self._link.ask("have", names=dict.fromkeys(missing, ""))["have"] if missing else []
        for folder, shard in missing.items():
            if folder not in there:
                self._link.push(folder, shard.archive, shard.sha256, unpack=True)
            self._pushed.add(folder)

    def classify(self, arguments: Sequence[str], limit_s: float, watch: bool = False) -> dict[str, Any]:
        """Run it, `watch`ing the device's health meanwhile. Raises RowRefused or RowCrashed."""
        argv = [*self._runner, self._name, *arguments, "--json"]
        watched: dict[str, Any] = {"watch": list(device_health.WATCHED), "watch_every_s": WATCH_EVERY_S} if watch else {}
        result = self._link.ask("run", limit_s + 60, argv=argv, kill_after_s=limit_s, **watched)
        last = (str(result["errors"]).strip().splitlines() or ["it said nothing"])[-1]
        if result["timed_out"]:
            raise RowCrashed(f"its process was stopped after {limit_s:.0f} s")
        if result["code"] == EXIT_USAGE:
            raise RowRefused(last)
        if result["code"] not in (EXIT_OK, EXIT_FAILED):
            killed = " (killed: out of memory?)" if result["code"] == -9 else ""
            raise RowCrashed(f"its process ended with {result['code']}{killed}: {last}")
        if result["code"] == EXIT_FAILED and not str(result["output"]).strip():
            raise RowCrashed(last)  # classify.py itself tells how the process that it supervises ended
        return result

    def run_phases(self, phases: Phases, model: str) -> dict[str, Any]:
        """Run a job of bench/marked.py, which calls the functions of the same classify.py, on a model that is there."""
        marked = MARKED.read_bytes()
        folder = f"files/{hashlib.sha256(marked + self._code).hexdigest()}"
        self.push(f"{folder}/marked.py", marked)
        self.push(f"{folder}/device/classify.py", self._code)
        self.push(f"{folder}/device/__init__.py", CLASSIFY.with_name("__init__.py").read_bytes())
        asked = phases.to_json(model, None).encode()
        path = f"files/{hashlib.sha256(asked).hexdigest()}/job.json"
        self.push(path, asked)
        argv = [*self._runner, f"{folder}/marked.py", path]
        return self._link.ask("run", PROCESS_LIMIT_S + 60, argv=argv, kill_after_s=PROCESS_LIMIT_S)
