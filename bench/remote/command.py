"""`edgeproof bench run --device NAME,...`: measure on devices, and merge each one's rows into bench.json."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from bench.artifacts.find import Artifact
from bench.machine import environment
from bench.measure.row import Mode
from bench.remote.device_config import Device, find_device, find_devices
from bench.remote.picture_shards import DevicePictureStore
from bench.remote.request import Request
from bench.remote.side_by_side import run
from bench.results.measurement import REFERENCES
from bench.results.row import HOST
from bench.results.store import Results
from device.errors import EdgeproofError


def measure_devices(
    names: str,
    artifacts: Sequence[Artifact],
    runtimes: Sequence[str],
    mode: Mode,
    threads: Sequence[int],
    data: Path | None,
    offline: bool,
    max_pictures: int | None,
    results: Results,
    output: Path,
) -> list[str]:
    """Measure on the named devices side by side and save their rows; return a line for each thing that failed.

    Raises EdgeproofError for an unknown device or a device file that cannot be used, before any device is contacted.
    """
    devices = _named_devices(names)
    request = Request(
        artifacts=artifacts,
        runtimes=runtimes,
        mode=mode,
        threads=threads,
        pictures=DevicePictureStore(data),
        reference=lambda found, sha256: reference_answers(results, found, sha256),
        offline=offline,
        max_pictures=max_pictures,
        refuse_another_machine=results.refuse_another_machine,
    )
    for device in devices:
        if device.browser:  # its rows are of this machine, which is known before anything is measured
            results.refuse_another_machine(environment.describe(), device.name)
    failures: list[str] = []
    for outcome in run(devices, request, click.echo):
        removed = results.merge(outcome.measured, outcome.skipped, outcome.environment, device=outcome.device)
        results.save(output)
        for line in removed:
            click.echo(line)
        failures += outcome.failures
    return failures


def _named_devices(names: str) -> list[Device]:
    """Read the device files of "NAME,...". Raises EdgeproofError as `measure_devices`."""
    found = find_devices(names)
    if HOST in found:
        raise EdgeproofError(f"--device {names}: {HOST} is measured without --device; measure it by itself")
    return [find_device(name) for name in found]


def reference_answers(results: Results, found: Artifact, sha256: str) -> npt.NDArray[np.uint16] | None:
    """Return Keras's answers to a test part that an earlier run on this machine has kept, or None."""
    for row in results.rows:
        same = (row.subject.model, row.subject.name) == (found.card.model, found.name)
        if same and row.subject.runtime in REFERENCES and row.accuracy and row.accuracy.dataset_sha256 == sha256:
            return results.arrays.get(f"{row.key}/predictions")
    return None
