"""`python -m bench run --device NAME,...`: what is measured there, merged into bench.json as each device finishes."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from bench import remote
from bench.artifacts import Found
from bench.device_file import HOST, find_device, find_devices
from bench.device_pictures import DevicePictureStore
from bench.results import Results
from bench.run import REFERENCES, Mode
from device.classify import EdgeproofError


def measure_devices(
    names: str,
    artifacts: Sequence[Found],
    runtimes: Sequence[str],
    mode: Mode,
    threads: Sequence[int],
    data: Path | None,
    offline: bool,
    most_pictures: int | None,
    results: Results,
    output: Path,
) -> list[str]:
    """Measure on the named devices side by side and save their rows; return a line for each thing that failed.

    Raises EdgeproofError for an unknown device or a device file that cannot be used, before any device is asked.
    """
    if HOST in find_devices(names):
        raise EdgeproofError(f"--device {names}: {HOST} is measured without --device; measure it by itself")
    devices = [find_device(name) for name in find_devices(names)]
    request = remote.Request(
        artifacts=artifacts,
        runtimes=runtimes,
        mode=mode,
        threads=threads,
        pictures=DevicePictureStore(data),
        reference=lambda found, sha256: reference_answers(results, found, sha256),
        offline=offline,
        most_pictures=most_pictures,
    )
    failures: list[str] = []
    for outcome in remote.run(devices, request, click.echo):
        results.merge(outcome.measured, outcome.skipped, outcome.environment, device=outcome.device)
        results.save(output)
        failures += outcome.failures
    return failures


def reference_answers(results: Results, found: Found, sha256: str) -> npt.NDArray[np.uint16] | None:
    """Return Keras' answers to a test part, as an earlier run on this machine kept them, or None."""
    for row in results.rows:
        same = (row["model"], row["name"]) == (found.card.model, found.name)
        if same and row["runtime"] in REFERENCES and row["accuracy"]["dataset_sha256"] == sha256:
            return results.arrays.get(f"{row['samples']['key']}/predictions")
    return None
