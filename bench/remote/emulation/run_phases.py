"""Running bench/measure/phase_worker.py on an emulated device, with its instructions counted."""

import shutil
from dataclasses import replace
from typing import Any

from bench.measure.phases import Phases, result_of
from bench.remote.emulation.counting_plugin import plugin, read_marks
from bench.remote.emulation.device import EmulatedDevice
from bench.remote.emulation.overlay import JOB, overlay
from bench.remote.emulation.qemu import find_emulator, path_prefix, run_python
from bench.remote.emulation.user_space import find_user_space
from bench.results.instruction_counts import Instructions, of_marks
from bench.results.outcome import RowRefused
from common.paths import PROGRAM


def run_emulated(phases: Phases, device: EmulatedDevice) -> tuple[dict[str, Any], Instructions]:
    """Run a job on an emulated device; return its result and its instructions.

    Raises RowRefused, or EdgeproofError where the process crashes.
    """
    space = find_user_space(device)
    if phases.runtime not in space.runtimes:
        raise RowRefused(f"{phases.runtime} has no wheel for {device.target.name}: there are {', '.join(space.runtimes)}")
    emulator = find_emulator(device.qemu)
    with overlay(device, space) as folder:
        job = folder / JOB
        shutil.copytree(PROGRAM / "device", job / "device", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROGRAM / "bench" / "measure" / "phase_worker.py", job)
        model = f"model{phases.model.suffix}"
        shutil.copy(phases.model, job / model)
        if phases.pictures is not None:
            shutil.copy(phases.pictures, job / "pictures.npy")
        inside = replace(phases, marks="close")
        job_path = f"{path_prefix(device, folder)}/{JOB}"
        pictures = None if phases.pictures is None else f"{job_path}/pictures.npy"
        (job / "job.json").write_text(inside.to_json(f"{job_path}/{model}", pictures))
        counts = folder / "counts.txt"
        options = ["-plugin", f"{plugin(emulator)},out={counts}"]
        arguments = [f"{job_path}/phase_worker.py", f"{job_path}/job.json"]
        result = result_of(run_python(emulator, device, space, folder, arguments, options), device.name)
        totals, dots = read_marks(counts)
        known_dots = dots if device.target.bits == 64 else None
        return result, of_marks(totals, device.core.name, emulator.version, space.sha256, known_dots)
