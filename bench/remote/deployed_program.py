"""The program and the pictures on a device: the same classify.pyz as users run, pushed once and named by content."""

import hashlib
from collections.abc import Sequence
from typing import Any

from bench.machine import board_health
from bench.measure.phases import Phases
from bench.remote.picture_shards import DevicePictures
from bench.remote.reconnecting_link import Link
from bench.results.outcome import RowCrashed, RowRefused
from common.paths import PROGRAM
from convert.deployment.one_file import NAME
from device.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE

PHASE_WORKER = PROGRAM / "bench" / "measure" / "phase_worker.py"
PROCESS_LIMIT_S = 900.0
WATCH_EVERY_S = 1.0
# Runs its second argument with its first, a .pyz, on the module path: a device's Python may ignore or replace PYTHONPATH
WITH_MODULES = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); del sys.argv[:2]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


class DeviceProgram:
    """classify.pyz at the other end of a link."""

    def __init__(self, link: Link, runner: Sequence[str], code: bytes) -> None:
        self._link, self._runner, self._code = link, runner, code
        self._name = f"files/{hashlib.sha256(code).hexdigest()}/{NAME}"
        self._pushed: set[str] = set()
        self.push(self._name, code)

    def push(self, name: str, data: bytes) -> None:
        """Push a file, if it is not on the device yet."""
        digest = hashlib.sha256(data).hexdigest()
        if name in self._pushed:
            return
        if not self._link.ask("have", names={name: digest}, limit_s=300)["have"]:
            self._link.push(name, data, digest)
        self._pushed.add(name)

    def push_pictures(self, pictures: DevicePictures, count: int) -> None:
        """Push the first `count` pictures, if they are not on the device yet."""
        missing = {shard.folder: shard for shard in pictures.shards(count) if shard.folder not in self._pushed}
        present = self._link.ask("have", names=dict.fromkeys(missing, ""))["have"] if missing else []
        for folder, shard in missing.items():
            if folder not in present:
                self._link.push(folder, shard.archive, shard.sha256, unpack=True)
            self._pushed.add(folder)

    def classify(self, arguments: Sequence[str], limit_s: float, watch: bool = False) -> dict[str, Any]:
        """Run it; with `watch`, read the device's health meanwhile. Raises RowRefused or RowCrashed."""
        argv = [*self._runner, self._name, *arguments, "--json"]
        watched: dict[str, Any] = {"watch": list(board_health.WATCHED), "watch_every_s": WATCH_EVERY_S} if watch else {}
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
            raise RowCrashed(last)  # classify.py itself says how its child process ended
        return result

    def run_phases(self, phases: Phases, model: str) -> dict[str, Any]:
        """Run a job of phase_worker.py, which calls the functions of the same classify.pyz, on a model on the device."""
        worker = PHASE_WORKER.read_bytes()
        program = f"files/{hashlib.sha256(worker).hexdigest()}/phase_worker.py"
        self.push(program, worker)
        job_json = phases.to_json(model, None).encode()
        path = f"files/{hashlib.sha256(job_json).hexdigest()}/job.json"
        self.push(path, job_json)
        argv = [*self._runner, "-c", WITH_MODULES, self._name, program, path]
        return self._link.ask("run", PROCESS_LIMIT_S + 60, argv=argv, kill_after_s=PROCESS_LIMIT_S)
